//! The `MetricTemplate`: how a value is measured, in Flagger's fields.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::canary::Open;

/// A query with variables, and the server that answers it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "serin.dev",
    version = "v1beta1",
    kind = "MetricTemplate",
    namespaced,
    category = "serin",
    doc = "A query with variables, and the server that answers it.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct MetricTemplateSpec {
    /// The server that answers.
    pub provider: MetricServer,
    /// The query, with variables such as `{{ namespace }}`, `{{ target }}`, `{{ service }}`, `{{ interval }}` and
    /// `{{ variables.x }}`.
    #[schemars(length(min = 1, max = 8_192))]
    pub query: String,
}

/// A server that answers queries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricServer {
    /// Its type. `prometheus` is there, the others come later.
    #[serde(rename = "type")]
    #[schemars(length(max = 32))]
    pub type_: String,
    /// Its address; the controller's metrics server if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2_048))]
    pub address: Option<String>,
    /// Credentials. Comes later; set, it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<Open>,
    /// Region of a cloud provider. Comes later; set, it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
    /// Skip the verification of the server's certificate. Comes later; set, it is refused.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// Headers to send. Comes later; set, it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Open>,
}
