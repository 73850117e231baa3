//! What a Canary looked like over time: one point for each change that a chart shows, in bounded memory.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::Serialize;

use crate::cluster::Place;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::{CanaryStatus, CheckStatus, CheckVerdict, Outcome, Phase, Release};
use crate::server::view::Position;

/// Points of one Canary.
const POINTS: usize = 512;
/// Points of all Canaries: at 400 bytes each they take 8 MB.
const ALL_POINTS: usize = 20_000;
/// Checks of a point.
const CHECKS: usize = 10;

/// A Canary over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// When the recording began; of the time before only the releases are known.
    pub since: Moment,
    /// Changes, oldest first.
    pub points: Vec<Point>,
    /// Finished attempts, newest first, as in the history.
    pub releases: Vec<Finished>,
}

/// How a Canary looked from this time on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When.
    pub at: Moment,
    /// Where its release stood.
    pub phase: Phase,
    /// The candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The share that the plan wants for it, in percent.
    pub wanted: u8,
    /// The share that the route says, in percent.
    pub written: u8,
    /// The share that was measured, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Where in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Position>,
    /// Failed checks of the attempt.
    pub failed_checks: u32,
    /// The last round of checks.
    pub checks: Vec<PointCheck>,
}

/// A check of a point.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointCheck {
    /// Its name.
    pub name: String,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// The canary's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// Stable's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// A finished attempt.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// The revision that was tried.
    pub revision: String,
    /// Its images.
    pub images: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Moment,
}

/// The points of all Canaries.
#[derive(Debug, Default)]
pub(super) struct Points {
    tracks: BTreeMap<Place, Track>,
    total: usize,
}

#[derive(Debug, Default)]
struct Track {
    points: VecDeque<Kept>,
    /// The last point, to see what differs.
    last: Option<Point>,
}

/// A point as text, which takes a third of the memory.
#[derive(Debug)]
struct Kept {
    at: Moment,
    text: Box<str>,
}

impl Points {
    /// Notes how a Canary looks now, if that is something else than before.
    pub(super) fn note(&mut self, place: &Place, canary: &Canary, now: Moment) {
        let track = self.tracks.entry(place.clone()).or_default();
        let mut point = Point::of(canary, now);
        if let Some(last) = &track.last {
            let at = std::mem::replace(&mut point.at, last.at);
            if *last == point {
                return;
            }
            point.at = at;
        }
        let text = serde_json::to_string(&point).unwrap_or_default();
        track.points.push_back(Kept {
            at: now,
            text: text.into(),
        });
        track.last = Some(point);
        self.total += 1;
        if track.points.len() > POINTS {
            track.points.pop_front();
            self.total -= 1;
        }
        if self.total > ALL_POINTS {
            self.drop_oldest();
        }
    }

    /// The Canary is gone.
    pub(super) fn forget(&mut self, place: &Place) {
        if let Some(track) = self.tracks.remove(place) {
            self.total -= track.points.len();
        }
    }

    /// The points of one Canary in JSON, oldest first.
    pub(super) fn text(&self, place: &Place) -> String {
        let points = self.tracks.get(place).into_iter();
        let texts: Vec<&str> = points
            .flat_map(|track| &track.points)
            .map(|kept| &*kept.text)
            .collect();
        format!("[{}]", texts.join(","))
    }

    fn drop_oldest(&mut self) {
        let oldest = self
            .tracks
            .values_mut()
            .filter(|track| !track.points.is_empty())
            .min_by_key(|track| track.points.front().map(|kept| kept.at));
        if let Some(track) = oldest {
            track.points.pop_front();
            self.total -= 1;
        }
    }
}

impl Point {
    fn of(canary: &Canary, at: Moment) -> Self {
        let initial = CanaryStatus::default();
        let status = canary.status.as_ref().unwrap_or(&initial);
        let candidate = status.candidate.as_ref();
        Self {
            at,
            phase: status.phase,
            revision: candidate.map(|candidate| candidate.revision.clone()),
            wanted: status.traffic.wanted,
            written: status.traffic.written,
            observed: status.traffic.observed.clone(),
            step: status.step.as_ref().map(Position::of),
            failed_checks: status.failed_checks,
            checks: status.checks.iter().take(CHECKS).map(check).collect(),
        }
    }
}

fn check(of: &CheckStatus) -> PointCheck {
    PointCheck {
        name: of.name.clone(),
        verdict: of.verdict,
        canary: of.value.clone(),
        stable: of.stable.clone(),
        limit: of.limit.clone(),
    }
}

/// The finished attempts of a Canary, newest first.
pub(super) fn releases(canary: &Canary) -> Vec<Finished> {
    let status = canary.status.as_ref();
    let history = status.map_or(&[][..], |status| &status.history);
    let finished = |release: &Release| Finished {
        revision: release.revision.clone(),
        images: release.images.clone(),
        outcome: release.outcome,
        started_at: release.started_at,
        ended_at: release.ended_at,
    };
    history.iter().map(finished).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::SIMULATED_START;

    fn canary(weight: u8) -> Canary {
        let object = json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web"},
            "spec": {"targetRef": {"name": "web"}}, "status": {"traffic": {"wanted": weight}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn place(name: &str) -> Place {
        ("shop".to_owned(), name.to_owned())
    }

    fn now(seconds: u64) -> Moment {
        Moment::new(SIMULATED_START).after(std::time::Duration::from_secs(seconds))
    }

    fn read(points: &Points, name: &str) -> Vec<Value> {
        serde_json::from_str(&points.text(&place(name))).unwrap()
    }

    #[test]
    fn a_point_is_a_change() {
        let mut points = Points::default();
        for (second, weight) in [(0, 0), (1, 0), (2, 10), (3, 10), (4, 0)] {
            points.note(&place("web"), &canary(weight), now(second));
        }
        let read = read(&points, "web");
        let wanted: Vec<_> = read.iter().map(|point| &point["wanted"]).collect();
        assert_eq!(wanted, [0, 10, 0]);
        points.forget(&place("web"));
        assert_eq!(
            (points.text(&place("web")).as_str(), points.total),
            ("[]", 0)
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes() {
        let mut points = Points::default();
        for number in 0..ALL_POINTS + 100 {
            let name = format!("c{}", number % 50);
            let weight = u8::from(number / 50 % 2 == 0);
            points.note(&place(&name), &canary(weight), now(number as u64));
        }
        let kept: usize = points.tracks.values().map(|track| track.points.len()).sum();
        assert_eq!((kept, points.total), (ALL_POINTS, ALL_POINTS));
        for number in 0..2 * POINTS {
            let weight = u8::from(number % 2 == 0);
            points.note(
                &place("busy"),
                &canary(weight),
                now(100_000 + number as u64),
            );
        }
        assert_eq!(read(&points, "busy").len(), POINTS);
        assert_eq!(points.total, ALL_POINTS);
        let read = read(&points, "c0");
        assert!(read.len() < ALL_POINTS / 50, "old points made room");
    }
}
