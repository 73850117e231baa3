//! What an actor has to look at, and when: changed objects at once, others at a time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::sim::api::Api;
use crate::sim::store::Key;

/// Objects that an actor has to look at.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    begun: bool,
    now: BTreeSet<Key>,
    later: BTreeMap<Key, Timestamp>,
}

impl Queue {
    /// At the first call, takes all objects of a kind in.
    pub fn begin(&mut self, api: &Api, group: &str, plural: &str) {
        if !self.begun {
            self.begun = true;
            self.add_all(api, group, plural, None);
        }
    }

    /// All objects of a kind, at once.
    pub fn add_all(&mut self, api: &Api, group: &str, plural: &str, namespace: Option<&str>) {
        let all = api.list(group, plural, namespace);
        self.now.extend(all.into_iter().map(|(key, _)| key));
    }

    /// An object, at once.
    pub fn add(&mut self, key: Key) {
        self.now.insert(key);
    }

    /// An object, again at a time at the latest.
    pub fn at(&mut self, key: Key, time: Timestamp) {
        let known = self.later.entry(key).or_insert(time);
        *known = time.min(*known);
    }

    /// What is due, in the order of the keys; it is taken out.
    pub fn take(&mut self, now: Timestamp) -> BTreeSet<Key> {
        let due = self.later.iter().filter(|(_, time)| **time <= now);
        let due: Vec<_> = due.map(|(key, _)| key.clone()).collect();
        let mut taken = std::mem::take(&mut self.now);
        taken.extend(due);
        for key in &taken {
            self.later.remove(key);
        }
        taken
    }

    /// When the next is due.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.later.values().min().copied()
    }
}
