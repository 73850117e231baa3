//! The rows of a timeline, out of what the controller said: phases, weights, rounds of checks, waits, Pods, Events.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::simulate::play::{Report, between};
use crate::cli::simulate::record::Said;
use crate::crd::status::{CanaryStatus, CheckStatus, CheckVerdict, Diagnosis, Phase};

/// What is wrong with every Pod that has just begun.
const STARTING: &str = "NotReady";

/// How long that is nothing to tell.
const TO_START: Duration = Duration::from_secs(10);

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Seconds since the new version was shipped.
    pub seconds: f64,
    /// The phase that the Canary is in.
    pub phase: Phase,
    /// The weight of the new version, as the router has accepted it, in percent.
    pub weight: u8,
    /// The step, for instance `2/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What the row is about.
    pub kind: RowKind,
    /// Of an Event, its reason; of Pods, the first word of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For people.
    pub message: String,
    /// The checks of a round, worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Whether it is good or bad news.
    #[serde(skip)]
    pub news: News,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RowKind {
    /// The new version was shipped.
    Shipped,
    /// Another phase.
    Phase,
    /// Another weight.
    Weight,
    /// A round of checks.
    Checks,
    /// A person is waited for.
    Wait,
    /// Pods that do not start.
    Pods,
    /// An Event of the controller: a decision, and why.
    Event,
}

/// Whether a row is good or bad news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum News {
    /// It goes on as it should.
    #[default]
    Neutral,
    /// A good end.
    Good,
    /// Something waits, or cannot be told.
    Busy,
    /// Something is wrong.
    Bad,
}

/// A check as it was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// The value of the new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The value of the version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// Requests or values that were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,
    /// What is missing, or what else was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl From<&CheckStatus> for Check {
    fn from(check: &CheckStatus) -> Self {
        Self {
            name: check.name.clone(),
            verdict: check.verdict,
            value: check.value.clone(),
            limit: check.limit.clone(),
            stable: check.stable.clone(),
            samples: check.samples,
            message: check.message.clone(),
        }
    }
}

impl Check {
    /// As people read it.
    #[must_use]
    pub fn words(&self) -> String {
        let sign = match self.verdict {
            CheckVerdict::Pass => "✓",
            CheckVerdict::Fail | CheckVerdict::Invalid => "✗",
            CheckVerdict::Unproven | CheckVerdict::Inconclusive | CheckVerdict::NoData => "?",
        };
        let mut text = format!("{sign} {}", self.name);
        if let Some(value) = &self.value {
            text.push_str(&format!(" {value}"));
        }
        if let Some(limit) = &self.limit {
            text.push_str(&format!(" ({limit})"));
        }
        // A failure is told by an Event of its own, and what passes needs no words.
        let told = matches!(self.verdict, CheckVerdict::Pass | CheckVerdict::Fail);
        if let Some(message) = self.message.as_ref().filter(|_| !told) {
            text.push_str(&format!(": {message}"));
        }
        text
    }
}

/// The rows of everything that was said since the new version was shipped.
#[must_use]
pub fn rows(report: &Report) -> Vec<Row> {
    let mut writer = Writer {
        rows: Vec::new(),
        status: CanaryStatus::default(),
        shipped: report.shipped,
        now: Duration::ZERO,
        told: BTreeSet::new(),
    };
    let (stable, candidate) = &report.images;
    writer.status.phase = Phase::Initialized;
    writer.row(
        RowKind::Shipped,
        &format!("{stable} → {candidate} is shipped"),
    );
    for (index, record) in report.records.iter().enumerate() {
        writer.now = between(report.shipped, record.at);
        let next = report.records.get(index + 1);
        let next = next.filter(|next| next.at == record.at);
        let told = next.is_some_and(|next| matches!(next.said, Said::Event { .. }));
        match &record.said {
            Said::Status(status) => writer.status(status, told),
            Said::Event {
                reason,
                message,
                warning,
            } => writer.event(reason, message, *warning),
        }
    }
    writer.rows
}

struct Writer {
    rows: Vec<Row>,
    /// The last one.
    status: CanaryStatus,
    shipped: Timestamp,
    now: Duration,
    /// What is known to be wrong with Pods.
    told: BTreeSet<String>,
}

impl Writer {
    fn row(&mut self, kind: RowKind, message: &str) -> &mut Row {
        let step = self.status.step.as_ref();
        let step = step.filter(|_| !self.status.phase.is_idle());
        self.rows.push(Row {
            seconds: self.now.as_secs_f64(),
            phase: self.status.phase,
            weight: self.status.canary_weight,
            step: step.map(|step| step.progress()),
            kind,
            reason: None,
            message: message.to_owned(),
            checks: Vec::new(),
            news: News::Neutral,
        });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// What is new in a status; an Event that comes with it says the phase in better words.
    fn status(&mut self, status: &CanaryStatus, told: bool) {
        if is_new_round(&self.status, status) {
            self.round(status);
        }
        let before = std::mem::replace(&mut self.status, status.clone());
        if before.phase != status.phase && !told {
            self.row(RowKind::Phase, &status.message);
        } else if before.canary_weight != status.canary_weight {
            let message = format!("the weight of {} % is in force", status.canary_weight);
            self.row(RowKind::Weight, &message);
        }
        let waiting = |status: &CanaryStatus| status.step.as_ref().and_then(|it| it.waiting);
        if waiting(status).is_some() && waiting(&before) != waiting(status) && !told {
            self.row(RowKind::Wait, &status.message).news = News::Busy;
        }
        self.pods(status);
    }

    fn round(&mut self, status: &CanaryStatus) {
        let checks: Vec<_> = status.checks.iter().map(Check::from).collect();
        let worst = checks.iter().map(|check| check.verdict).max();
        let words: Vec<_> = checks.iter().map(Check::words).collect();
        let message = format!("round {}: {}", status.iterations, words.join(", "));
        let row = self.row(RowKind::Checks, &message);
        row.checks = checks;
        row.news = match worst {
            Some(CheckVerdict::Fail | CheckVerdict::Invalid) => News::Bad,
            Some(CheckVerdict::Pass) | None => News::Neutral,
            Some(_) => News::Busy,
        };
    }

    /// Pods that have something wrong with them that was not told yet.
    fn pods(&mut self, status: &CanaryStatus) {
        let there = |reason: &String| status.diagnosis.iter().any(|it| it.reason == *reason);
        self.told.retain(there);
        let now = self.now;
        let is_old = |it: &&Diagnosis| {
            let since = it
                .since
                .map(|since| between(self.shipped, since.timestamp()));
            it.reason != STARTING || since.is_some_and(|since| now >= since + TO_START)
        };
        let fresh = status.diagnosis.iter().filter(is_old);
        let mut fresh = fresh.filter(|it| !self.told.contains(&it.reason));
        if let Some(trouble) = fresh.next_back().cloned() {
            let message = format!("{}: {}; {}", trouble.object, trouble.message, trouble.hint);
            let row = self.row(RowKind::Pods, &message);
            row.reason = Some(trouble.reason.clone());
            row.news = News::Busy;
            self.told.insert(trouble.reason);
        }
    }

    fn event(&mut self, reason: &str, message: &str, warning: bool) {
        let row = self.row(RowKind::Event, message);
        row.reason = Some(reason.to_owned());
        row.news = match reason {
            "Promoted" => News::Good,
            "GateWaiting" => News::Busy,
            _ if warning => News::Bad,
            _ => News::Neutral,
        };
    }
}

/// Whether a round of checks was judged since.
fn is_new_round(before: &CanaryStatus, status: &CanaryStatus) -> bool {
    let last = |status: &CanaryStatus| status.checks.iter().map(|check| check.at).max();
    last(status).is_some()
        && (last(before) != last(status) || before.iterations < status.iterations)
}
