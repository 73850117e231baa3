//! A failure of both arms, seen by scrapes that come to each Pod at its own moment (ANALYSIS M11).

use std::collections::BTreeMap;

use serin::analysis::Counter;
use serin::analysis::comparison::evidence::{Evidence, Terms};
use serin::analysis::comparison::joint::Joint;
use serin::analysis::comparison::rounds::{Reading, Rounds};

use crate::statistics::chance::Chance;
use crate::statistics::play::DEFAULTS;

/// Seconds between scrapes of a Pod, and between readings of the controller.
const SCRAPE: f64 = 15.0;
const READ: f64 = 5.0;

/// Seconds of a play, of which the failure takes some.
const LENGTH: f64 = 360.0;
const FAILURE: f64 = 30.0;

/// The share of bad requests at rest and in the failure.
const REST: f64 = 0.002;
const FAILING: f64 = 0.5;

/// Half of the requests go to the canary, of either arm to so many Pods.
const STABLE_PODS: usize = 4;

/// One Pod, as it counts.
struct Pod {
    /// Requests a second.
    rate: f64,
    counter: Counter,
}

impl Pod {
    fn new(number: usize, canary: bool, rate: f64, offset: f64) -> Self {
        let counter = Counter {
            process: format!("{}-{number}", if canary { "canary" } else { "stable" }),
            canary,
            canary_pod: canary,
            all: 0.0,
            bad: 0.0,
            at: offset - SCRAPE,
        };
        Self { rate, counter }
    }

    /// Scrapes as long as it is due, with the failure from `begins` on.
    fn scrape(&mut self, until: f64, begins: f64, chance: &mut Chance) {
        while self.counter.at + SCRAPE <= until {
            let (from, to) = (self.counter.at, self.counter.at + SCRAPE);
            let failing = (to.min(begins + FAILURE) - from.max(begins)).max(0.0);
            let bad = self.rate * ((SCRAPE - failing) * REST + failing * FAILING);
            let bad_now = chance.poisson(bad);
            self.counter.bad += bad_now;
            self.counter.all += bad_now + chance.poisson(self.rate * SCRAPE - bad);
            self.counter.at = to;
        }
    }
}

/// Whether the canary, of so many Pods, is blamed.
pub(crate) fn is_blamed(rate: f64, canary_pods: usize, chance: &mut Chance) -> bool {
    let mut pods = Vec::new();
    for (canary, number) in [(true, canary_pods), (false, STABLE_PODS)] {
        let each = 0.5 * rate / number as f64;
        let pod = |i| Pod::new(i, canary, each, SCRAPE * chance.unit());
        pods.extend((0..number).map(pod));
    }
    let begins = 60.0 + 60.0 * chance.unit();
    let (mut rounds, mut joint) = (Rounds::default(), joint());
    rounds.begin(0.0);
    let began = BTreeMap::new();
    let mut at = READ * chance.unit();
    while at < LENGTH {
        pods.iter_mut()
            .for_each(|pod| pod.scrape(at, begins, chance));
        let seen = pods.iter().filter(|pod| pod.counter.at >= 0.0);
        let counters: Vec<_> = seen.map(|pod| pod.counter.clone()).collect();
        let round = rounds.advance(&Reading {
            at,
            counters: &counters,
            began: &began,
            grace: 0.0,
        });
        let made = round.map(|round| ("errors".to_owned(), round));
        if joint.add(&made.into_iter().collect()).is_some() {
            return true;
        }
        at += READ;
    }
    false
}

fn joint() -> Joint {
    let terms = Terms {
        tolerance: 1.2,
        non_inferiority: 2.0,
        limit: Some(0.01),
        phi: 1.0,
        steps: 1,
    };
    let metrics = BTreeMap::from([("errors".to_owned(), Evidence::new(terms, 1))]);
    Joint::new(DEFAULTS, 1, metrics)
}
