//! `helm uninstall` of Serin itself at every point of a release. It runs alone: the cluster has one Serin.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::install::{self, PROMETHEUS};
use crate::objects::{self, APP};
use crate::pipeline;
use crate::process::Said;
use crate::record::{Kind, number, text};
use crate::scenario::{ADOPTION, RELEASE, RETREAT, Scenario};
use crate::scenarios::chart::{helm, left, remove};
use crate::scenarios::helm::refused;
use crate::world::HOME;

/// The route of the team: Serin's own would go with it.
const ROUTE: &str = "web";

/// Before traffic, with it, and while the main release rolls: the removal fails, names the Canary and the ways on, and the release
/// goes on to its end as if nothing had been.
pub(super) async fn serin_is_not_removed_under_a_canary(s: &Scenario) -> Result<()> {
    let steps = json!([{"pause": {}}, {"setWeight": 50}, {"checks": 1}, {"pause": {}}]);
    let plan = json!({"interval": "3s", "threshold": 2, "maxWait": "20s", "steps": steps});
    adopt(s, 3, &plan).await?;
    by_helm(s, &[]).await?;
    let done = refused_in_every_phase(s).await;
    restored(s, done).await
}

async fn refused_in_every_phase(s: &Scenario) -> Result<()> {
    let load = s.load().await?;
    s.ship("2.0.0-start5").await?;
    for phase in ["Waiting", "WaitingPromotion", "Promoting"] {
        s.phase(phase, RELEASE).await?;
        not_removed(s, &remove(s).await?).with_context(|| format!("in phase {phase}"))?;
        if phase != "Promoting" {
            s.request("promote").await?;
        }
    }
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0-start5").await?;
    // Who keeps Serin after all says so to Helm, and can upgrade it again.
    serin(s, &["rollback", "serin", "1", "--wait", "--timeout", "60s"]).await?;
    helm(s, "upgrade", &[]).await?.fine()?;
    remove(s).await?.fine()?;
    left(s).await?;
    s.no_request_lost(load).map(drop)
}

/// It says which Canary is in the way and what there is to do.
fn not_removed(s: &Scenario, said: &Said) -> Result<()> {
    let canary = format!("{}/{APP}", s.namespace);
    let way = "rollback serin REVISION";
    let ways = [
        "a canary runs for",
        &canary,
        "abort",
        way,
        "disarm.force=true",
    ];
    refused(said, &ways)?;
    let phase = text(&s.canary(), "/status/phase").to_owned();
    ensure!(phase != "Failed", "the refused removal ended the release");
    Ok(())
}

/// By force it goes under a canary: the canary stays where it is with its share, nobody is lost, and what the docs say then puts
/// everything back.
pub(super) async fn serin_is_removed_by_force_and_traffic_stays(s: &Scenario) -> Result<()> {
    adopt(s, 2, &objects::until(50)).await?;
    by_helm(s, &["--set", "disarm.force=true"]).await?;
    let done = forced(s).await;
    restored(s, done).await
}

async fn forced(s: &Scenario) -> Result<()> {
    let load = s.load().await?;
    let from = SystemTime::now();
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    remove(s).await?.fine()?;
    left(s).await?;
    s.let_go(RETREAT).await?;
    let weights = s.timeline().weight_values();
    ensure!(weights.ends_with(&[50]), "the weights were {weights:?}");
    // By hand from here on: weights, then what carries the label, then the template.
    s.apply(&objects::route(ROUTE, &s.host())).await?;
    s.reachable().await?;
    let kinds = "deployments,services,poddisruptionbudgets,controllerrevisions";
    let delete = ["delete", kinds, "-l", "serin.dev/canary-uid", "--wait"];
    s.kubectl(&delete).await?.fine()?;
    put_back(s).await?;
    s.canary_is_gone().await?;
    s.main_untouched(from, SystemTime::now())?;
    s.main_ran_only(&["1.0.0"])?;
    s.no_request_lost(load).map(drop)
}

/// After a rejection it goes without force. The rejected template stays paused in the target until somebody puts another there.
pub(super) async fn serin_is_removed_after_a_rejection(s: &Scenario) -> Result<()> {
    adopt(s, 2, &objects::until(50)).await?;
    by_helm(s, &[]).await?;
    let done = rejected(s).await;
    restored(s, done).await
}

async fn rejected(s: &Scenario) -> Result<()> {
    let load = s.load().await?;
    let from = SystemTime::now();
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    s.request("abort").await?;
    s.phase("Failed", RETREAT).await?;
    s.canary_is_gone().await?;
    remove(s).await?.fine()?;
    left(s).await?;
    let target = s.get(Kind::Deployment, APP).unwrap_or_default();
    ensure!(
        target["spec"]["paused"] == true,
        "what was rejected may run"
    );
    put_back(s).await?;
    s.main_untouched(from, SystemTime::now())?;
    s.main_ran_only(&["1.0.0"])?;
    s.no_request_lost(load).map(drop)
}

/// The template that serves goes back into the target, which then need not wait any more.
async fn put_back(s: &Scenario) -> Result<()> {
    s.put("1.0.0").await?;
    let resume = ["rollout", "resume", "deployment/app"];
    s.kubectl(&resume).await?.fine()?;
    s.main_runs("1.0.0").await
}

/// Waits until the Canaries of the scenarios before are gone: one that still ends is in the way of a removal, and rightly so.
async fn alone(s: &Scenario) -> Result<()> {
    let where_any = "jsonpath={.items[*].metadata.namespace}";
    let mut left = String::new();
    for _ in 0..120 {
        let all = ["get", "canaries", "-A", "-o", where_any];
        left = s.kubectl(&all).await?.fine()?;
        if left.split_whitespace().all(|home| home == s.namespace) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    anyhow::bail!("Canaries of other scenarios are still there: {left}")
}

async fn adopt(s: &Scenario, replicas: i32, analysis: &serde_json::Value) -> Result<()> {
    alone(s).await?;
    s.apply(&objects::route(ROUTE, &s.host())).await?;
    let canary = objects::canary_of_route(ROUTE, analysis);
    s.adopt_as("1.0.0", replicas, &canary).await
}

/// Helm takes over what `deploy/` installed.
async fn by_helm(s: &Scenario, more: &[&str]) -> Result<()> {
    let mut flags = vec!["--take-ownership"];
    flags.extend(more);
    let said = helm(s, "install", &flags).await;
    if said.as_ref().is_ok_and(|said| said.code == 0) {
        return Ok(());
    }
    restored(s, said.and_then(Said::fine).map(drop)).await
}

/// Puts Serin into the cluster again for the scenarios that follow, whatever became of this one; it adopts what it finds.
async fn restored(s: &Scenario, done: Result<()>) -> Result<()> {
    let gone = serin(s, &["uninstall", "serin", "--no-hooks", "--wait"]).await;
    drop(gone);
    install::objects(&s.world).await?;
    install::metrics_server(&s.world, Some(PROMETHEUS)).await?;
    done?;
    let at_rest = |canary: &serde_json::Value| {
        ["Initialized", "Succeeded", "Failed"].contains(&text(canary, "/status/phase"))
            && number(canary, "/status/canaryWeight") == 0
            && !text(canary, "/metadata/finalizers/0").is_empty()
    };
    s.until("Serin has it at rest", ADOPTION, at_rest).await
}

async fn serin(s: &Scenario, arguments: &[&str]) -> Result<()> {
    let said = pipeline::helm(s, &s.world.helm_program(), HOME, arguments).await?;
    said.fine().map(drop)
}
