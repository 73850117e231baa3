//! Contour with Envoy, as Pods of the cluster: the second proxy that routes in these tests.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::world::World;

/// Names the folder of the programs for the part of the run that happens in the cluster's network.
pub(crate) const FOLDER: &str = "SERIN_REAL_CONTOUR";

/// Where users come in.
pub(crate) const ENVOY: &str = "10.96.0.81";

/// What is installed beside the definitions.
const OBJECTS: &str = include_str!("contour/contour.yaml");

/// Puts Contour and Envoy into the cluster.
pub(crate) async fn install(world: &World) -> Result<()> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let folder = folder.context("there is no Contour")?;
    let images =
        ["contour", "envoy"].map(|name| format!("{name}:real={}", folder.join(name).display()));
    world.cluster(&["image", &images[0], &images[1]]).await?;
    let definitions = folder.join("definitions");
    let apply = [
        "apply",
        "--server-side",
        "-f",
        &definitions.to_string_lossy(),
    ];
    world.kubectl(&apply).await?.fine()?;
    let apply = ["apply", "--server-side", "-f", "-"];
    world.kubectl_with(&apply, OBJECTS).await?.fine()?;
    let wait = "wait deployment --all --for=condition=Available --timeout=90s -n projectcontour";
    let wait: Vec<_> = wait.split(' ').collect();
    let started = world.kubectl(&wait).await?.fine();
    started.context("start Contour").map(drop)
}
