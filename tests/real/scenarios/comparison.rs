//! Canary and stable compared on the same traffic: errors that stay within the limit, of both arms and of one; those of a dependency
//! that both share.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::objects::APP;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, Scenario};

/// Evidence takes its time where errors are few.
const EVIDENCE: Duration = Duration::from_secs(240);

/// Wide limits, which no version here breaks: what differs is found by the comparison alone.
fn limited() -> Value {
    json!({
        "interval": "6s", "checks": 2, "threshold": 3, "stepWeights": [50],
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 90}}],
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

/// A release that is worse than stable, and within its limit.
struct Worse {
    what: &'static str,
    /// Its errors in percent; stable has 0.2.
    errors: &'static str,
    /// The limit, in percent. A wide one would be evidence enough for a few errors.
    min: u32,
    /// Seconds to the verdict, at most: the median of the statistical tables, and two scrapes.
    seconds: f64,
    /// How many users may meet an error until then.
    users: f64,
}

const WORSE: [Worse; 2] = [
    Worse {
        what: "twenty times as bad",
        errors: "4",
        min: 90,
        seconds: 32.0,
        users: 128.0,
    },
    Worse {
        what: "five times as bad",
        errors: "1",
        min: 99,
        seconds: 152.0,
        users: 152.0,
    },
];

pub(super) async fn a_release_that_is_worse_than_stable_is_rejected(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0-errors0.2", 2, &limited()).await?;
    for (number, it) in (2..).zip(WORSE) {
        let metrics = json!([{"name": "request-success-rate", "thresholdRange": {"min": it.min}}]);
        let change = json!({"spec": {"analysis": {"metrics": metrics}}});
        s.merge(Kind::Canary, APP, &change).await?;
        let load = s.load().await?;
        s.ship(&format!("{number}.0.0-errors{}", it.errors)).await?;
        s.weight(50, RELEASE).await?;
        let begun = SystemTime::now();
        s.phase("Failed", EVIDENCE).await?;
        let took = begun.elapsed()?.as_secs_f64();
        let message = text(&s.canary(), "/status/message").to_owned();
        ensure!(message.contains("worse than stable's"), "{message}");
        s.number(
            &format!("{}: rejected after (s)", it.what),
            took,
            it.seconds,
        )?;
        s.canary_is_gone().await?;
        let report = s.no_request_lost(load)?;
        let hurt = report.by_version[&format!("{number}.0.0")].app_errors;
        s.number(&format!("{}: users hurt", it.what), hurt as f64, it.users)?;
    }
    Ok(())
}

/// What both versions need fails for half a minute: that says nothing of the new one. The limit, which both fail, waits ten rounds.
pub(super) async fn a_shared_outage_rolls_nobody_back(s: &Scenario) -> Result<()> {
    let mut analysis = limited();
    analysis["threshold"] = json!(10);
    s.adopt("1.0.0-errors0.2", 2, &analysis).await?;
    let load = s.load().await?;
    s.ship("2.0.0-errors0.2").await?;
    s.weight(50, RELEASE).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    s.order("errors=50").await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    s.order("errors=0.2").await?;
    s.phase("Succeeded", EVIDENCE).await?;
    s.last_release("Promoted")?;
    let report = s.no_request_lost(load)?;
    let hurt = report.by_version["2.0.0"].app_errors;
    ensure!(hurt > 500, "{hurt} errors of the new version in the outage");
    Ok(())
}
