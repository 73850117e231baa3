//! Routers whose routes list weighted backends. The route is either Serin's own, or the user's, of which only weights are changed.

use crate::crd::canary::Canary;
use crate::objects::{Change, Live, ObjectKey, Seen};
use crate::rollout::observed::{Abilities, Problem, Routes, Split, TrafficKind};
use crate::router::owned::{self, Maker};
use crate::router::patched::{self, Forms};
use crate::router::{Router, RouterError};

/// A provider with weights in lists of backends.
#[derive(Clone, Copy)]
pub(super) struct Weighted {
    /// Seconds that a change needs to reach every proxy once the route is accepted (PROVIDERS 0.3).
    pub(super) settle_seconds: u32,
    /// The user's routes that it can write.
    pub(super) forms: Forms,
    /// The route that it makes.
    pub(super) maker: &'static dyn Maker,
}

impl Router for Weighted {
    fn abilities(&self) -> Abilities {
        Abilities {
            traffic: TrafficKind::Weighted,
            settle_seconds: self.settle_seconds,
        }
    }

    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        if is_owned(canary) {
            owned::problems(self.maker, canary, seen)
        } else {
            patched::problems(self.forms, canary, seen)
        }
    }

    fn objects(&self, canary: &Canary) -> Vec<ObjectKey> {
        if is_owned(canary) {
            vec![owned::key(self.maker, canary)]
        } else {
            patched::keys(self.forms, canary)
        }
    }

    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
        if is_owned(canary) {
            owned::observe(self.maker, canary, seen)
        } else {
            Ok(patched::observe(self.forms, canary, seen))
        }
    }

    fn render(
        &self,
        canary: &Canary,
        live: &Live,
        routes: Routes,
    ) -> Result<Vec<Change>, RouterError> {
        if is_owned(canary) {
            owned::render(self.maker, canary, live, routes)
        } else {
            patched::render(self.forms, canary, live, routes)
        }
    }

    fn finalize(&self, canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError> {
        if is_owned(canary) {
            owned::finalize(self.maker, canary, live)
        } else {
            patched::finalize(self.forms, canary, live)
        }
    }
}

/// Without routes of the user's, Serin makes one.
fn is_owned(canary: &Canary) -> bool {
    canary.spec.route_refs.is_empty()
}
