//! Canary and stable compared on the same traffic: errors that stay within the limit, of both arms and of one.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::record::text;
use crate::scenario::{RELEASE, Scenario};

/// Evidence takes its time where errors are few.
const EVIDENCE: Duration = Duration::from_secs(240);

/// A limit of 99 %, which no version here breaks.
fn limited() -> Value {
    json!({
        "interval": "6s", "checks": 2, "threshold": 3, "stepWeights": [50],
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 97}}],
    })
}

/// As many errors as stable has are no reason to reject a release, and what promotes it is evidence.
pub(super) async fn equal_errors_on_both_arms_are_promoted(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0-errors0.5", 2, &limited()).await?;
    let load = s.load().await?;
    s.ship("2.0.0-errors0.5").await?;
    s.phase("Succeeded", EVIDENCE).await?;
    s.canary_is_gone().await?;
    let last = s.last_release("Promoted")?;
    ensure!(!last["marks"].to_string().contains("Unproven"), "{last}");
    s.no_request_lost(load)?;
    Ok(())
}

/// Ten times as many errors as stable, all of them within the limit.
pub(super) async fn a_release_that_is_worse_than_stable_is_rejected(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0-errors0.2", 2, &limited()).await?;
    let load = s.load().await?;
    s.ship("2.0.0-errors2").await?;
    s.weight(50, RELEASE).await?;
    let begun = SystemTime::now();
    s.phase("Failed", EVIDENCE).await?;
    let took = begun.elapsed()?.as_secs_f64();
    let message = text(&s.canary(), "/status/message").to_owned();
    ensure!(message.contains("worse than stable's"), "{message}");
    s.number("2 % errors beside 0.2 %: rejected after (s)", took, 60.0)?;
    s.canary_is_gone().await?;
    let report = s.no_request_lost(load)?;
    let hurt = report.by_version["2.0.0"].app_errors;
    s.number("2 % errors beside 0.2 %: users hurt", hurt as f64, 200.0)
}
