//! Leadership: one Lease, held for 15 s at a time; who holds it counts its terms, and nobody writes past the end of his own.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::clock::Clock;

/// How long a lease lasts without being renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long before its end its holder writes nothing more: longer than the deadline of a call would be of no use to a call that
/// already runs, so a late write is stopped by its precondition.
const MARGIN: Duration = Duration::from_secs(5);
/// Time between two renewals.
const RETRY: Duration = Duration::from_secs(2);

/// Name of the Lease.
pub const NAME: &str = "serin";

/// Whether this process leads, and in which term.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: Arc<Mutex<Option<Instant>>>,
    term: Arc<AtomicI64>,
    /// The latest term that a status carries, as far as it was later than ours.
    later: Arc<AtomicI64>,
    /// There is no election.
    alone: Arc<AtomicBool>,
    changes: watch::Sender<bool>,
}

impl Default for Leadership {
    fn default() -> Self {
        Self {
            until: Arc::default(),
            term: Arc::default(),
            later: Arc::default(),
            alone: Arc::default(),
            changes: watch::Sender::new(false),
        }
    }
}

impl Leadership {
    /// The term, while the lease lasts long enough for a write. The clock is monotonic: a process that was frozen does not lead.
    #[must_use]
    pub fn term(&self) -> Option<i64> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until
            .filter(|until| Instant::now() + MARGIN < *until)
            .map(|_| self.term.load(Ordering::SeqCst))
    }

    /// Told whenever leadership begins or ends.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.changes.subscribe()
    }

    /// Somebody has written in this term, which is later than ours. Either he leads now, or the terms are counted anew: the lease was
    /// deleted, as it is when Serin is removed. The next renewal tells which, and counts on from here if the lease is still ours.
    pub fn passed(&self, term: i64) {
        self.later.fetch_max(term, Ordering::SeqCst);
        if self.alone.load(Ordering::SeqCst) {
            self.term.fetch_max(term, Ordering::SeqCst);
        }
    }

    /// A term of a lease that is ours, behind all that were seen.
    fn after_all(&self, term: i64) -> i64 {
        let later = self.later.load(Ordering::SeqCst);
        if later > term { later + 1 } else { term }
    }

    /// Leads for ever, as the only one (`--leader-elect=false`).
    pub fn alone(&self) {
        self.alone.store(true, Ordering::SeqCst);
        self.hold(
            Instant::now() + Duration::from_secs(60 * 60 * 24 * 365 * 10),
            0,
        );
    }

    fn hold(&self, until: Instant, term: i64) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.term.store(term, Ordering::SeqCst);
        self.changes
            .send_if_modified(|leads| !std::mem::replace(leads, true));
    }

    fn lose(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changes
            .send_if_modified(|leads| std::mem::replace(leads, false));
    }
}

/// One candidate for the lease.
pub struct Election {
    api: Api<Lease>,
    identity: String,
    leadership: Leadership,
    /// What the lease said when it was last seen to change, and when: another clock is never trusted.
    seen: Option<(String, Instant)>,
    clock: Clock,
}

impl Election {
    /// A candidate named `identity`.
    #[must_use]
    pub fn new(api: Api<Lease>, identity: String, leadership: Leadership, clock: Clock) -> Self {
        Self {
            api,
            identity,
            leadership,
            seen: None,
            clock,
        }
    }

    /// Takes the lease when it is free, and renews it until the task is dropped.
    pub async fn run(mut self) {
        loop {
            let asked = Instant::now();
            let turn = tokio::time::timeout(Duration::from_secs(5), self.turn()).await;
            match turn {
                Ok(Ok(Some(term))) => {
                    if self.leadership.term().is_none() {
                        info!(identity = %self.identity, term, "leads");
                    }
                    self.leadership.hold(asked + DURATION, term);
                }
                Ok(Ok(None)) => self.leadership.lose(),
                Ok(Err(error)) => warn!(%error, "could not renew the lease"),
                Err(_) => warn!("could not renew the lease: no answer within 5 s"),
            }
            if self.leadership.term().is_none() {
                self.leadership
                    .changes
                    .send_if_modified(|leads| std::mem::replace(leads, false));
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// One look at the lease: the term, if it is ours now.
    async fn turn(&mut self) -> Result<Option<i64>, kube::Error> {
        let Some(lease) = self.api.get_opt(NAME).await? else {
            return self.create().await;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self
            .seen
            .as_ref()
            .is_none_or(|(known, _)| *known != version)
        {
            self.seen = Some((version, Instant::now()));
        }
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let ours = holder == self.identity;
        let lasts = Duration::from_secs(
            u64::try_from(spec.lease_duration_seconds.unwrap_or(15).max(1)).unwrap_or(15),
        );
        let silent = self
            .seen
            .as_ref()
            .is_some_and(|(_, since)| since.elapsed() >= lasts);
        if !ours && !holder.is_empty() && !silent {
            return Ok(None);
        }
        let term = i64::from(spec.lease_transitions.unwrap_or(0))
            + i64::from(!ours || self.leadership.term().is_none());
        self.replace(lease, self.leadership.after_all(term)).await
    }

    fn spec(&self, term: i64) -> LeaseSpec {
        let now = Some(MicroTime(self.clock.now()));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: i32::try_from(term).ok(),
            ..LeaseSpec::default()
        }
    }

    async fn create(&self) -> Result<Option<i64>, kube::Error> {
        let metadata = ObjectMeta {
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        };
        let lease = Lease {
            metadata,
            spec: Some(self.spec(1)),
        };
        self.api
            .create(&PostParams::default(), &lease)
            .await
            .map(|_| Some(1))
    }

    /// Writes the very version that was read; somebody faster wins.
    async fn replace(&self, mut lease: Lease, term: i64) -> Result<Option<i64>, kube::Error> {
        let mut spec = self.spec(term);
        if let Some(old) = lease
            .spec
            .take()
            .filter(|old| old.holder_identity == spec.holder_identity)
        {
            spec.acquire_time = old.acquire_time;
        }
        lease.spec = Some(spec);
        match self.api.replace(NAME, &PostParams::default(), &lease).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(Some(term)),
        }
    }

    /// Gives the lease up, so that the next one need not wait for its end.
    ///
    /// # Errors
    /// As the API server says; then it ends by itself.
    pub async fn release(api: &Api<Lease>, identity: &str) -> Result<(), kube::Error> {
        let Some(mut lease) = api.get_opt(NAME).await? else {
            return Ok(());
        };
        let ours = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref())
            == Some(identity);
        if !ours {
            return Ok(());
        }
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        api.replace(NAME, &PostParams::default(), &lease)
            .await
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_is_counted_anew_goes_on_behind_all_terms_that_were_seen() {
        let leadership = Leadership::default();
        leadership.passed(7);
        leadership.passed(5);
        let terms = [1, 7, 8, 9].map(|term| leadership.after_all(term));
        assert_eq!(terms, [8, 7, 8, 9]);
        assert_eq!(leadership.term(), None, "a term is no lease");
    }

    #[test]
    fn without_an_election_the_only_one_takes_up_the_last_term() {
        let leadership = Leadership::default();
        leadership.alone();
        assert_eq!(leadership.term(), Some(0));
        leadership.passed(7);
        assert_eq!(leadership.term(), Some(7));
    }
}
