//! Routers whose routes list weighted backends. The route is either the user's, of which only weights are changed, or Serin's own:
//! one that it makes, or one beside the user's.

use crate::crd::canary::Canary;
use crate::objects::{Change, Live, ObjectKey, Seen};
use crate::rollout::observed::{Abilities, Problem, Routes, Split, TrafficKind};
use crate::router::beside::{self, Copier};
use crate::router::beyond::{self, Beyond};
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
    /// The route that is there where the Canary names none of these.
    pub(super) own: Own,
}

/// A route of Serin's.
#[derive(Clone, Copy)]
pub(super) enum Own {
    /// Named after the Service.
    Made(&'static dyn Maker),
    /// Beside one of the user's.
    Beside(&'static dyn Copier),
}

impl Weighted {
    /// Serin's own route; `None`: the Canary names routes that are written instead.
    fn own(&self, canary: &Canary) -> Option<Own> {
        let is_patched = !self.forms.is_empty() && !canary.spec.route_refs.is_empty();
        (!is_patched).then_some(self.own)
    }
}

impl Router for Weighted {
    fn abilities(&self) -> Abilities {
        Abilities {
            traffic: TrafficKind::Weighted,
            settle_seconds: self.settle_seconds,
        }
    }

    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        let (mut problems, can) = match self.own(canary) {
            Some(Own::Made(maker)) => (owned::problems(maker, canary, seen), maker.beyond()),
            Some(Own::Beside(copier)) => (beside::problems(copier, canary, seen), copier.beyond()),
            None => (patched::problems(self.forms, canary, seen), Beyond::NOTHING),
        };
        problems.extend(beyond::problems(canary, can));
        problems
    }

    fn objects(&self, canary: &Canary) -> Vec<ObjectKey> {
        match self.own(canary) {
            Some(Own::Made(maker)) => owned::keys(maker, canary),
            Some(Own::Beside(copier)) => beside::keys(copier, canary),
            None => patched::keys(self.forms, canary),
        }
    }

    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
        match self.own(canary) {
            Some(Own::Made(maker)) => owned::observe(maker, canary, seen),
            Some(Own::Beside(copier)) => beside::observe(copier, canary, seen),
            None => Ok(patched::observe(self.forms, canary, seen)),
        }
    }

    fn render(
        &self,
        canary: &Canary,
        live: &Live,
        routes: Routes,
    ) -> Result<Vec<Change>, RouterError> {
        match self.own(canary) {
            Some(Own::Made(maker)) => owned::render(maker, canary, live, routes),
            Some(Own::Beside(copier)) => beside::render(copier, canary, live, routes),
            None => patched::render(self.forms, canary, live, routes),
        }
    }

    fn finalize(&self, canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError> {
        match self.own(canary) {
            Some(Own::Made(maker)) => owned::finalize(maker, canary, live),
            Some(Own::Beside(copier)) => Ok(beside::finalize(copier, canary, live)),
            None => patched::finalize(self.forms, canary, live),
        }
    }
}
