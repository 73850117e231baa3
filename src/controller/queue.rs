//! Who is due when: one Canary is never ticked twice at once, and a call that comes while it is ticked is not lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::Place;

/// Canaries and the times at which they are due.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeMap<Place, Instant>,
    running: BTreeSet<Place>,
}

impl Queue {
    /// Due after `delay`, or earlier if it was due earlier.
    pub(crate) fn call(&self, place: &Place, delay: Duration) {
        let at = Instant::now() + delay;
        self.with(|inner| {
            let due = inner.due.entry(place.clone()).or_insert(at);
            *due = (*due).min(at);
        });
        self.changed.notify_one();
    }

    /// Waits for the next one that is due and not being ticked; it counts as being ticked from then on.
    pub(crate) async fn next(&self) -> (Place, Duration) {
        loop {
            let changed = self.changed.notified();
            match self.with(Inner::take) {
                Ok(found) => return found,
                Err(None) => changed.await,
                Err(Some(at)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// Its tick is over.
    pub(crate) fn done(&self, place: &Place) {
        self.with(|inner| inner.running.remove(place));
        self.changed.notify_one();
    }

    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// The earliest that may run now with how late it is; else when the earliest will be.
    fn take(&mut self) -> Result<(Place, Duration), Option<Instant>> {
        let free = self
            .due
            .iter()
            .filter(|(place, _)| !self.running.contains(*place));
        let Some((place, at)) = free.min_by_key(|(place, at)| (**at, (*place).clone())) else {
            return Err(None);
        };
        let (place, at) = (place.clone(), *at);
        let now = Instant::now();
        if at > now {
            return Err(Some(at));
        }
        self.due.remove(&place);
        self.running.insert(place.clone());
        Ok((place, now - at))
    }
}
