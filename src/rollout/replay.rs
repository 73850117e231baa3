//! What an analysis would have decided, and when: recorded counters taken in again, point by point, as in a release.
//!
//! A recording has its weights already, so that nothing is decided about them; each weight is one step, and every point of the
//! recording is one of the fast lane.

use std::collections::BTreeMap;
use std::fmt;

use crate::analysis::comparison::bursts;
use crate::analysis::comparison::evidence::{Evidence, Terms};
use crate::analysis::comparison::halves::halves;
use crate::analysis::comparison::joint::{Joint, Worse};
use crate::analysis::comparison::rounds::{Reading, Rounds};
use crate::analysis::counts::{Increments, increments};
use crate::analysis::threshold::{judge_share, stable_fails};
use crate::analysis::{Counter, Measure, MetricPlan};
use crate::crd::analysis::Analysis;
use crate::crd::comparison::ComparisonStatus;
use crate::crd::moment::Moment;
use crate::crd::status::{CheckStatus, CheckVerdict};
use crate::rollout::past::PHI;
use crate::rollout::{comparison, shown};

/// Seconds without a sample after which a process is gone, as a metrics server sees it.
const STALE: f64 = 300.0;

/// The most rows of a replay: of a longer one every n-th interval is shown.
const MOST_ROWS: usize = 60;

/// What was recorded of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// Samples of both arms by metric and time.
    pub metrics: BTreeMap<String, BTreeMap<Moment, Vec<Counter>>>,
    /// The canary's weight from each of these times on, in percent. Empty: it is not known, and taken as one.
    pub weights: BTreeMap<Moment, u8>,
}

/// By what it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The metrics; those that are no counts of requests are left out.
    pub metrics: &'a [MetricPlan],
    /// Interval, threshold and comparison.
    pub analysis: &'a Analysis,
    /// Dispersion of bad requests; not set: as stable's own show before the canary begins, or 2.
    pub dispersion: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// When the canary's first sample was taken.
    pub began: Moment,
    /// When the last sample was taken.
    pub ended: Moment,
    /// The state at the end of each interval; of many, some.
    pub rows: Vec<Row>,
    /// How it ends.
    pub ending: Ending,
    /// Failed checks of the fixed limits.
    pub failed_checks: u32,
}

/// The state at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The time.
    pub at: Moment,
    /// The canary's weight then, if it is known.
    pub weight: Option<u8>,
    /// What the limits say.
    pub checks: Vec<CheckStatus>,
    /// What the comparison says.
    pub comparison: Vec<ComparisonStatus>,
}

/// How a replay ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The release would have been rejected then; why.
    Rejected(Moment, String),
    /// It could have been promoted from then on.
    Proven(Moment),
    /// The recording is too short for either; the metrics that lack evidence.
    Open(Vec<String>),
}

/// Why a recording cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// No metric of the analysis is in it.
    NoMetric(String),
    /// There is no canary in it.
    NoCanary,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMetric(names) => {
                write!(
                    f,
                    "has no samples of a metric that the analysis counts ({names})"
                )
            }
            Self::NoCanary => f.write_str("has no sample of the canary"),
        }
    }
}

/// Takes a recording in.
///
/// # Errors
/// There is nothing in it that can be judged.
pub fn replay(recording: &Recording, rules: Rules<'_>) -> Result<Replay, Unfit> {
    let counted = rules
        .metrics
        .iter()
        .filter(|it| it.measure == Measure::Share);
    let plans: Vec<&MetricPlan> = counted
        .clone()
        .filter(|it| recording.metrics.contains_key(&it.name))
        .collect();
    if plans.is_empty() {
        let names: Vec<&str> = counted.map(|it| it.name.as_str()).collect();
        return Err(Unfit::NoMetric(names.join(", ")));
    }
    let mut player = Player::new(recording, rules, &plans).ok_or(Unfit::NoCanary)?;
    let ended = player.times.last().copied().unwrap_or(player.began);
    let ending = player.play();
    Ok(Replay {
        began: player.began,
        ended,
        rows: thinned(player.rows),
        ending,
        failed_checks: player.failed,
    })
}

/// Every n-th row, and the last.
fn thinned(rows: Vec<Row>) -> Vec<Row> {
    let stride = rows.len() / MOST_ROWS + 1;
    let last = rows.len().saturating_sub(1);
    let kept = rows.into_iter().enumerate();
    kept.filter(|(index, _)| (last - index).is_multiple_of(stride))
        .map(|(_, row)| row)
        .collect()
}

/// A metric on its way.
struct Track<'a> {
    plan: &'a MetricPlan,
    samples: &'a BTreeMap<Moment, Vec<Counter>>,
    rounds: Rounds,
}

impl Track<'_> {
    /// The newest sample of each process and arm at this time.
    fn at(&self, at: Moment) -> Vec<Counter> {
        let mut newest: BTreeMap<(&str, bool), &Counter> = BTreeMap::new();
        let stale = jiff::SignedDuration::from_secs_f64(STALE);
        let recent = self.samples.range(Moment::new(at.timestamp() - stale)..=at);
        for counter in recent.flat_map(|(_, counters)| counters) {
            newest.insert((&counter.process, counter.canary), counter);
        }
        let alive = newest.into_values();
        let alive = alive.filter(|counter| counter.at >= at.as_seconds() - STALE);
        alive.cloned().collect()
    }

    /// What both arms counted between two times.
    fn gained(&self, from: Moment, to: Moment) -> Increments {
        increments(&self.at(from), &self.at(to)).unwrap_or_default()
    }
}

struct Player<'a> {
    tracks: Vec<Track<'a>>,
    rules: Rules<'a>,
    times: Vec<Moment>,
    weights: &'a BTreeMap<Moment, u8>,
    joint: Joint,
    began: Moment,
    /// When the current weight began, and its number.
    step: (Moment, u32),
    failed: u32,
    rows: Vec<Row>,
}

impl<'a> Player<'a> {
    fn new(recording: &'a Recording, rules: Rules<'a>, plans: &[&'a MetricPlan]) -> Option<Self> {
        let tracks = plans.iter().filter_map(|plan| {
            Some(Track {
                plan,
                samples: recording.metrics.get(&plan.name)?,
                rounds: Rounds::default(),
            })
        });
        let tracks: Vec<Track<'a>> = tracks.collect();
        let all = tracks.iter().flat_map(|track| track.samples);
        let first = all
            .clone()
            .filter(|(_, counters)| counters.iter().any(|it| it.canary));
        let began = first.map(|(at, _)| *at).min()?;
        let mut times: Vec<Moment> = all.map(|(at, _)| *at).filter(|at| *at >= began).collect();
        times.sort_unstable();
        times.dedup();
        let wanted = rules.analysis.comparison.clone().unwrap_or_default();
        let compared = tracks.iter().filter(|it| comparison::compares(it.plan));
        let compared = compared.filter(|_| wanted.enabled.unwrap_or(true));
        let steps = u32::try_from(shared(recording.weights.values()).max(1)).unwrap_or(u32::MAX);
        let evidence = compared.map(|track| {
            let terms = Terms {
                limit: comparison::limit(track.plan),
                phi: rules
                    .dispersion
                    .unwrap_or_else(|| dispersion(track.samples, began)),
                steps,
                ..comparison::usual(&wanted)
            };
            (track.plan.name.clone(), Evidence::new(terms, 1))
        });
        let evidence: BTreeMap<String, Evidence> = evidence.collect();
        let count = u32::try_from(evidence.len()).unwrap_or(u32::MAX);
        Some(Self {
            joint: Joint::new(comparison::errors_of(&wanted), count, evidence),
            weights: &recording.weights,
            step: (began, 0),
            failed: 0,
            rows: Vec::new(),
            tracks,
            rules,
            times,
            began,
        })
    }

    /// Plays all points, up to the one that decides.
    fn play(&mut self) -> Ending {
        let interval = std::time::Duration::from(self.rules.analysis.interval);
        let interval = interval.max(std::time::Duration::from_secs(1));
        let mut due = self.began.after(interval);
        let mut proven = None;
        for at in self.times.clone() {
            if self.enter(at) {
                due = at.after(interval);
            }
            if let Some(worse) = self.compare(at) {
                let checks = self.checks(at);
                let check = checks.iter().find(|check| check.name == worse.metric);
                let why = shown::worse(&self.joint, &worse, check);
                self.show(at, checks);
                return Ending::Rejected(at, why);
            }
            if at >= due {
                due = due.after(interval);
                let checks = self.checks(at);
                let why = self.fail(&checks);
                self.show(at, checks);
                if let Some(why) = why {
                    return Ending::Rejected(at, why);
                }
            }
            if proven.is_none() && self.is_last() && self.joint.unproven().is_empty() {
                proven = Some(at);
            }
        }
        match proven {
            Some(at) => Ending::Proven(at),
            None => Ending::Open(
                self.joint
                    .unproven()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            ),
        }
    }

    /// Begins a step where the weight changes; whether it did.
    fn enter(&mut self, at: Moment) -> bool {
        let began = self.weights.range(..=at).next_back().map(|(from, _)| *from);
        let began = began.map_or(self.began, |from| from.max(self.began));
        let (since, number) = self.step;
        if number > 0 && began == since {
            return false;
        }
        let shared = shared(self.weights.range(..=at).map(|(_, weight)| weight));
        let number = u32::try_from(shared.max(1)).unwrap_or(u32::MAX);
        self.step = (began, number);
        self.joint.enter(number);
        for track in &mut self.tracks {
            track.rounds.begin(began.as_seconds());
        }
        true
    }

    /// Whether no further weight leaves stable something.
    fn is_last(&self) -> bool {
        let (began, _) = self.step;
        let mut later = self.weights.iter().filter(|(from, _)| **from > began);
        !later.any(|(_, weight)| (1..100).contains(weight))
    }

    fn compare(&mut self, at: Moment) -> Option<Worse> {
        let began = BTreeMap::new();
        let mut complete = BTreeMap::new();
        for track in &mut self.tracks {
            let counters = track.at(at);
            let reading = Reading {
                at: at.as_seconds(),
                counters: &counters,
                began: &began,
                grace: comparison::grace(track.plan),
            };
            let round = track.rounds.advance(&reading);
            complete.extend(round.map(|round| (track.plan.name.clone(), round)));
        }
        self.joint.add(&complete)
    }

    /// What the limits say of the last window.
    fn checks(&self, at: Moment) -> Vec<CheckStatus> {
        let judge = |track: &Track<'_>| {
            let (began, _) = self.step;
            let seconds = i64::from(track.plan.window_seconds);
            let window = at.timestamp() - jiff::SignedDuration::from_secs(seconds);
            let recent = track.gained(Moment::new(window).max(began), at);
            let whole = track.gained(began, at);
            let mut check = judge_share(track.plan, &recent, &whole, false, at);
            let excused = check.verdict == CheckVerdict::Fail && stable_fails(track.plan, &whole);
            if excused {
                check.verdict = CheckVerdict::Inconclusive;
                check.message = Some("stable fails it too".to_owned());
            }
            check
        };
        self.tracks.iter().map(judge).collect()
    }

    /// Counts a failed check; why the release is rejected, if it was one too many.
    fn fail(&mut self, checks: &[CheckStatus]) -> Option<String> {
        let decides = |check: &&CheckStatus| {
            let mut plans = self.tracks.iter().map(|track| track.plan);
            plans.any(|plan| plan.name == check.name && !plan.dry_run)
        };
        let mut failing = checks.iter().filter(decides);
        let failing = failing.find(|check| check.verdict == CheckVerdict::Fail)?;
        self.failed += 1;
        let limit = self.rules.analysis.threshold.max(1);
        let value = failing.value.as_deref().unwrap_or("no value");
        let wanted = failing.limit.as_deref().unwrap_or_default();
        (self.failed >= limit).then(|| {
            let failed = self.failed;
            format!(
                "{} {value} ({wanted}): {failed} of {limit} failed checks",
                failing.name
            )
        })
    }

    fn show(&mut self, at: Moment, checks: Vec<CheckStatus>) {
        let minutes = at.since(self.began).as_secs_f64() / 60.0;
        self.rows.push(Row {
            at,
            weight: self
                .weights
                .range(..=at)
                .next_back()
                .map(|(_, weight)| *weight),
            checks,
            comparison: shown::comparison(&self.joint, minutes),
        });
    }
}

/// How many of these weights leave both arms something.
fn shared<'a>(weights: impl Iterator<Item = &'a u8>) -> usize {
    weights.filter(|weight| (1..100).contains(*weight)).count()
}

/// Bursts in stable's own counters before the canary began.
fn dispersion(samples: &BTreeMap<Moment, Vec<Counter>>, began: Moment) -> f64 {
    let before = samples.range(..began).map(|(_, counters)| counters.clone());
    let before: Vec<Vec<Counter>> = before.collect();
    if before.len() < 2 {
        return PHI;
    }
    bursts::phi(&halves(&before))
}
