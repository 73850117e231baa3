//! Serin itself by its chart: installed over what is there, upgraded, and removed, while users are there.

use std::time::SystemTime;

use anyhow::{Result, ensure};

use crate::install::{self, PROMETHEUS};
use crate::objects;
use crate::pipeline;
use crate::process::Said;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::world::HOME;

/// Kinds of the cluster that the chart makes, and that go with it.
const OF_THE_CLUSTER: &str = "validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,\
    mutatingadmissionpolicybindings,clusterroles,clusterrolebindings";

/// Helm takes over what `deploy/` installed, upgrades it, refuses to remove it under a canary, and then leaves nothing behind.
pub(super) async fn helm_installs_upgrades_and_removes_serin(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::until(50)).await?;
    let load = s.load().await?;
    let from = SystemTime::now();
    helm(s, "install", &["--take-ownership"]).await?.fine()?;
    helm(s, "upgrade", &["--set", "controller.logLevel=debug"])
        .await?
        .fine()?;
    ensure!(s.releases() == 0, "an upgrade of Serin began a release");
    s.main_untouched(from, SystemTime::now())?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    let said = remove(s).await?;
    ensure!(said.code != 0, "Serin was removed under a canary: {said:?}");
    let phase = text(&s.canary(), "/status/phase").to_owned();
    ensure!(
        ["Progressing", "WaitingPromotion"].contains(&phase.as_str()),
        "the refused removal left phase {phase}"
    );
    s.request("abort").await?;
    s.phase("Failed", RETREAT).await?;
    s.canary_is_gone().await?;
    s.put("1.0.0").await?;
    s.phase("Initialized", RETREAT).await?;
    let removed = remove(s).await?.fine();
    let left = left(s).await;
    install::objects(&s.world).await?;
    install::metrics_server(&s.world, Some(PROMETHEUS)).await?;
    removed?;
    left?;
    s.main_runs("1.0.0").await?;
    s.main_ran_only(&["1.0.0"])?;
    s.no_request_lost(load).map(drop)
}

pub(super) async fn helm(s: &Scenario, verb: &str, more: &[&str]) -> Result<Said> {
    let chart = s.world.places.root.join("chart/serin");
    let chart = chart.to_string_lossy();
    let server = format!("controller.metricsServer={PROMETHEUS}");
    let mut arguments = vec![
        verb,
        "serin",
        &*chart,
        "--set",
        &*server,
        "--wait",
        "--timeout",
        "120s",
    ];
    // What the tests set with kubectl is a conflict otherwise.
    arguments.push("--force-conflicts");
    arguments.extend(more);
    pipeline::helm(s, &s.world.helm_program(), HOME, &arguments).await
}

pub(super) async fn remove(s: &Scenario) -> Result<Said> {
    let arguments = ["uninstall", "serin", "--wait", "--timeout", "150s"];
    pipeline::helm(s, &s.world.helm_program(), HOME, &arguments).await
}

/// What is not the team's is gone: no policy, no role, no Pod, no mark on the target.
pub(super) async fn left(s: &Scenario) -> Result<()> {
    for (kinds, namespace) in [(OF_THE_CLUSTER, "default"), ("all,secrets,leases", HOME)] {
        let get = ["get", kinds, "-n", namespace, "-o", "name"];
        let said = s.world.kubectl(&get).await?.fine()?;
        let ours: Vec<_> = said.lines().filter(|name| name.contains("serin")).collect();
        ensure!(ours.is_empty(), "left behind: {ours:?}");
    }
    let target = s.get(Kind::Deployment, objects::APP).unwrap_or_default();
    let labels = target["metadata"]["labels"].to_string();
    ensure!(!labels.contains("serin.dev/"), "marks are left: {labels}");
    Ok(())
}
