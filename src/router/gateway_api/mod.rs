//! Provider `gatewayapi:v1`: weights in the routes of the Gateway API, below a Gateway or a Service of a mesh.
//!
//! The route is either Serin's own (`owned`), or the user's, of which only weights are changed (`patched`).

mod acceptance;
mod backend;
mod owned;
mod patched;
#[cfg(test)]
mod tests;

use crate::crd::canary::Canary;
use crate::objects::{Change, Live, ObjectKey, Seen};
use crate::rollout::observed::{Abilities, Problem, Routes, Split, TrafficKind};
use crate::router::{Router, RouterError};

/// Seconds that a change needs to reach every proxy once the route is accepted (PROVIDERS 0.3).
const SETTLE_SECONDS: u32 = 5;

/// The router of provider `gatewayapi:v1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewayApi;

impl Router for GatewayApi {
    fn abilities(&self) -> Abilities {
        Abilities {
            traffic: TrafficKind::Weighted,
            settle_seconds: SETTLE_SECONDS,
        }
    }

    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        if is_owned(canary) {
            owned::problems(canary, seen)
        } else {
            patched::problems(canary, seen)
        }
    }

    fn objects(&self, canary: &Canary) -> Vec<ObjectKey> {
        if is_owned(canary) {
            vec![owned::key(canary)]
        } else {
            patched::keys(canary)
        }
    }

    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
        if is_owned(canary) {
            owned::observe(canary, seen)
        } else {
            Ok(patched::observe(canary, seen))
        }
    }

    fn render(
        &self,
        canary: &Canary,
        live: &Live,
        routes: Routes,
    ) -> Result<Vec<Change>, RouterError> {
        if is_owned(canary) {
            owned::render(canary, live, routes)
        } else {
            patched::render(canary, live, routes)
        }
    }

    fn finalize(&self, canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError> {
        if is_owned(canary) {
            owned::finalize(canary, live)
        } else {
            patched::finalize(canary, live)
        }
    }
}

/// Without routes of the user's, Serin makes one.
fn is_owned(canary: &Canary) -> bool {
    canary.spec.route_refs.is_empty()
}
