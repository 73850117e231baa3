//! The `MetricTemplate`: how a value is measured, in Flagger's fields.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::alert_provider::SecretRef;

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
    /// Its type: `prometheus`, `cloudwatch`, `datadog`, `dynatrace`, `externalmetrics`, `graphite`,
    /// `influxdb`, `newrelic`, `splunk`, `stackdriver` or `web`.
    #[serde(rename = "type")]
    #[schemars(length(max = 32))]
    pub type_: String,
    /// Its address. If it is not set, the controller's metrics server for `prometheus`, the API server for `externalmetrics`, and
    /// where it usually is for a store that has such a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2_048))]
    pub address: Option<String>,
    /// Secret of the template's namespace with the credentials, whose key `address` says where it may be sent. Its label
    /// `serin.dev/credentials: "true"` says that it is meant for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Region of the metrics, for type `cloudwatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
    /// Do not verify the server's certificate. Dangerous: whoever is on the way can answer in its place, and read the credentials.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// Headers to send, such as that of a tenant. Credentials belong into a Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Where the value stands in the answer of type `web`, for instance `{$.data.score}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub json_path: Option<String>,
}
