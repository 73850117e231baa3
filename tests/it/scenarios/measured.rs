//! What users saw of a release, and what is left of it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use serin::sim::traffic::Name;

use crate::scenarios::providers::{ROUTES, everybody};
use crate::story::objects::{self, HOME};
use crate::story::{Story, oracle};

/// Proxies act on what they are told within this time.
const FOLLOWED: SignedDuration = SignedDuration::from_secs(5);

/// A longest release.
const LONGEST: Duration = Duration::from_secs(3600);

/// How far a share that was measured may be from its weight, beyond chance.
const NEAR: f64 = 0.005;

/// A time in which the Canary said that this weight was in force, and wanted no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) weight: i64,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Story {
    /// Requests of some users that a version answered so far.
    pub(super) fn answered(&self, who: &Name, version: &str) -> u64 {
        let traffic = self.world.traffic.lock().unwrap();
        let ledger = traffic.ledger(who).unwrap();
        ledger.counts(version).answered
    }

    /// Copies of requests that a version answered so far.
    pub(super) fn copied(&self, who: &Name, version: &str) -> u64 {
        let traffic = self.world.traffic.lock().unwrap();
        traffic.ledger(who).unwrap().counts(version).copied
    }

    /// The share of everybody's requests that a version answered in the last seconds.
    pub(super) fn share_lately(&self, version: &str, seconds: i64) -> f64 {
        let now = self.world.api.now();
        let traffic = self.world.traffic.lock().unwrap();
        let ledger = traffic.ledger(&everybody()).unwrap();
        let from = now - SignedDuration::from_secs(seconds);
        ledger.share(version, from, now).unwrap_or(0.0)
    }

    /// The weights that were in force, and when.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut open: Option<Span> = None;
        for event in self.events() {
            if *event.key != objects::canary_key() {
                continue;
            }
            let status = &event.object["status"];
            let at = event.signed.at;
            let weight = status["canaryWeight"].as_i64();
            let settled = weight.filter(|weight| {
                let wanted = status["traffic"]["wanted"].as_i64().unwrap_or(0);
                *weight == wanted && status["phase"] == "Progressing"
            });
            if open.is_some_and(|open| settled != Some(open.weight)) {
                spans.extend(open.take().map(|open| Span { to: at, ..open }));
            }
            if let Some(weight) = settled
                && open.is_none()
            {
                open = Some(Span {
                    weight,
                    from: at,
                    to: at,
                });
            }
        }
        spans
    }

    /// Weights whose share of everybody's requests was another one.
    pub(super) fn strayed(&self, version: &str) -> Vec<String> {
        let traffic = self.world.traffic.lock().unwrap();
        let ledger = traffic.ledger(&everybody()).unwrap();
        let mut wrong = Vec::new();
        for Span { weight, from, to } in self.spans() {
            let from = from + FOLLOWED;
            let versions: Vec<&str> = ledger.versions().collect();
            let all = versions
                .iter()
                .map(|it| ledger.between(it, from, to).answered);
            let all: u64 = all.sum();
            if to <= from || all < 500 {
                continue;
            }
            let share = ledger.share(version, from, to).unwrap_or(0.0);
            let wanted = weight as f64 / 100.0;
            let chance = 4.0 * (wanted * (1.0 - wanted) / all as f64).sqrt();
            if (share - wanted).abs() > NEAR + chance {
                wrong.push(format!(
                    "{share:.3} of {all} requests at {weight} % from {from}"
                ));
            }
        }
        wrong
    }

    /// Waits for the end of an attempt, and a little longer.
    pub(super) async fn rests(&self) {
        let over = |_: &_| {
            let done = ["Succeeded", "Failed"].contains(&self.phase().as_str());
            done && !self.has_canary()
        };
        self.until(over, LONGEST).await;
        self.quiet(Duration::from_secs(60)).await;
    }

    /// Objects that lead requests and still name the canary.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (group, plural) in ROUTES {
            for (key, object) in self.world.api.list(group, plural, Some(HOME)) {
                let spec = format!("{} {}", object["spec"], object["metadata"]["annotations"]);
                if spec.contains("app-canary") || key.name.contains("canary") {
                    found.push(format!("{plural} {}: {spec}", key.name));
                }
            }
        }
        found
    }

    /// Names and starts of the target's Pods.
    pub(super) fn pods(&self) -> Vec<String> {
        let pods = self.world.api.list("", "pods", Some(HOME));
        let own = pods
            .iter()
            .filter(|(_, pod)| pod["metadata"]["labels"]["app"] == "app");
        let told = own.map(|(key, pod)| {
            let starts = &pod["status"]["containerStatuses"][0]["restartCount"];
            format!("{} {starts}", key.name)
        });
        told.collect()
    }

    /// The newest release in the history.
    pub(super) fn release(&self) -> Value {
        self.canary()["status"]["history"][0].clone()
    }

    /// What the history says of the newest release, in words.
    pub(super) fn told(&self) -> String {
        let release = self.release();
        let words = ["outcome", "reason"].map(|word| release[word].as_str().unwrap_or_default());
        words.join(": ")
    }
}

/// What is wrong with a release that should have been promoted, on evidence, step by step.
pub(super) fn promoted(story: &Story, weights: &[i64]) -> Vec<String> {
    let mut wrong = rested(story, "Promoted: ");
    if story.weights() != weights {
        wrong.push(format!("weights {:?}", story.weights()));
    }
    if story.canary()["status"].to_string().contains("Unproven") {
        wrong.push(format!("unproven: {}", story.canary()["status"]));
    }
    wrong.extend(story.strayed("2.0.0"));
    if story.share_lately("2.0.0", 30) < 1.0 {
        wrong.push("not everybody is on the new version".to_owned());
    }
    wrong
}

/// What is wrong with a release that should have been rejected for this.
pub(super) fn rejected(story: &Story, why: &str) -> Vec<String> {
    let mut wrong = rested(story, "RolledBack: ");
    if !story.told().contains(why) {
        wrong.push(format!("the reason is {:?}", story.told()));
    }
    if story.share_lately("1.0.0", 30) < 1.0 {
        wrong.push("not everybody is back".to_owned());
    }
    let ran = oracle::ran(story);
    if ran != ["1.0.0"] {
        wrong.push(format!("the main release ran {ran:?}"));
    }
    wrong
}

fn rested(story: &Story, outcome: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !story.told().starts_with(outcome) {
        wrong.push(format!("{} {:?}", story.phase(), story.told()));
        wrong.push(story.canary()["status"].to_string());
    }
    if story.has_canary() {
        wrong.push("the canary is still there".to_owned());
    }
    if story.lost() > 0 {
        wrong.push(format!(
            "{} requests lost: {:?}",
            story.lost(),
            losses(story)
        ));
    }
    wrong.extend(oracle::breaches(story, false));
    wrong
}

/// When requests were lost.
fn losses(story: &Story) -> Vec<(Timestamp, u64)> {
    let traffic = story.world.traffic.lock().unwrap();
    let mut losses = traffic.ledger(&everybody()).unwrap().losses();
    losses.truncate(5);
    losses
}

/// Fails with all that is wrong.
#[track_caller]
pub(super) fn fine(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}: {}", wrong.join("\n  "));
}

/// Both built-in checks, as every scenario has them.
pub(super) fn both_checks() -> Value {
    json!([
        {"name": "request-success-rate", "thresholdRange": {"min": 99}},
        {"name": "request-duration", "thresholdRange": {"max": 500}},
    ])
}
