//! Serin itself by its chart: installed over what is there, upgraded, and removed, while users are there.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

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

/// An earlier version of the chart, and of the image that it names.
const EARLIER: &str = "0.0.1";

/// An earlier chart takes over what `deploy/` installed. It is upgraded at rest, and by the chart as it is now under a canary; it is not
/// removed under one, and then leaves nothing behind.
pub(super) async fn helm_installs_upgrades_and_removes_serin(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::until(50)).await?;
    let load = s.load().await?;
    let from = SystemTime::now();
    let earlier = earlier(s).await?;
    let flags = ["--take-ownership"];
    helm_of(s, "install", &earlier, &flags).await?.fine()?;
    let debug = ["--set", "controller.logLevel=debug"];
    helm_of(s, "upgrade", &earlier, &debug).await?.fine()?;
    s.main_untouched(from, SystemTime::now())?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    upgraded_under_a_canary(s, from).await?;
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

/// Another controller goes on where the one before it stood: no Pod moves, of stable or of the canary, and no weight.
async fn upgraded_under_a_canary(s: &Scenario, from: SystemTime) -> Result<()> {
    let before = s.world.controller()?;
    let stood = s.canary()["status"]["step"].clone();
    let upgraded = SystemTime::now();
    helm(s, "upgrade", &[]).await?.fine()?;
    s.world.another_controller(&before).await?;
    // As long as it takes to look at everything more than once.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let now = s.canary()["status"]["step"].clone();
    let place = |step: &serde_json::Value| (step["index"].clone(), step["waiting"].clone());
    ensure!(place(&now) == place(&stood), "from {stood} to {now}");
    ensure!(s.releases() == 0, "a release has ended");
    s.main_untouched(from, SystemTime::now())?;
    let timeline = s.timeline();
    let moved: Vec<_> = timeline
        .lives()
        .into_values()
        .filter(|life| life.from > upgraded || life.until.is_some_and(|until| until > upgraded))
        .collect();
    ensure!(moved.is_empty(), "Pods moved: {moved:?}");
    let weights = timeline.weights();
    ensure!(
        weights.iter().all(|(at, _)| *at < upgraded),
        "weights moved: {weights:?}"
    );
    Ok(())
}

/// The chart packaged as an earlier version, and an image of that version.
async fn earlier(s: &Scenario) -> Result<PathBuf> {
    let places = &s.world.places;
    let image = format!("serin:{EARLIER}={}", places.binary("serin").display());
    s.world.cluster(&["image", &image]).await?;
    let folder = places.out.join("charts");
    let (chart, to) = (places.root.join("chart/serin"), folder.to_string_lossy());
    let chart = chart.to_string_lossy();
    let (version, app) = (["--version", EARLIER], ["--app-version", EARLIER]);
    let package = ["package", &*chart, "--destination", &*to];
    let package = [&package[..], &version, &app].concat();
    let said = pipeline::helm(s, &s.world.helm_program(), HOME, &package).await?;
    said.fine().context("package the chart")?;
    Ok(folder.join(format!("serin-{EARLIER}.tgz")))
}

pub(super) async fn helm(s: &Scenario, verb: &str, more: &[&str]) -> Result<Said> {
    let chart = s.world.places.root.join("chart/serin");
    helm_of(s, verb, &chart, more).await
}

async fn helm_of(s: &Scenario, verb: &str, chart: &Path, more: &[&str]) -> Result<Said> {
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
