//! What is counted of releases: how they ended, and how soon bad ones were taken back.

use crate::controller::Context;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::{CanaryStatus, Phase, Release};
use crate::telemetry::Run;

/// Counts releases that ended in this tick.
pub(super) fn ended(context: &Context, canary: &Canary, status: &CanaryStatus) {
    let known = canary
        .status
        .as_ref()
        .map(|status| status.history.as_slice())
        .unwrap_or_default();
    let new = |release: &&Release| {
        !known
            .iter()
            .any(|old| old.ended_at == release.ended_at && old.revision == release.revision)
    };
    for release in status.history.iter().filter(new) {
        let outcome = format!("{:?}", release.outcome).to_lowercase();
        let proof = release.marks.first().map_or_else(
            || "complete".to_owned(),
            |mark| format!("{mark:?}").to_lowercase(),
        );
        let provider = canary.provider(&context.defaults.provider);
        let seconds = release
            .started_at
            .map_or(0.0, |began| release.ended_at.since(began).as_secs_f64());
        let strategy = if provider == "kubernetes" {
            "bluegreen"
        } else {
            "canary"
        };
        context.telemetry.run_ended(
            &Run {
                outcome: &outcome,
                proof: &proof,
                strategy,
                provider,
            },
            seconds,
        );
    }
    let failed =
        |status: Option<&CanaryStatus>| status.is_some_and(|status| status.phase == Phase::Failed);
    if failed(Some(status)) && !failed(canary.status.as_ref()) {
        let at = status
            .memory
            .as_ref()
            .and_then(|memory| memory.last_round)
            .map_or(0.0, Moment::as_seconds);
        let now = Moment::new(context.clock.now()).as_seconds();
        if at > 0.0 {
            context.telemetry.rollback_reaction(now - at);
        }
    }
}
