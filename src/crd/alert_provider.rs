//! The `AlertProvider`: where messages to people go, in Flagger's fields.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where messages to people go. Canaries of the same namespace name it in `analysis.alerts`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "serin.dev",
    version = "v1beta1",
    kind = "AlertProvider",
    namespaced,
    category = "serin",
    doc = "Where messages to people go.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct AlertProviderSpec {
    /// The system that takes the messages.
    #[serde(rename = "type")]
    pub type_: AlertType,
    /// Channel or room, where the system has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub channel: Option<String>,
    /// Name that the messages are sent under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub username: Option<String>,
    /// Address to send to. Addresses are secrets to most systems: better put it into the Secret of `secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2_048))]
    pub address: Option<String>,
    /// Proxy on the way there. Comes later; set, nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub proxy: Option<String>,
    /// Secret of the same namespace with the keys `address` and, where the system wants one, `token`. Its label
    /// `serin.dev/credentials: "true"` says that it is meant for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Form of the messages to `msteams`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TeamsFormat>,
}

/// The systems that take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertType {
    /// Slack.
    Slack,
    /// Discord.
    Discord,
    /// Rocket.Chat.
    Rocket,
    /// Microsoft Teams.
    Msteams,
    /// Google Chat.
    Gchat,
    /// Prometheus Alertmanager.
    Alertmanager,
    /// CloudEvents to any address.
    Webhook,
}

impl AlertType {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Rocket => "rocket",
            Self::Msteams => "msteams",
            Self::Gchat => "gchat",
            Self::Alertmanager => "alertmanager",
            Self::Webhook => "webhook",
        }
    }
}

/// Form of the messages to Microsoft Teams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TeamsFormat {
    /// Adaptive Cards, for Workflows.
    AdaptiveCard,
    /// The form of the old connectors.
    MessageCard,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
