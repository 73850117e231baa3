//! What people asked for, which releases there were, and what became of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::moment::Moment;

/// A request of a person and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestStatus {
    /// The verb.
    pub verb: String,
    /// The request's identity: the same one is handled once.
    pub id: String,
    /// Who asked, as the API server knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was handled.
    pub at: Moment,
    /// What became of it.
    pub outcome: RequestOutcome,
    /// Why it was refused, or what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The request as it was written, while it still stands on the Canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
}

/// Whether a request was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequestOutcome {
    /// It was followed.
    Accepted,
    /// It was not; the message says why.
    Refused,
}

/// One finished attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The revision that was tried.
    pub revision: String,
    /// Its images.
    #[serde(default)]
    pub images: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Exceptions that it owed its promotion to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The person or manager behind the end, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When the attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Moment,
    /// Number of the attempt.
    #[serde(default)]
    pub attempt: u32,
}

/// How an attempt ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Outcome {
    /// It is the main release now.
    Promoted,
    /// The analysis or the readiness rejected it.
    RolledBack,
    /// A person, or stable put back, stopped it.
    Aborted,
    /// Another candidate took its place.
    Superseded,
    /// Nothing was there to protect.
    Skipped,
    /// It reached the main release without Serin.
    Bypassed,
}

/// An exception that a promotion owes itself to (SAFETY E3).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Mark {
    /// Too little traffic for evidence.
    Unproven,
    /// A person, or `skipAnalysis`, wanted it so.
    Forced,
    /// Stable was broken.
    RollForward,
    /// It was promoted before, within the rollback window.
    KnownGood,
}
