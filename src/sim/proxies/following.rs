//! Proxies follow what is written, a little later.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::sim::api::Api;
use crate::sim::proxies::objects::Objects;
use crate::sim::proxies::{Asked, Proxies, Sight};
use crate::sim::store::Event;
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// How much later: longer than Traefik's throttle, and than a sidecar of a small mesh takes.
const LATER: SignedDuration = SignedDuration::from_secs(3);

/// What proxies know, and what they are about to be told.
#[derive(Debug)]
pub struct Following {
    proxies: Proxies,
    in_force: Objects,
    /// What is in force from a moment on.
    told: VecDeque<(Timestamp, Objects)>,
}

impl Following {
    /// Proxies that know nothing yet.
    #[must_use]
    pub fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            in_force: Objects::default(),
            told: VecDeque::new(),
        }
    }

    /// Whose proxies they are.
    #[must_use]
    pub fn proxies(&self) -> Proxies {
        self.proxies
    }

    /// They know what is live.
    pub fn begin(&mut self, api: &Api) {
        self.in_force = Objects::read(api, self.proxies.kinds());
    }

    /// They are told what changed, and act on what they were told before; says whether they do something else from now on.
    pub fn hear(&mut self, api: &Api, changed: &[Event]) -> bool {
        let (now, kinds) = (api.now(), self.proxies.kinds());
        let concerns = |event: &Event| {
            let (group, plural) = (event.key.group.as_str(), event.key.plural.as_str());
            kinds.contains(&(group, plural))
        };
        if changed.iter().any(concerns) {
            let from = now.saturating_add(LATER).unwrap_or(Timestamp::MAX);
            self.told.push_back((from, Objects::read(api, kinds)));
        }
        let mut news = false;
        while let Some((from, objects)) = self.told.pop_front() {
            if from > now {
                self.told.push_front((from, objects));
                break;
            }
            self.in_force = objects;
            news = true;
        }
        news
    }

    /// When they act on what they were told.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.told.front().map(|(from, _)| *from)
    }

    /// Where a request goes by what is in force; `None`: no route takes it.
    #[must_use]
    pub fn way(&self, asked: Asked<'_>, is_ready: &dyn Fn(&Name) -> bool) -> Option<Vec<Backend>> {
        let sight = Sight {
            objects: &self.in_force,
            is_ready,
        };
        self.proxies.way(sight, asked)
    }
}
