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
    /// Those that are due and not being ticked, the earliest first: there may be tens of thousands.
    line: BTreeSet<(Instant, Place)>,
    running: BTreeSet<Place>,
}

impl Queue {
    /// Due after `delay`, or earlier if it was due earlier.
    pub(crate) fn call(&self, place: &Place, delay: Duration) {
        let at = Instant::now() + delay;
        self.with(|inner| inner.call(place, at));
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
        self.with(|inner| inner.done(place));
        self.changed.notify_one();
    }

    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn call(&mut self, place: &Place, at: Instant) {
        let before = self.due.get(place).copied();
        if before.is_some_and(|before| before <= at) {
            return;
        }
        self.due.insert(place.clone(), at);
        if self.running.contains(place) {
            return;
        }
        if let Some(before) = before {
            self.line.remove(&(before, place.clone()));
        }
        self.line.insert((at, place.clone()));
    }

    /// The earliest that may run now with how late it is; else when the earliest will be.
    fn take(&mut self) -> Result<(Place, Duration), Option<Instant>> {
        let Some((at, _)) = self.line.first() else {
            return Err(None);
        };
        let (at, now) = (*at, Instant::now());
        if at > now {
            return Err(Some(at));
        }
        let Some((_, place)) = self.line.pop_first() else {
            return Err(None);
        };
        self.due.remove(&place);
        self.running.insert(place.clone());
        Ok((place, now - at))
    }

    fn done(&mut self, place: &Place) {
        self.running.remove(place);
        if let Some(at) = self.due.get(place) {
            self.line.insert((*at, place.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        ("shop".to_owned(), name.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_goes_first_and_nobody_twice_at_once() {
        let queue = Queue::default();
        queue.call(&place("late"), Duration::from_secs(9));
        queue.call(&place("soon"), Duration::from_secs(5));
        queue.call(&place("late"), Duration::from_secs(2));
        queue.call(&place("soon"), Duration::from_secs(7));
        let began = Instant::now();
        assert_eq!(queue.next().await.0, place("late"));
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        // Called while it is ticked, it comes again once that is over, and not before.
        queue.call(&place("late"), Duration::ZERO);
        assert_eq!(queue.next().await.0, place("soon"));
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        queue.done(&place("late"));
        assert_eq!(queue.next().await.0, place("late"));
        queue.done(&place("soon"));
        queue.done(&place("late"));
        let idle = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(idle.await.is_err(), "nobody is due");
    }
}
