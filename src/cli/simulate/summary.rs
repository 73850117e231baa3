//! What is said of a release when it has been played: the outcome, how long it took, what users noticed.

use std::time::Duration;

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::simulate::play::{Ending, Report};
use crate::cli::simulate::timeline::{self, Row};
use crate::crd::status::Outcome;
use crate::sim::traffic::ledger::Counts;

/// Everything that is printed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Namespace of the Canary.
    pub namespace: String,
    /// Name of the Canary.
    pub name: String,
    /// Image of the version that was there.
    pub stable: String,
    /// Image of the new version.
    pub candidate: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Where chance began.
    pub seed: u64,
    /// One of the outcomes of the history, or `Waiting`, `Unfinished`, `Refused`.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// As the exit code says it.
    pub exit_code: u8,
    /// From the shipping to the end.
    pub duration_seconds: f64,
    /// Since when a person is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since_seconds: Option<f64>,
    /// What `helm upgrade --timeout` needs for a release like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helm_timeout: Option<String>,
    /// What became of the requests of this time.
    pub requests: Requests,
    /// What happened.
    pub timeline: Vec<Row>,
    /// What was left out of the files.
    pub notes: Vec<String>,
}

/// What became of requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// All that users sent.
    pub sent: u64,
    /// Those that nobody answered.
    pub lost: u64,
    /// Those that the application failed.
    pub errors: u64,
    /// Those that the new version answered.
    pub candidate: u64,
    /// Those of them that it failed.
    pub candidate_errors: u64,
}

impl Requests {
    fn of((all, candidate): (Counts, Counts)) -> Self {
        Self {
            sent: all.answered + all.lost,
            lost: all.lost,
            errors: all.errors,
            candidate: candidate.answered,
            candidate_errors: candidate.errors,
        }
    }
}

impl Summary {
    /// What is said of a report.
    #[must_use]
    pub fn new(report: &Report, scenario: &str, seed: u64) -> Self {
        let (outcome, reason) = match &report.ending {
            Ending::Over(outcome, reason) => (format!("{outcome:?}"), reason.clone()),
            Ending::Waits(_, what) => ("Waiting".to_owned(), format!("waits for {what}")),
            Ending::Unfinished(what) => ("Unfinished".to_owned(), what.clone()),
            Ending::Refused(why) => ("Refused".to_owned(), why.clone()),
        };
        let since = match &report.ending {
            Ending::Waits(since, _) => Some(since.as_secs_f64()),
            _ => None,
        };
        let promoted = matches!(report.ending, Ending::Over(Outcome::Promoted, _));
        let (namespace, name) = report.canary.clone();
        let (stable, candidate) = report.images.clone();
        Self {
            namespace,
            name,
            stable,
            candidate,
            scenario: scenario.to_owned(),
            seed,
            outcome,
            reason,
            exit_code: exit(&report.ending).code(),
            duration_seconds: report.lasted.as_secs_f64(),
            waiting_since_seconds: since,
            helm_timeout: promoted.then(|| helm_timeout(report.lasted)),
            requests: Requests::of(report.requests),
            timeline: timeline::rows(report),
            notes: report.notes.clone(),
        }
    }
}

/// The exit code of an ending.
#[must_use]
pub fn exit(ending: &Ending) -> Exit {
    match ending {
        Ending::Over(Outcome::Promoted | Outcome::Skipped | Outcome::Bypassed, _) => Exit::Done,
        Ending::Over(..) => Exit::Failed,
        Ending::Refused(_) => Exit::Usage,
        Ending::Waits(..) | Ending::Unfinished(_) => Exit::TimedOut,
    }
}

/// What a release of this length needs as a timeout. A real cluster pulls images and starts Pods more slowly: a quarter more, at
/// least two minutes, in numbers that people write.
#[must_use]
pub fn helm_timeout(lasted: Duration) -> String {
    let seconds = lasted.as_secs();
    let wanted = seconds + (seconds / 4).max(120);
    let minutes = wanted.div_ceil(60);
    let step = match minutes {
        0..=10 => 1,
        11..=60 => 5,
        _ => 15,
    };
    let minutes = minutes.div_ceil(step) * step;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_leaves_room_and_is_a_number_that_people_write() {
        let rows = [
            (0, "2m"),
            (36, "3m"),
            (470, "10m"),
            (567, "15m"),
            (2_400, "50m"),
            (3_000, "1h15m"),
            (5_700, "2h"),
            (86_400, "30h"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(
                helm_timeout(Duration::from_secs(seconds)),
                expected,
                "{seconds}"
            );
        }
    }

    #[test]
    fn exit_codes_follow_from_the_ending() {
        let over = |outcome| Ending::Over(outcome, String::new());
        let rows = [
            (over(Outcome::Promoted), Exit::Done),
            (over(Outcome::RolledBack), Exit::Failed),
            (over(Outcome::Aborted), Exit::Failed),
            (Ending::Refused(String::new()), Exit::Usage),
            (Ending::Waits(Duration::ZERO, String::new()), Exit::TimedOut),
            (Ending::Unfinished(String::new()), Exit::TimedOut),
        ];
        for (ending, expected) in rows {
            assert_eq!(exit(&ending), expected, "{ending:?}");
        }
    }
}
