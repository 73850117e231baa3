//! Serin goes into the cluster as a person would put it there: all of `deploy/`, and one setting.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::world::{HOME, World};

/// The Prometheus of the cluster, as Pods reach it.
pub(crate) const PROMETHEUS: &str = "http://prometheus.monitoring:9090";

/// How long the first start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Installs definitions, gate, rights and controller, and waits until it works.
pub(crate) async fn serin(world: &World) -> Result<()> {
    world.images(&["1.0.0"]).await?;
    objects(world).await?;
    world.record();
    metrics_server(world, Some(PROMETHEUS)).await?;
    renew(world).await
}

/// Applies all of `deploy/`.
pub(crate) async fn objects(world: &World) -> Result<()> {
    let deploy = world.places.root.join("deploy");
    let deploy = deploy.to_string_lossy();
    let all = world
        .kubectl(&[
            "kustomize",
            "--load-restrictor",
            "LoadRestrictionsNone",
            &deploy,
        ])
        .await?
        .fine()
        .context("render deploy/")?;
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    definitions_first(world, &apply).await?;
    world
        .kubectl_with(&apply, &all)
        .await?
        .fine()
        .context("apply deploy/")
        .map(drop)
}

/// The gate's policies name types that have to be served before.
async fn definitions_first(world: &World, apply: &[&str]) -> Result<()> {
    let crds = world.places.root.join("crds");
    let mut arguments = apply[..apply.len() - 1].to_vec();
    let crds = crds.to_string_lossy();
    arguments.push(&crds);
    world.kubectl(&arguments).await?.fine()?;
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd/canaries.serin.dev",
        "crd/metrictemplates.serin.dev",
        "crd/alertproviders.serin.dev",
    ];
    // kubectl fails on a definition that has no conditions yet.
    for _ in 0..20 {
        if world.kubectl(&wait).await?.code == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    world.kubectl(&wait).await?.fine().map(drop)
}

/// Sets the metrics server of the controller, or takes it away, and waits until it runs so.
pub(crate) async fn metrics_server(world: &World, address: Option<&str>) -> Result<()> {
    let setting = match address {
        Some(address) => format!("SERIN_METRICS_SERVER={address}"),
        None => "SERIN_METRICS_SERVER-".to_owned(),
    };
    let set = ["set", "env", "deployment/serin", "-n", HOME, &setting];
    world.kubectl(&set).await?.fine()?;
    rolled_out(world).await
}

/// Starts the controller anew: a cluster that was kept may still run an older build.
async fn renew(world: &World) -> Result<()> {
    let restart = ["rollout", "restart", "deployment/serin", "-n", HOME];
    world.kubectl(&restart).await?.fine()?;
    rolled_out(world).await?;
    world
        .recorder
        .wait("one controller", START, |_| {
            (world.controllers().len() == 1).then_some(())
        })
        .await
}

/// Waits until the controller's Deployment is rolled out.
pub(crate) async fn rolled_out(world: &World) -> Result<()> {
    let timeout = format!("--timeout={}s", START.as_secs());
    let status = [
        "rollout",
        "status",
        "deployment/serin",
        "-n",
        HOME,
        &timeout,
    ];
    let said = world.kubectl(&status).await?;
    said.fine()
        .context("the controller does not start")
        .map(drop)
}
