//! Probes: they are not sent one by one; it is known when an answer changes, and from that when the kubelet acts on it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::sim::behaviour::{Behaviour, is_app};
use crate::sim::field::{after_ms, count, list, number, text};

/// Milliseconds after which an application that does not start slowly listens.
const LISTENS: u64 = 50;

/// Milliseconds from the start of a container to its first probe.
const FIRST: i64 = 100;

/// Where applications of the tests listen when they are not told.
const PORT: i64 = 8080;

/// What a probe last answered, and what the kubelet makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// When the probes begin.
    begun: Timestamp,
    answers: bool,
    since: Timestamp,
    /// It was said that it fails.
    told: bool,
    /// What the kubelet holds for true.
    pub(super) holds: bool,
}

/// What follows from looking at a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// A probe failed, and it was not said yet.
    pub(super) fails: bool,
    /// When to look again.
    pub(super) due: Option<Timestamp>,
    /// It has failed as often as it may.
    pub(super) has_failed: bool,
}

impl Watch {
    /// Nothing was probed yet.
    pub(super) fn new(begun: Timestamp, holds: bool) -> Self {
        Self {
            begun,
            answers: holds,
            since: begun,
            told: false,
            holds,
        }
    }

    /// Takes in what the probe would be answered now.
    pub(super) fn look(&mut self, probe: &Value, answers: bool, now: Timestamp) -> Verdict {
        if answers != self.answers {
            self.answers = answers;
            self.since = now;
            self.told = false;
        }
        let threshold = if answers {
            number(probe, "/successThreshold").unwrap_or(1)
        } else {
            number(probe, "/failureThreshold").unwrap_or(3)
        };
        let (asked, decided) = (self.decided_at(probe, 1), self.decided_at(probe, threshold));
        let fails = !answers && !self.told && asked <= now;
        self.told |= fails;
        if decided <= now {
            self.holds = answers;
        }
        Verdict {
            fails,
            due: [asked, decided].into_iter().find(|time| *time > now),
            has_failed: decided <= now && !answers,
        }
    }

    /// When so many probes in a row have had the present answer.
    fn decided_at(&self, probe: &Value, times: i64) -> Timestamp {
        let delay = count(probe, "/initialDelaySeconds") * 1000 + FIRST;
        let first = after_ms(self.begun, delay);
        let period = number(probe, "/periodSeconds").unwrap_or(10).max(1) * 1000;
        let late = self.since.duration_since(first).as_millis();
        let late = i64::try_from(late).unwrap_or(i64::MAX).max(0);
        let probes = late.div_euclid(period) + i64::from(late.rem_euclid(period) > 0);
        after_ms(first, (probes + times - 1) * period)
    }
}

/// Whether a container of this age answers a probe as it should.
pub(super) fn answers(container: &Value, probe: &Value, does: &Behaviour, age: Duration) -> bool {
    if age < does.start + Duration::from_millis(LISTENS) || !is_right_port(container, probe) {
        return probe.get("exec").is_some();
    }
    // Applications that are not the tests' own answer readiness at whatever path their readiness is asked.
    let asks_readiness = text(probe, "/httpGet/path").trim_end_matches('/') == "/readyz"
        || !is_app(text(container, "/image")) && container.get("readinessProbe") == Some(probe);
    !asks_readiness || (does.ready && does.unready_after.is_none_or(|end| age < end))
}

/// The ages at which answers change.
pub(super) fn changes(does: &Behaviour) -> impl Iterator<Item = Duration> {
    let listens = does.start + Duration::from_millis(LISTENS);
    does.unready_after.into_iter().chain([listens])
}

/// A probe of a port where nothing listens fails; only for the application of the tests it is known where it listens.
fn is_right_port(container: &Value, probe: &Value) -> bool {
    let port = ["/httpGet/port", "/tcpSocket/port", "/grpc/port"]
        .into_iter()
        .find_map(|pointer| probe.pointer(pointer));
    let Some(port) = port.filter(|_| is_app(text(container, "/image"))) else {
        return true;
    };
    let named = |name: &str| {
        let ports = list(container, "/ports");
        let found = ports.iter().find(|port| text(port, "/name") == name);
        found.map(|port| count(port, "/containerPort"))
    };
    let asked = port.as_i64().or_else(|| named(port.as_str()?));
    let env = list(container, "/env").iter();
    let told = env
        .filter(|item| text(item, "/name") == "PORT")
        .find_map(|item| text(item, "/value").parse().ok());
    asked == Some(told.unwrap_or(PORT))
}

/// How old something is.
pub(super) fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// When something has an age.
pub(super) fn at_age(since: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    since.saturating_add(age).unwrap_or(Timestamp::MAX)
}
