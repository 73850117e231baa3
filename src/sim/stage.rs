//! For tests of the actors: an API server, some actors, and a time that jumps from one due moment to the next.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account::admin;
use crate::sim::api::{Actor, Api, Part};
use crate::sim::field::{after, text};
use crate::sim::store::Key;

/// Rounds of one moment after which the actors are thought to quarrel.
const ROUNDS: usize = 1000;

pub(super) struct Stage {
    pub(super) api: Api,
    actors: Vec<(Box<dyn Actor>, u64, Option<Timestamp>)>,
}

impl Stage {
    pub(super) fn new(actors: Vec<Box<dyn Actor>>) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let api = Api::at(now);
        api.add_namespace("test");
        Self {
            api,
            actors: actors
                .into_iter()
                .map(|actor| (actor, 0, Some(now)))
                .collect(),
        }
    }

    /// Lets the actors act until none has anything to do now.
    pub(super) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.api.revision();
            for (actor, seen, due) in &mut self.actors {
                let changed = self.api.since(*seen).unwrap_or_default();
                *seen = self.api.revision();
                if !changed.is_empty() || due.is_some_and(|due| due <= self.api.now()) {
                    *due = actor.act(&self.api, &changed);
                }
            }
            if self.api.revision() == before {
                return;
            }
        }
        panic!("the actors do not come to rest");
    }

    /// Lets so many seconds pass.
    pub(super) fn pass(&mut self, seconds: i64) {
        let end = after(self.api.now(), seconds);
        loop {
            self.settle();
            let now = self.api.now();
            let next = self
                .actors
                .iter()
                .filter_map(|(_, _, due)| *due)
                .filter(|due| *due > now)
                .min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.api.set_now(next),
                None if now < end => self.api.set_now(end),
                None => return,
            }
        }
    }

    pub(super) fn create(&self, key: &Key, object: Value) {
        self.api.create(&admin(), key, object).unwrap();
    }

    pub(super) fn change(&self, key: &Key, change: impl FnOnce(&mut Value)) {
        self.api.update(&admin(), key, Part::Main, change).unwrap();
    }

    pub(super) fn read(&self, key: &Key, pointer: &str) -> Value {
        let object = self.api.get(key).unwrap();
        object.pointer(pointer).cloned().unwrap_or_default()
    }

    /// `kind=status reason` of a condition.
    pub(super) fn condition(&self, key: &Key, kind: &str) -> String {
        let conditions = self.read(key, "/status/conditions");
        let found = conditions
            .as_array()
            .and_then(|all| all.iter().find(|it| it["type"] == kind).cloned());
        let found = found.unwrap_or_default();
        format!("{} {}", text(&found, "/status"), text(&found, "/reason"))
    }
}

/// The key of a Deployment in the namespace of the tests.
pub(super) fn deployment(name: &str) -> Key {
    Key::new("apps", "deployments", "test", name)
}

/// A Deployment with two replicas and a tag of `app`.
pub(super) fn web(tag: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"app": "web"}},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{
                "name": "app", "image": format!("app:{tag}"), "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
            }]}},
        },
    })
}
