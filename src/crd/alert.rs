//! Alerts: which messages of a Canary go where, and those that are still to be sent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::moment::Moment;

/// Where messages of one Canary go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertRoute {
    /// Its name, which no other alert of the Canary has.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The least severity that is sent.
    #[serde(default)]
    pub severity: Severity,
    /// The AlertProvider.
    pub provider_ref: ProviderRef,
}

/// A reference to an AlertProvider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; no other than the Canary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// How bad something is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it shall be: a release began, was promoted, was overtaken.
    #[default]
    Info,
    /// Somebody should look: something waits, or a check failed.
    Warn,
    /// A release failed, is stuck, or is not protected.
    Error,
}

impl Severity {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What was to be told of the current attempt, and what of it is still to be sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Alerts {
    /// The attempt.
    pub attempt: u32,
    /// What was raised in it and when: the reason and the step, as `NoData/2`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raised: BTreeMap<String, Moment>,
    /// Messages that are not everywhere yet, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Alert>,
}

/// One message to people, as things stood when it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// What happened: the reason of the Event.
    pub reason: String,
    /// How bad that is.
    pub severity: Severity,
    /// When it happened.
    pub at: Moment,
    /// The attempt; 0 before the first.
    #[serde(default)]
    pub attempt: u32,
    /// The step as people read it, for instance `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Weight of the canary that is wanted, in percent.
    #[serde(default)]
    pub weight: u8,
    /// What is under test, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Version>,
    /// What the main release runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// What, why, and what next.
    pub message: String,
    /// Names of the alerts that are still to be sent.
    pub to: Vec<String>,
}

/// What one arm runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The revision.
    pub revision: String,
    /// Its images, the first few.
    #[serde(default)]
    pub images: Vec<String>,
}
