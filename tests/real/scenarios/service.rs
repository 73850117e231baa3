//! Blue/green without mesh and gateway: the Service's own selector, through kube-proxy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::load::Load;
use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{RATE, RETREAT, Scenario};

/// Provider `kubernetes` gives every node 30 s to follow a switch.
const SWITCH: Duration = Duration::from_secs(90);

/// Promote switches, abort switches back, and nobody is lost on the way; then the whole way.
pub(super) async fn a_person_switches_there_and_back(s: &Scenario) -> Result<()> {
    s.adopt_as("1.0.0", 2, &objects::canary_by_selector(&plan()))
        .await?;
    let load = load(s).await?;
    s.ship("2.0.0").await?;
    s.stands(SWITCH).await?;
    ensure!(
        selector(s)?.is_empty(),
        "switched before anybody asked: {}",
        selector(s)?
    );
    s.request("promote").await?;
    s.weight(100, SWITCH).await?;
    ensure!(!selector(s)?.is_empty(), "the Service still selects stable");
    only(s, &load, "2.0.0").await?;
    s.request("abort").await?;
    s.weight(0, SWITCH).await?;
    s.phase("Failed", SWITCH).await?;
    only(s, &load, "1.0.0").await?;
    s.canary_is_gone().await?;
    s.main_ran_only(&["1.0.0"])?;
    s.request("retry").await?;
    s.stands(SWITCH).await?;
    s.request("promote").await?;
    s.weight(100, SWITCH).await?;
    s.stands(SWITCH).await?;
    s.request("promote").await?;
    s.phase("Succeeded", SWITCH).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load).map(drop)
}

/// Checks without traffic, the switch on request, and the old release ready until it is promoted. Nobody sends requests to
/// a canary without traffic, so no data is no reason to wait.
pub(super) fn plan() -> serde_json::Value {
    json!({
        "interval": "3s",
        "threshold": 2,
        "maxWait": "20s",
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "onNoData": "pass"}],
        "steps": [{"checks": 1}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}],
    })
}

/// Every request a connection, so that the Service chooses a Pod each time.
pub(super) async fn load(s: &Scenario) -> Result<Load> {
    let service = s.get(Kind::Service, APP).context("no Service")?;
    let url = format!("http://{}/", text(&service, "/spec/clusterIP"));
    let rate = RATE.to_string();
    let arguments = ["--url", &url, "--rate", &rate, "--no-keep-alive"];
    Ok(Load::with_arguments(None, &arguments)?)
}

/// What the Service selects beside the application's own name: nothing while it is stable.
fn selector(s: &Scenario) -> Result<String> {
    let service = s.get(Kind::Service, APP).context("no Service")?;
    let app = text(&service, "/spec/selector/app");
    Ok(if app == APP {
        String::new()
    } else {
        app.to_owned()
    })
}

/// Waits until users see one version and no other.
pub(super) async fn only(s: &Scenario, load: &Load, version: &str) -> Result<()> {
    let what = format!("users see {version} alone");
    let begun = std::time::Instant::now();
    while begun.elapsed() < RETREAT {
        let to = std::time::SystemTime::now();
        let window = load.window(to - Duration::from_secs(3), to - Duration::from_secs(1))?;
        if window.replies() > 0 && window.share(version) >= 1.0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!(
        "{what}: not within {} s in {}",
        RETREAT.as_secs(),
        s.namespace
    )
}
