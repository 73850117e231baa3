//! Hooks, answered by Flagger's own load tester, which knows nothing of Serin.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::objects::{self, APP};
use crate::process;
use crate::scenario::{ADOPTION, RELEASE, RETREAT, Scenario};
use crate::world::HOME;

/// Names the load tester's program for the part of the run that happens in the cluster's network.
pub(crate) const PROGRAM: &str = "SERIN_REAL_LOADTESTER";

const TESTER: &str = "loadtester";

/// A gate holds a release until somebody opens it, a test keeps a broken one from users, and a switch rolls one back.
pub(super) async fn flaggers_load_tester_holds_tests_and_takes_back(s: &Scenario) -> Result<()> {
    tester(s).await?;
    let mut analysis = objects::quick();
    analysis["webhooks"] = hooks(s);
    analysis["alerts"] =
        json!([{"name": "on-call", "severity": "error", "providerRef": {"name": TESTER}}]);
    people(s).await?;
    s.adopt("1.0.0", 2, &analysis).await?;
    let load = s.load().await?;

    s.ship("2.0.0").await?;
    s.phase("Waiting", ADOPTION).await?;
    s.until(
        "the tester says that the gate is closed",
        ADOPTION,
        |canary| {
            canary["status"]["message"]
                .to_string()
                .contains("it answered 403")
        },
    )
    .await?;
    s.canary_is_gone().await?;
    turn(s, "gate/open").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;

    // A canary that fails its test never gets a user's request: each would be lost.
    let heard = async || answer(s, "gate/check", &json!({})).await;
    ensure!(
        heard().await? == "403",
        "people heard before anything failed"
    );
    s.ship("3.0.0-errors100").await?;
    s.phase("Failed", RELEASE).await?;
    s.until("people were told", RETREAT, |canary| {
        let alerts = &canary["status"]["alerts"];
        alerts["raised"].is_object() && alerts["pending"].is_null()
    })
    .await?;
    ensure!(
        heard().await? == "200",
        "people did not hear of the failure"
    );
    let release = s.last_release("RolledBack")?;
    ensure!(
        release.to_string().contains("pre-rollout hook"),
        "{release}"
    );

    s.ship("4.0.0").await?;
    s.weight(50, RELEASE).await?;
    turn(s, "rollback/open").await?;
    s.phase("Failed", RETREAT).await?;
    let release = s.last_release("RolledBack")?;
    ensure!(release.to_string().contains("rollback hook"), "{release}");
    s.canary_is_gone().await?;
    let ran = s.timeline().tags_on_main();
    for tag in ["3.0.0-errors100", "4.0.0"] {
        ensure!(!ran.contains(tag), "the main release ran {ran:?}");
    }
    s.no_request_lost(load).map(drop)
}

/// The load tester as a Pod beside the application.
async fn tester(s: &Scenario) -> Result<()> {
    let program = std::env::var(PROGRAM).ok().filter(|path| !path.is_empty());
    let program = program.context("there is no load tester")?;
    let image = format!("{TESTER}:1={program}");
    s.world.cluster(&["image", &image]).await?;
    let labels = json!({"app": TESTER});
    let metadata = json!({"name": TESTER, "namespace": s.namespace, "labels": labels});
    s.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": TESTER, "image": format!("{TESTER}:1"), "args": ["-port=8080", "-log-level=info"],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                }]},
            },
        },
    }))
    .await?;
    s.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }))
    .await?;
    let ready = "wait deployment/loadtester --for=condition=Available --timeout=60s";
    let ready: Vec<_> = ready.split(' ').collect();
    s.kubectl(&ready).await?.fine().map(drop)
}

fn hooks(s: &Scenario) -> Value {
    let at = |path: &str| format!("http://{TESTER}.{}.svc.cluster.local/{path}", s.namespace);
    let test = format!(
        "curl -sf --max-time 3 http://{APP}-canary.{}.svc.cluster.local/",
        s.namespace
    );
    json!([
        {"name": "office-hours", "type": "confirm-rollout", "url": at("gate/check")},
        {"name": "smoke", "type": "pre-rollout", "url": at(""), "timeout": "10s", "metadata": {"type": "bash", "cmd": test}},
        {"name": "load", "url": at(""), "metadata": {"cmd": "true"}},
        {"name": "switch", "type": "rollback", "url": at("rollback/check")},
    ])
}

/// An address for messages to people, which is a secret: the tester opens a gate for whoever sends it something without a name.
async fn people(s: &Scenario) -> Result<()> {
    let named = |name: &str| json!({"name": name, "namespace": s.namespace});
    let address = format!(
        "http://{TESTER}.{}.svc.cluster.local/gate/open",
        s.namespace
    );
    let role = "rbac.authorization.k8s.io";
    let mut secret = named(TESTER);
    secret["labels"] = json!({"serin.dev/credentials": "true"});
    let objects = [
        json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "AlertProvider", "metadata": named(TESTER),
            "spec": {"type": "webhook", "secretRef": {"name": TESTER}},
        }),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"address": address}}),
        json!({
            "apiVersion": format!("{role}/v1"), "kind": "RoleBinding", "metadata": named("serin-secrets"),
            "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": "serin-secrets"},
            "subjects": [{"kind": "ServiceAccount", "name": "serin", "namespace": HOME}],
        }),
    ];
    for object in &objects {
        s.apply(object).await?;
    }
    Ok(())
}

/// A person turns a switch of the tester.
async fn turn(s: &Scenario, what: &str) -> Result<()> {
    let whom = json!({"name": APP, "namespace": s.namespace});
    let status = answer(s, what, &whom).await?;
    ensure!(
        status.starts_with('2'),
        "{what}: the tester answers {status}"
    );
    Ok(())
}

/// The status with which the tester answers somebody who sends it this.
async fn answer(s: &Scenario, what: &str, body: &Value) -> Result<String> {
    let ask = ["get", "service", TESTER, "-o", "jsonpath={.spec.clusterIP}"];
    let address = s.kubectl(&ask).await?.fine()?;
    let mut command = Command::new("curl");
    command
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--max-time",
            "5",
        ])
        .args(["-d", &body.to_string()])
        .arg(format!("http://{address}/{what}"));
    process::call_for(command, Duration::from_secs(10))
        .await?
        .fine()
}
