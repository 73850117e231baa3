//! Releases that differ in nothing, at any rate of requests, and without anything to measure.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::install::{self, PROMETHEUS};
use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, Scenario};

/// Ten minutes of patience are for people; a test's `maxWait` ends each step sooner.
const SLOW: Duration = Duration::from_secs(240);

pub(super) async fn an_equal_release_without_requests_is_promoted(s: &Scenario) -> Result<()> {
    equal(s, 0.0, true).await
}

pub(super) async fn an_equal_release_at_one_request_in_5_s_is_promoted(s: &Scenario) -> Result<()> {
    equal(s, 0.2, true).await
}

pub(super) async fn an_equal_release_at_2_requests_a_second_is_promoted(
    s: &Scenario,
) -> Result<()> {
    equal(s, 2.0, true).await
}

pub(super) async fn an_equal_release_at_50_requests_a_second_is_promoted(
    s: &Scenario,
) -> Result<()> {
    equal(s, 50.0, false).await
}

/// Only an annotation of the template changes; quiet ones are promoted too, and marked.
async fn equal(s: &Scenario, rate: f64, quiet: bool) -> Result<()> {
    let mut analysis = objects::quick();
    analysis["stepWeights"] = json!([50]);
    if quiet {
        analysis["maxWait"] = json!("6s");
    }
    s.adopt("1.0.0", 2, &analysis).await?;
    let load = if rate > 0.0 {
        Some(s.load_of(rate).await?)
    } else {
        None
    };
    if let Some(load) = &load {
        // Stable's own traffic is looked back on for 20 s.
        let enough = (rate * 20.0).ceil().min(100.0);
        while (load.snapshot().sent as f64) < enough {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"note": "again"}}}}});
    s.merge(Kind::Deployment, APP, &change).await?;
    s.phase("Succeeded", SLOW).await?;
    s.canary_is_gone().await?;
    if let Some(load) = load {
        s.no_request_lost(load)?;
    }
    let last = s.last_release("Promoted")?;
    let unproven = last["marks"].to_string().contains("Unproven");
    ensure!(unproven == quiet, "at {rate} requests a second: {last}");
    Ok(())
}

/// No metrics server: readiness judges, and every message says so.
pub(super) async fn without_a_metrics_server_readiness_judges_and_says_so(
    s: &Scenario,
) -> Result<()> {
    install::metrics_server(&s.world, None).await?;
    let result = unmeasured(s).await;
    install::metrics_server(&s.world, Some(PROMETHEUS)).await?;
    result
}

async fn unmeasured(s: &Scenario) -> Result<()> {
    s.world.controllers_ready(1).await?;
    s.adopt("1.0.0", 2, &objects::quick()).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.weight(50, RELEASE).await?;
    let said = s.canary()["status"].to_string();
    ensure!(
        said.contains("no metrics"),
        "it does not say that nothing is measured: {said}"
    );
    s.phase("Succeeded", RELEASE).await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    let template = json!({
        "apiVersion": "serin.dev/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "errors"},
        "spec": {"provider": {"type": "prometheus"}, "query": "sum(up{namespace=\"{{ namespace }}\"})"},
    });
    s.apply(&template).await?;
    let metrics = json!([{"name": "errors", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}}]);
    s.merge(
        Kind::Canary,
        APP,
        &json!({"spec": {"analysis": {"metrics": metrics}}}),
    )
    .await?;
    s.until("it is a configuration error", RELEASE, |canary| {
        let conditions = canary["status"]["conditions"].as_array();
        let ready = conditions.and_then(|all| all.iter().find(|one| one["type"] == "Ready"));
        ready.is_some_and(|one| {
            one["status"] == "False" && text(one, "/message").contains("metrics server")
        })
    })
    .await
    .context("a template without a server")
}
