//! What happens in a simulation: how many requests users send, and what the Pods of the two versions do, over time.

use std::time::Duration;

use crate::cli::simulate::field::Reader;
use crate::cli::simulate::problem::Broken;
use crate::cli::simulate::yaml::{self, Node};
use crate::sim::behaviour::Behaviour;
use crate::sim::traffic::behaviour::Latency;
use crate::sim::traffic::rate::Rate;

/// The scenarios that are built in, by name.
pub const NAMED: [(&str, &str); 15] = [
    ("good", include_str!("scenarios/good.yaml")),
    ("errors", include_str!("scenarios/errors.yaml")),
    ("latency", include_str!("scenarios/latency.yaml")),
    ("crash", include_str!("scenarios/crash.yaml")),
    ("no-traffic", include_str!("scenarios/no-traffic.yaml")),
    ("flaky", include_str!("scenarios/flaky.yaml")),
    (
        "shared-outage",
        include_str!("scenarios/shared-outage.yaml"),
    ),
    ("tolerable", include_str!("scenarios/tolerable.yaml")),
    ("twice", include_str!("scenarios/twice.yaml")),
    ("three-times", include_str!("scenarios/three-times.yaml")),
    ("five-times", include_str!("scenarios/five-times.yaml")),
    ("twenty-times", include_str!("scenarios/twenty-times.yaml")),
    ("surge", include_str!("scenarios/surge.yaml")),
    ("late", include_str!("scenarios/late.yaml")),
    (
        "behind-an-outage",
        include_str!("scenarios/behind-an-outage.yaml"),
    ),
];

/// The slowest of a hundred requests takes so many times longer than the middle one, if nobody says otherwise.
const TAIL: u32 = 4;

/// Requests a second that are more than a simulation is for.
const MOST: f64 = 1e6;

/// What happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// In a sentence.
    pub description: String,
    traffic: Vec<(Duration, f64)>,
    candidate: Vec<Row>,
    stable: Vec<Row>,
}

/// Which of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The version that is there.
    Stable,
    /// The new one.
    Candidate,
}

/// What changes at a moment.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    at: Duration,
    sets: Vec<Set>,
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq)]
enum Set {
    Errors(f64),
    Latency(Duration, Option<Duration>),
    Slow(f64, Duration),
    Start(Duration),
    Crash(Option<Duration>),
    Ready(bool),
    Unready(Option<Duration>),
    Exists(bool),
    Exit(i64),
    Drain(Duration),
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Says everything that is wrong with it.
    pub fn read(text: &str, file: &str) -> Result<Self, Broken> {
        let documents = yaml::documents(text, file)?;
        let mut reader = Reader::new(file);
        let scenario = match documents.as_slice() {
            [one] => of(one, &mut reader),
            [] => {
                reader.refuse_all("holds no scenario; see docs/simulate.md for an example");
                Self::default()
            }
            [_, second, ..] => {
                reader.refuse(second, "", "a file holds one scenario; take the others out");
                Self::default()
            }
        };
        reader.done(scenario)
    }

    /// Requests a second when the new version is shipped.
    #[must_use]
    pub fn first_rate(&self) -> f64 {
        self.traffic.first().map_or(0.0, |(_, rate)| *rate)
    }

    /// Requests a second from then on, of so large a part of the users.
    #[must_use]
    pub fn rate(&self, part: f64) -> Rate {
        let steps = self.traffic.iter();
        Rate::Steps(steps.map(|(from, rate)| (*from, part * rate)).collect())
    }

    /// What the Pods of a version do, from which time on; the first is from the beginning.
    #[must_use]
    pub fn behaviours(&self, arm: Arm, mut does: Behaviour) -> Vec<(Duration, Behaviour)> {
        let rows = match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        };
        let mut found = vec![(Duration::ZERO, does.clone())];
        for row in rows {
            row.sets.iter().for_each(|set| set.apply(&mut does));
            match found.last_mut().filter(|(at, _)| *at == row.at) {
                Some((_, last)) => *last = does.clone(),
                None => found.push((row.at, does.clone())),
            }
        }
        found
    }

    /// When the last thing happens.
    #[must_use]
    pub fn last_change(&self) -> Duration {
        let rows = self.candidate.iter().chain(&self.stable);
        let times = rows.map(|row| row.at);
        let traffic = self.traffic.iter().map(|(at, _)| *at);
        times.chain(traffic).max().unwrap_or_default()
    }
}

impl Set {
    fn apply(&self, does: &mut Behaviour) {
        match *self {
            Self::Errors(part) => does.replies.error_rate = part,
            Self::Latency(median, p99) => {
                let p99 = p99.unwrap_or(median * TAIL).max(median);
                does.replies.latency = Latency {
                    median,
                    p99,
                    ..does.replies.latency
                };
            }
            Self::Slow(delayed, delay) => {
                does.replies.latency = Latency {
                    delayed,
                    delay,
                    ..does.replies.latency
                };
            }
            Self::Start(time) => does.start = time,
            Self::Crash(age) => does.ends_after = age,
            Self::Ready(ready) => does.ready = ready,
            Self::Unready(age) => does.unready_after = age,
            Self::Exists(exists) => does.exists = exists,
            Self::Exit(code) => does.exit_code = code,
            Self::Drain(time) => does.drain = time,
        }
    }
}

fn of(node: &Node, reader: &mut Reader<'_>) -> Scenario {
    let fields = ["description", "traffic", "candidate", "stable", "both"];
    reader.only(node, "", &fields);
    let description = node
        .get("description")
        .and_then(|it| reader.text(it, "description"));
    let traffic = rows(node, "traffic", reader)
        .into_iter()
        .filter_map(|(at, row, path)| {
            reader.only(row, &path, &["at", "rate"]);
            let rate = row.get("rate");
            if rate.is_none() {
                reader.refuse(row, &path, "has no rate; write {at: 0s, rate: 200}");
            }
            let rate = reader.number(rate?, &format!("{path}.rate"), MOST)?;
            Some((at, rate))
        })
        .collect();
    let both = behaviours(node, "both", reader);
    let arm = |name, reader: &mut Reader<'_>| {
        let mut rows = both.clone();
        rows.extend(behaviours(node, name, reader));
        // What is said of one version alone counts more than what is said of both at the same time.
        rows.sort_by_key(|row| row.at);
        rows
    };
    Scenario {
        description: description.unwrap_or_default(),
        traffic,
        candidate: arm("candidate", reader),
        stable: arm("stable", reader),
    }
}

/// The rows of a list with their times, which do not fall.
fn rows<'a>(
    node: &'a Node,
    name: &str,
    reader: &mut Reader<'_>,
) -> Vec<(Duration, &'a Node, String)> {
    let mut last = Duration::ZERO;
    let mut found = Vec::new();
    let items = node
        .get(name)
        .map_or(&[][..], |list| reader.list(list, name));
    for (index, row) in items.iter().enumerate() {
        let path = format!("{name}[{index}]");
        let at = row.get("at");
        let at = at.map_or(Some(Duration::ZERO), |at| {
            reader.duration(at, &format!("{path}.at"))
        });
        let Some(at) = at else { continue };
        if at < last {
            reader.refuse(
                row,
                &format!("{path}.at"),
                "is before the row above; rows stand in the order of time",
            );
        }
        last = at;
        found.push((at, row, path));
    }
    found
}

fn behaviours(node: &Node, name: &str, reader: &mut Reader<'_>) -> Vec<Row> {
    let rows = rows(node, name, reader).into_iter();
    rows.map(|(at, row, path)| Row {
        at,
        sets: sets(row, &path, reader),
    })
    .collect()
}

fn sets(row: &Node, path: &str, reader: &mut Reader<'_>) -> Vec<Set> {
    let known = [
        "at", "errors", "latency", "p99", "slow", "start", "crash", "exit", "ready", "unready",
        "image", "drain",
    ];
    reader.only(row, path, &known);
    let mut found = Vec::new();
    for name in known {
        let Some(value) = row.get(name) else { continue };
        let path = format!("{path}.{name}");
        let set = match name {
            "errors" => reader.share(value, &path).map(Set::Errors),
            "latency" => latency(row, value, &path, reader),
            "p99" if row.get("latency").is_none() => {
                reader.refuse(value, &path, "needs latency, the middle of all, beside it");
                None
            }
            "slow" => slow(value, &path, reader),
            "start" => reader.duration(value, &path).map(Set::Start),
            "crash" => reader.age(value, &path).map(Set::Crash),
            "unready" => reader.age(value, &path).map(Set::Unready),
            "ready" => reader.flag(value, &path).map(Set::Ready),
            "image" => {
                let word = reader.word(value, &path, &["missing", "present"]);
                word.map(|word| Set::Exists(word == "present"))
            }
            "exit" => reader
                .number(value, &path, 255.0)
                .map(|code| Set::Exit(code as i64)),
            "drain" => reader.duration(value, &path).map(Set::Drain),
            _ => None,
        };
        found.extend(set);
    }
    found
}

fn latency(row: &Node, value: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Set> {
    let median = reader.duration(value, path)?;
    let p99 = row
        .get("p99")
        .and_then(|p99| reader.duration(p99, &path.replace("latency", "p99")));
    if p99.is_some_and(|p99| p99 < median) {
        reader.refuse(row, path, "is longer than p99, the slowest of a hundred");
    }
    Some(Set::Latency(median, p99))
}

fn slow(value: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Set> {
    reader.only(value, path, &["share", "by"]);
    let (Some(share), Some(by)) = (value.get("share"), value.get("by")) else {
        reader.refuse(value, path, "needs both; write {share: 2%, by: 1s}");
        return None;
    };
    let share = reader.share(share, &format!("{path}.share"));
    let by = reader.duration(by, &format!("{path}.by"));
    Some(Set::Slow(share?, by?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn named_scenarios_can_be_read() {
        for (name, text) in NAMED {
            let scenario = Scenario::read(text, name).unwrap();
            assert!(!scenario.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn rows_carry_on_until_another_one_says_otherwise() {
        let text = "
both: [{errors: 1%, latency: 40ms}, {at: 9s, errors: 50%}]
candidate: [{errors: 2%, slow: {share: 5, by: 1s}}, {at: 5s, crash: 3s, latency: 10ms, p99: 20ms}, {at: 10s, crash: never}]
";
        let scenario = Scenario::read(text, "it").unwrap();
        let shown = |arm| {
            let found = scenario.behaviours(arm, Behaviour::new("2"));
            let rows = found.into_iter().map(|(at, does)| {
                let Latency {
                    median,
                    p99,
                    delayed,
                    ..
                } = does.replies.latency;
                let (at, errors) = (at.as_secs(), does.replies.error_rate);
                format!(
                    "{at}: {errors} {median:?} {p99:?} {delayed} {:?}",
                    does.ends_after
                )
            });
            rows.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Arm::Candidate),
            [
                "0: 0.02 40ms 160ms 0.05 None",
                "5: 0.02 10ms 20ms 0.05 Some(3s)",
                "9: 0.5 10ms 20ms 0.05 Some(3s)",
                "10: 0.5 10ms 20ms 0.05 None",
            ]
        );
        assert_eq!(
            shown(Arm::Stable),
            ["0: 0.01 40ms 160ms 0 None", "9: 0.5 40ms 160ms 0 None"]
        );
        assert_eq!(scenario.last_change(), 10 * SECOND);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let text = "trafic: []
traffic:
  - {at: 0s, rate: -1}
  - {at: 5m, rate: many}
  - {at: 1m}
candidate:
  - {error: 5%, latency: 40}
  - {errors: 120%, ready: perhaps, image: gone, crash: late}
  - {p99: 1s, slow: {share: 2%}}
  - 7
stable: {errors: 1%}
";
        let broken = Scenario::read(text, "bad.yaml").unwrap_err();
        expect_test::expect![[r#"
            bad.yaml:1:1: trafic: is not known here; did you mean traffic?
            bad.yaml:3:20: traffic[0].rate: is -1, and has to be a number from 0 to 1000000
            bad.yaml:4:20: traffic[1].rate: is "many", and has to be a number from 0 to 1000000
            bad.yaml:5:5: traffic[2]: has no rate; write {at: 0s, rate: 200}
            bad.yaml:5:5: traffic[2].at: is before the row above; rows stand in the order of time
            bad.yaml:7:6: candidate[0].error: is not known here; did you mean errors?
            bad.yaml:7:26: candidate[0].latency: is 40, and has to be a duration with its unit, such as 40ms, 8s or 5m
            bad.yaml:8:14: candidate[1].errors: is "120%", and has to be a percentage from 0% to 100%, such as 0.5%
            bad.yaml:8:27: candidate[1].ready: is "perhaps", and has to be true or false
            bad.yaml:8:43: candidate[1].image: is "gone", and has to be missing or present
            bad.yaml:8:56: candidate[1].crash: is "late", and has to be the age of a process with its unit, such as 20s, or never
            bad.yaml:9:11: candidate[2].p99: needs latency, the middle of all, beside it
            bad.yaml:9:21: candidate[2].slow: needs both; write {share: 2%, by: 1s}
            bad.yaml:10:5: candidate[3]: is a number, and has to be fields: at, errors, latency, p99, slow, start, crash, exit, ready, unready, image, drain
            bad.yaml:11:9: stable: is fields, and has to be a list of rows, such as - {at: 0s, …}"#]].assert_eq(&broken.to_string());
    }

    #[test]
    fn a_file_holds_one_scenario() {
        for text in ["", "---\n---\n", "traffic: []\n---\ntraffic: []\n", "- 1\n"] {
            let broken = Scenario::read(text, "it.yaml").unwrap_err();
            assert!(
                broken.to_string().contains("scenario") || broken.to_string().contains("fields"),
                "{broken}"
            );
        }
    }
}
