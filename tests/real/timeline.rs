//! What happened in a namespace, read out of its record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::objects::APP;
use crate::record::{Kind, Record, number, text};

/// What happened in one namespace.
pub(crate) struct Timeline {
    records: Vec<Record>,
}

/// The life of one Pod.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) name: String,
    pub(crate) image: String,
    /// It belongs to the canary and not to the main release.
    pub(crate) canary: bool,
    pub(crate) from: SystemTime,
    /// When it was asked to end, or was gone.
    pub(crate) until: Option<SystemTime>,
    pub(crate) restarts: i64,
}

/// A time in which one weight was known to be in force.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) weight: i64,
    /// The version of the canary.
    pub(crate) version: String,
    pub(crate) from: SystemTime,
    pub(crate) to: SystemTime,
}

impl Timeline {
    pub(crate) fn new(records: Vec<Record>) -> Self {
        Self { records }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(move |record| record.kind == kind)
    }

    /// Every weight of the canary in the routes, with the time from which it stood there.
    pub(crate) fn weights(&self) -> Vec<(SystemTime, i64)> {
        let mut weights: Vec<(SystemTime, i64)> = Vec::new();
        let routes = [Kind::Route, Kind::IngressRoute, Kind::TraefikService];
        let records = self.records.iter().filter(|it| routes.contains(&it.kind));
        for record in records.filter(|record| !record.gone) {
            let weight = route_weight(&record.object);
            if weights.last().map(|last| last.1) != Some(weight) {
                weights.push((record.at, weight));
            }
        }
        weights
    }

    /// Every weight that the controller was about to write: where no route is watched, a step ends with it.
    fn wanted(&self) -> impl Iterator<Item = (SystemTime, i64)> {
        let canaries = self.of(Kind::Canary);
        canaries.map(|record| (record.at, number(&record.object, "/status/traffic/wanted")))
    }

    /// The weights alone, in their order.
    pub(crate) fn weight_values(&self) -> Vec<i64> {
        self.weights()
            .into_iter()
            .map(|(_, weight)| weight)
            .collect()
    }

    /// When the weight last became 0.
    pub(crate) fn last_zero(&self) -> Option<SystemTime> {
        let weights = self.weights();
        let (at, weight) = weights.last()?;
        (*weight == 0).then_some(*at)
    }

    /// When an object first looked like this, at or after a time.
    pub(crate) fn first(
        &self,
        kind: Kind,
        from: SystemTime,
        is: impl Fn(&Record) -> bool,
    ) -> Option<SystemTime> {
        let mut records = self.of(kind);
        let found = records.find(|record| record.at >= from && is(record))?;
        Some(found.at)
    }

    /// Every phase, with the time from which it stood in the status.
    pub(crate) fn phases(&self) -> Vec<(SystemTime, String)> {
        let mut phases: Vec<(SystemTime, String)> = Vec::new();
        for record in self.of(Kind::Canary) {
            let phase = record.text("/status/phase");
            if !phase.is_empty() && phases.last().map(|last| last.1.as_str()) != Some(phase) {
                phases.push((record.at, phase.to_owned()));
            }
        }
        phases
    }

    /// When a phase was first seen at or after a time.
    pub(crate) fn phase_from(&self, phase: &str, from: SystemTime) -> Option<SystemTime> {
        self.phases()
            .into_iter()
            .find(|(at, name)| *at >= from && name == phase)
            .map(|(at, _)| at)
    }

    /// Times in which a weight between 1 and 99 was confirmed and had not begun to change.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let mut changes = self.weights();
        changes.extend(self.wanted());
        changes.sort();
        let mut windows: BTreeMap<SystemTime, Window> = BTreeMap::new();
        for record in self.of(Kind::Canary) {
            let clock: Option<jiff::Timestamp> = record.text("/status/step/clockAt").parse().ok();
            let weight = number(&record.object, "/status/traffic/written");
            let Some(from) = clock.map(SystemTime::from) else {
                continue;
            };
            if !(1..100).contains(&weight) {
                continue;
            }
            let next = changes
                .iter()
                .find(|(at, new)| *at > from && *new != weight);
            let to = next.map_or_else(SystemTime::now, |(at, _)| *at);
            let image = record.text("/status/candidate/images/0");
            let tag = image.trim_start_matches("app:");
            let version = tag.split('-').next().unwrap_or_default().to_owned();
            let window = Window {
                weight,
                version,
                from,
                to,
            };
            windows.insert(from, window);
        }
        windows.into_values().collect()
    }

    /// Every Pod of the application.
    pub(crate) fn lives(&self) -> BTreeMap<String, Life> {
        let mut lives: BTreeMap<String, Life> = BTreeMap::new();
        for record in self.of(Kind::Pod) {
            let uid = record.text("/metadata/uid").to_owned();
            let ends = record.gone || !record.text("/metadata/deletionTimestamp").is_empty();
            let life = lives.entry(uid).or_insert_with(|| Life {
                name: record.name.clone(),
                image: record.text("/spec/containers/0/image").to_owned(),
                canary: record.text("/metadata/labels/serin.dev~1role") == "canary",
                from: record.at,
                until: None,
                restarts: 0,
            });
            if ends && life.until.is_none() {
                life.until = Some(record.at);
            }
            let restarts = number(&record.object, "/status/containerStatuses/0/restartCount");
            life.restarts = life.restarts.max(restarts);
        }
        lives
    }

    /// Tags that Pods of the main release ever ran.
    pub(crate) fn tags_on_main(&self) -> BTreeSet<String> {
        let lives = self.lives().into_values().filter(|life| !life.canary);
        lives
            .map(|life| life.image.trim_start_matches("app:").to_owned())
            .collect()
    }

    /// Pods of the main release that were started, ended or restarted between two times.
    pub(crate) fn moved_on_main(&self, from: SystemTime, to: SystemTime) -> Vec<Life> {
        let within = |at: SystemTime| at > from && at < to;
        let moved =
            |life: &Life| within(life.from) || life.until.is_some_and(within) || life.restarts > 0;
        let lives = self.lives().into_values();
        lives.filter(|life| !life.canary && moved(life)).collect()
    }

    /// As text, for a dump.
    pub(crate) fn text(&self) -> String {
        let start = self.records.first().map(|record| record.at);
        let since = |at: SystemTime| {
            let since = start.and_then(|start| at.duration_since(start).ok());
            since.unwrap_or_default().as_secs_f64()
        };
        let mut lines: Vec<(SystemTime, String)> = Vec::new();
        for (at, weight) in self.weights() {
            lines.push((at, format!("weight {weight}")));
        }
        let mut last = String::new();
        for record in self.of(Kind::Canary) {
            let line = format!(
                "canary {} {} w={} step={} failed={} {:?}",
                record.text("/status/phase"),
                record.text("/status/progress"),
                number(&record.object, "/status/canaryWeight"),
                number(&record.object, "/status/step/passed"),
                number(&record.object, "/status/failedChecks"),
                record.text("/status/message"),
            );
            if line != last {
                lines.push((record.at, line.clone()));
                last = line;
            }
        }
        for life in self.lives().into_values() {
            let Life {
                name,
                image,
                restarts,
                ..
            } = &life;
            lines.push((life.from, format!("pod {name} {image}")));
            if let Some(until) = life.until {
                lines.push((until, format!("pod {name} ends, {restarts} restarts")));
            }
        }
        lines.sort_by_key(|line| line.0);
        let lines = lines
            .into_iter()
            .map(|(at, line)| format!("{:9.3} {line}\n", since(at)));
        lines.collect()
    }
}

/// The canary's weight in a route, wherever it lists backends; 0 where there is none. Where it stands alone some requests go to it
/// whatever its share is: that counts only if there is no list with stable.
pub(crate) fn route_weight(route: &Value) -> i64 {
    let canary = format!("{APP}-canary");
    let mut found = (false, 0);
    let mut open: Vec<&Value> = route.get("spec").into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(elements) => {
                let entries = elements.iter().filter(|it| text(it, "/name") == canary);
                let weights = entries.map(|it| it["weight"].as_i64().unwrap_or(1));
                let beside = weights.map(|weight| (elements.len() > 1, weight));
                found = beside.fold(found, Ord::max);
                open.extend(elements);
            }
            _ => {}
        }
    }
    found.1
}

/// How long it took from one time to another; zero if the other was first.
pub(crate) fn between(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}
