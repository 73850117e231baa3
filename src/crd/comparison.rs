//! What the comparison with stable remembers, and what it shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The evidence about one metric, packed: what it says is the analysis' business (ANALYSIS 4.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PackedEvidence {
    /// Which form of memory this is.
    pub form: u32,
    /// All steps of the plan with traffic for both arms.
    pub steps: u32,
    /// The current one of them, from 1.
    pub step: u32,
    /// The evidence was over its limit in the last round.
    pub crossed: bool,
    /// Evidence for promotion was reached.
    pub proven: bool,
    /// Sums and terms.
    pub sums: String,
    /// Likelihoods since the attempt began.
    pub attempt: String,
    /// Likelihoods since the step began.
    pub since_step: String,
}

/// How canary and stable compare in one metric, as people read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComparisonStatus {
    /// The metric.
    pub metric: String,
    /// Requests to the canary that were compared.
    pub canary: ComparedCounts,
    /// Requests to stable that were compared.
    pub stable: ComparedCounts,
    /// How many times as bad as stable the canary is, at the likeliest; not set while neither had a bad request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<String>,
    /// Lower end of its 95 % confidence sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_low: Option<String>,
    /// Upper end; not set: any multiple is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_high: Option<String>,
    /// Evidence that the canary is worse than tolerated, as a natural logarithm.
    pub evidence: String,
    /// The evidence at which the release is rejected, if no other metric says anything.
    pub evidence_limit: String,
    /// Evidence that it may be promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// The evidence that promotion needs.
    pub proof_limit: String,
    /// How much more bad requests vary than independent ones would.
    pub dispersion: String,
    /// In so many minutes the release would be rejected, if all goes on as so far; not set: it does not go that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decides_in_minutes: Option<i64>,
}

/// Requests of one arm, in whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComparedCounts {
    /// All of them.
    pub requests: i64,
    /// Bad ones.
    pub bad: i64,
}
