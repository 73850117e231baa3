//! Judges samples. What it remembers is in the status; it performs nothing and reads no clock.

pub mod comparison;
pub mod counts;
mod gamma;
pub mod threshold;
pub mod traffic;

use crate::crd::canary::OnNoData;

/// One metric that judges this Canary, with what the core needs to judge it.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPlan {
    /// Name in the spec, or of the built-in one.
    pub name: String,
    /// How it is measured.
    pub measure: Measure,
    /// The limit.
    pub limit: Limit,
    /// What no data means.
    pub on_no_data: OnNoData,
    /// Shown, but decides nothing.
    pub dry_run: bool,
    /// Requests that a verdict needs; not set: from the limit.
    pub min_samples: Option<i64>,
    /// Window, in seconds.
    pub window_seconds: u32,
    /// It is there because of the defaults, not because the user wrote it.
    pub default: bool,
}

/// How a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Requests, and bad ones among them.
    Share,
    /// One number by a template.
    Value,
}

/// The limit of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// For a `Share`: tolerated share of bad requests, in millionths.
    pub tolerated_millionths: Option<i64>,
    /// For `request-duration`: the limit in milliseconds that makes a request bad.
    pub slower_than_ms: Option<f64>,
}

impl Limit {
    /// No fixed limit: slow is what is slower than nearly all of stable's requests, and only the comparison judges. Which that are, in
    /// milliseconds, is found when an attempt begins.
    #[must_use]
    pub fn of_stable(slower_than_ms: Option<f64>) -> Self {
        Self {
            tolerated_millionths: Some(1_000_000),
            slower_than_ms: Some(slower_than_ms.unwrap_or(f64::INFINITY)),
            ..Self::default()
        }
    }

    /// Whether it is of that kind.
    #[must_use]
    pub fn is_of_stable(&self) -> bool {
        self.slower_than_ms.is_some() && self.tolerated_millionths == Some(1_000_000)
    }
}

/// Raw counters of one process for one arm, as they stood at the time of the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Counter {
    /// The process: a Pod, or an instance of a proxy.
    pub process: String,
    /// True: requests to the canary; false: to stable.
    pub canary: bool,
    /// The process is a Pod of the canary, made for this attempt: whatever it ever counted belongs to this attempt. A
    /// proxy may be older than that.
    pub canary_pod: bool,
    /// All requests.
    pub all: f64,
    /// Bad ones: errors, or those slower than the limit.
    pub bad: f64,
    /// Time of the sample, in seconds since 1970; the newest of its series.
    pub at: f64,
}
