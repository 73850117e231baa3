//! Proof that the controller has stopped: who leads renews the lease every few seconds, and writes nothing once the lease has run out.
//! Whatever keeps the controller from writing, on however many API servers, has taken hold where the lease is left alone.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

/// Name of the controller's lease.
pub(super) const LEASE: &str = "serin";
/// A lease that was written so long ago is nobody's: twice its duration.
pub(super) const STALE: Duration = Duration::from_secs(30);
/// How often the lease is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// One version of the lease, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version(Option<String>);

/// The lease as it is now.
pub(super) async fn version(leases: &Api<Lease>) -> Result<Version> {
    let lease = leases.get_opt(LEASE).await;
    let lease = lease.context("read the controller's lease")?;
    Ok(Version(lease.and_then(|lease| lease.resource_version())))
}

/// Waits until the lease has been left alone for long enough, by this clock alone: the times in a lease are those of another machine.
///
/// # Errors
/// When that is not so in the end, saying why.
pub(super) async fn left_alone(leases: &Api<Lease>, end: Instant) -> Result<Version> {
    let mut first: Option<(Version, Instant)> = None;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let now = Instant::now();
        let unread = match (version(leases).await, &first) {
            (Ok(seen), Some((same, at))) if seen == *same => {
                if now.duration_since(*at) >= STALE {
                    return Ok(seen);
                }
                None
            }
            (Ok(seen), _) => {
                first = Some((seen, now));
                None
            }
            (Err(error), _) => Some(error),
        };
        if now >= end {
            match unread {
                Some(error) => return Err(error),
                None => bail!(
                    "the controller has not stopped: its lease has not been left alone for {} s",
                    STALE.as_secs()
                ),
            }
        }
    }
}
