//! What Serin takes for granted about the API server, tried beside a running Serin.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::process;
use crate::scenario::Scenario;

/// The script of the gate, with Serin installed, and with all that it can use: Helm, and webhooks beside the policies.
pub(super) async fn the_gate_holds_beside_a_running_serin(s: &Scenario) -> Result<()> {
    let places = &s.world.places;
    s.world.images(&["1.0", "2.0", "3.0"]).await?;
    let mut command = Command::new(places.root.join("tests/conformance/gate.sh"));
    command
        .env("KUBECTL", s.world.kubectl_program())
        .env("KUBECONFIG", s.world.kubeconfig())
        .env("INSTALLED", "1")
        // This process is in the cluster's network already.
        .env("HOOK", "env")
        .env("HELM", s.world.helm_program());
    let said = process::call_for(command, LONGEST).await?;
    let wrong: Vec<_> = said
        .out
        .lines()
        .filter(|line| line.starts_with("not ok"))
        .collect();
    let last = said.out.lines().last().unwrap_or_default();
    ensure!(said.code == 0, "{last}: {wrong:?} {}", said.err);
    ensure!(
        last.ends_with(" passed, 0 failed"),
        "it ended with {last:?}"
    );
    for left_out in ["without HOOK", "without HELM"] {
        ensure!(!said.out.contains(left_out), "checks ran {left_out}");
    }
    Ok(())
}

/// The script takes three minutes alone, and longer beside other scenarios.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(840);
