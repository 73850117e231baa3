//! What the status says of the traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::affinity::Cookie;
use crate::crd::header_route::Standing;
use crate::crd::moment::Moment;

/// The canary's share of the traffic, as wanted, as accepted, and as seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficStatus {
    /// The weight that the route shall have, in percent.
    pub wanted: u8,
    /// The weight that was last read back from the route, in percent.
    pub written: u8,
    /// The share that was last measured in requests, in percent, as text with one decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Since when the wanted weight is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_at: Option<Moment>,
    /// Since when the router runs the wanted weight, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Moment>,
    /// Matching requests shall go to the canary, whatever its weight.
    #[serde(skip_serializing_if = "is_default")]
    pub matched: bool,
    /// The status's `headerRoutes` that shall lead to the canary, by their positions, from 1.
    #[serde(skip_serializing_if = "is_default")]
    pub header_routes: Standing,
    /// The share of requests that shall be copied to the canary, in percent.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: u8,
    /// The route sends matching requests, or copies, to the canary, as it was last read.
    #[serde(skip_serializing_if = "is_default")]
    pub beside: bool,
    /// The cookie that keeps users where they are, from the canary's first share to its last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
    /// Ready canary Pods that backed the accepted weight: fewer are a loss.
    pub backed: i32,
    /// Times at which somebody else's weights were put right, within the last five minutes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Moment>,
}

impl TrafficStatus {
    /// Whether any request goes to the canary, or shall go there.
    #[must_use]
    pub fn reaches_canary(&self) -> bool {
        let beside = self.matched || !self.header_routes.is_empty() || self.mirror > 0;
        self.wanted > 0 || beside || self.written > 0 || self.beside
    }
}

/// Whether a value is the one that is not written.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
