//! Hooks: addresses that are asked, or told, in the course of a release, in Flagger's fields.

use std::collections::BTreeMap;
use std::fmt;

use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::moment::Moment;
use crate::crd::record::Outcome;

/// How long an answer may take if the hook says nothing.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// An address that is asked, or told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Its name, which no other hook of the Canary has.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it is called, and what its answer means.
    #[serde(rename = "type", default)]
    pub kind: HookKind,
    /// Its address.
    #[schemars(length(min = 1, max = 2_048))]
    pub url: String,
    /// How long an answer may take; 10 s if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Further tries within one call, after no answer or one of 429 and 500 to 599.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: u32,
    /// Skip the verification of the server's certificate. Comes later; set, it is refused: write `ca.crt` into the Secret.
    #[serde(rename = "disableTLS", default)]
    pub disable_tls: bool,
    /// No message to people about it.
    #[serde(default)]
    pub mute_alert: bool,
    /// Values that are sent along.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Secret of the Canary's namespace with `address`, at or below which the hook lies, and with `token`, or `username` and
    /// `password`, or `signingKey`. Its label `serin.dev/credentials: "true"` says that it is meant for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<HookSecret>,
}

/// A Secret of the Canary's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl Hook {
    /// How long an answer may take.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        self.timeout.map_or(TIMEOUT, Into::into)
    }
}

/// When a hook is called, and what its answer means.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// Before the canary is deployed: anything but yes waits.
    ConfirmRollout,
    /// Once, when the canary is ready and has no traffic: a refusal is a failed check.
    PreRollout,
    /// In each round of checks: a refusal is a failed check.
    #[default]
    Rollout,
    /// Before each rise of the weight: anything but yes waits.
    ConfirmTrafficIncrease,
    /// Before promotion: anything but yes waits, and the analysis goes on.
    ConfirmPromotion,
    /// At every interval until promotion: yes rolls back.
    Rollback,
    /// After the release, whatever became of it.
    PostRollout,
    /// For every Event of the Canary.
    Event,
}

impl HookKind {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::Rollback => "rollback",
            Self::PostRollout => "post-rollout",
            Self::Event => "event",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A hook that is asked until it lets the step go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// Its name.
    pub name: String,
    /// Since when it is asked.
    pub since: Moment,
    /// Answers so far.
    #[serde(default)]
    pub answers: u32,
    /// When it is asked again.
    pub next_at: Moment,
    /// When it said yes, or a person went on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Moment>,
    /// What it said last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A release that ended, and the hooks that are still to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Afterwards {
    /// The attempt.
    pub attempt: u32,
    /// Its revision.
    pub revision: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Names of the hooks.
    pub hooks: Vec<String>,
}
