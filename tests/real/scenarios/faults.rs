//! What may break around a release while it is under way.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

use crate::load::Load;
use crate::objects::{self, APP};
use crate::process;
use crate::record::{Kind, Recorder, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;

/// The canary's workload.
const CANARY: &str = "app-canary";

/// A canary that stands at 50 % with load on it.
async fn at_half(s: &Scenario) -> Result<Load> {
    s.adopt("1.0.0", 3, &objects::until(50)).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    Ok(load)
}

/// And from there to its end.
async fn promote(s: &Scenario) -> Result<()> {
    s.request("promote").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await
}

pub(super) async fn an_edited_route_is_put_right(s: &Scenario) -> Result<()> {
    let load = at_half(s).await?;
    let name = route(s)?;
    let api = s.api(&Kind::Route.resource());
    let mut edited = api.get(&name).await?;
    shift(&mut edited.data, 90);
    api.replace(&name, &kube::api::PostParams::default(), &edited)
        .await?;
    let put = SystemTime::now();
    let what = "the weight is 50 again";
    let right = |_: &Recorder| {
        s.timeline()
            .weight_values()
            .ends_with(&[50, 90, 50])
            .then_some(())
    };
    s.world.recorder.wait(what, RETREAT, right).await?;
    let weights = s.timeline().weights();
    let back = weights.last().context("no weights")?.0;
    s.number(
        "route edited: put right after (s)",
        seconds(between(put, back)),
        2.0,
    )?;
    promote(s).await?;
    s.no_request_lost(load).map(drop)
}

/// Sets the canary's weight in a route, as a person would.
fn shift(route: &mut Value, weight: i64) {
    let backends = route.pointer_mut("/spec/rules/0/backendRefs");
    for backend in backends.and_then(Value::as_array_mut).into_iter().flatten() {
        let canary = backend["name"] == CANARY;
        backend["weight"] = json!(if canary { weight } else { 100 - weight });
    }
}

pub(super) async fn a_deleted_route_is_made_again(s: &Scenario) -> Result<()> {
    let load = at_half(s).await?;
    // Without a route users get 404 from the gateway: this load only shows that nobody is lost before.
    s.no_request_lost(load)?;
    let name = route(s)?;
    let old = s.get(Kind::Route, &name).context("no route")?;
    s.delete(Kind::Route, &name).await?;
    let again = |found: Option<&Value>| {
        found.is_some_and(|one| {
            text(one, "/metadata/uid") != text(&old, "/metadata/uid")
                && crate::timeline::route_weight(one) == 50
        })
    };
    s.until_object(
        "the route is there again",
        (Kind::Route, &name),
        RETREAT,
        again,
    )
    .await?;
    s.reachable().await?;
    let load = s.load().await?;
    promote(s).await?;
    s.no_request_lost(load).map(drop)
}

/// Name of the route that has the canary's backend.
fn route(s: &Scenario) -> Result<String> {
    let routes = s.world.recorder.present(&s.namespace, Kind::Route);
    routes
        .first()
        .map(|route| route.name.clone())
        .context("no route")
}

/// Somebody deletes the canary's Deployment: weight 0 comes before the loss of its last Pod hurts for long.
pub(super) async fn a_deleted_canary_costs_no_release(s: &Scenario) -> Result<()> {
    let load = at_half(s).await?;
    s.delete(Kind::Deployment, CANARY).await?;
    let gone = SystemTime::now();
    s.until("the weight is 0", RETREAT, |canary| {
        canary["status"]["canaryWeight"] == 0
    })
    .await?;
    let zero = first_zero(s, gone).context("the weight was never 0")?;
    s.number(
        "canary deleted: weight 0 after (s)",
        seconds(between(gone, zero)),
        1.0,
    )?;
    s.until("the canary is back", RELEASE, |canary| {
        canary["status"]["canaryWeight"] == 50 || text(canary, "/status/phase") == "Failed"
    })
    .await?;
    s.main_ran_only(&["1.0.0"])?;
    let report = load.stop()?;
    // Half of the requests have nowhere to go until the gateway has heard of weight 0.
    s.number("canary deleted: requests lost", report.lost as f64, 250.0)
}

pub(super) async fn a_killed_canary_pod_takes_its_traffic_away(s: &Scenario) -> Result<()> {
    let load = at_half(s).await?;
    let pods = s.world.recorder.present(&s.namespace, Kind::Pod);
    let killed = SystemTime::now();
    let mut count = 0;
    for pod in pods
        .iter()
        .filter(|pod| pod.text("/metadata/labels/serin.dev~1role") == "canary")
    {
        let variable = format!("POD_NAME={}", pod.name);
        let process = process::find(&s.world.places.binary("app"), &variable);
        process::signal(process.context("the Pod runs nothing")?, "KILL")?;
        count += 1;
    }
    ensure!(count > 0, "there is no canary Pod");
    s.until("the weight is 0", RETREAT, |canary| {
        canary["status"]["canaryWeight"] == 0
    })
    .await?;
    let zero = first_zero(s, killed).context("the weight was never 0")?;
    let seen = not_ready(s, killed).context("no Pod was seen unready")?;
    s.number(
        "canary Pods die: weight 0 after the watch says so (s)",
        seconds(between(seen, zero)),
        1.0,
    )?;
    s.number(
        "canary Pods die: weight 0 after the kill (s)",
        seconds(between(killed, zero)),
        4.0,
    )?;
    s.until("it counts", RETREAT, |canary| {
        canary["status"]["failedChecks"].as_i64() > Some(0)
    })
    .await?;
    let report = load.stop()?;
    // Requests to a Pod that was just killed cannot be saved by anybody; how many they are is shown.
    s.number("canary Pods die: requests lost", report.lost as f64, 400.0)?;
    s.main_ran_only(&["1.0.0"])
}

fn first_zero(s: &Scenario, from: SystemTime) -> Option<SystemTime> {
    let weights = s.timeline().weights();
    let zero = weights
        .into_iter()
        .find(|(at, weight)| *at >= from && *weight == 0);
    zero.map(|(at, _)| at)
}

/// When the watch first said that a Pod of the canary is not ready.
fn not_ready(s: &Scenario, from: SystemTime) -> Option<SystemTime> {
    let records = s.world.recorder.all(&s.namespace);
    let bad = records.iter().find(|record| {
        record.kind == Kind::Pod
            && record.at >= from
            && record.text("/metadata/labels/serin.dev~1role") == "canary"
            && !crate::world::ready(&record.object)
    });
    bad.map(|record| record.at)
}

/// No metrics: it holds where it is and rolls nothing back; with metrics again it goes on.
pub(super) async fn without_prometheus_it_holds_and_then_goes_on(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::quick()).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.weight(10, RELEASE).await?;
    prometheus(s, 0).await?;
    let stopped = SystemTime::now();
    let held = s.until("it says why it holds", RETREAT, |canary| {
        let checks = canary["status"]["checks"].to_string();
        checks.contains("NoData") || text(canary, "/status/message").contains("metrics")
    });
    let held = held.await;
    let weights = s.timeline().weight_values();
    prometheus(s, 1).await?;
    held?;
    let phases = s.timeline().phase_from("Failed", stopped);
    ensure!(phases.is_none(), "it was rolled back for want of data");
    ensure!(
        weights.last() <= Some(&50),
        "it went on without data: {weights:?}"
    );
    s.phase("Succeeded", RELEASE).await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load).map(drop)
}

async fn prometheus(s: &Scenario, replicas: i32) -> Result<()> {
    let count = format!("--replicas={replicas}");
    let scale = ["scale", "deployment/prometheus", "-n", "monitoring", &count];
    s.world.kubectl(&scale).await?.fine()?;
    let wait = [
        "rollout",
        "status",
        "deployment/prometheus",
        "-n",
        "monitoring",
        "--timeout=60s",
    ];
    s.world.kubectl(&wait).await?.fine().map(drop)
}

/// The API server goes and comes back: traffic does not notice, and the release goes on.
/// The controller manager goes with the API server, as on a control plane that is started anew: its client waits up to 30 s
/// between two tries, and one that has been blind for longer than the nodes' grace calls every node not ready, stable's too.
/// The gateway waits as long before it looks again, so the route may be accepted late; the deadline leaves it that time.
pub(super) async fn an_absent_api_server_changes_nothing(s: &Scenario) -> Result<()> {
    let mut canary = objects::canary(&s.host(), &objects::quick());
    canary["spec"]["progressDeadlineSeconds"] = json!(300);
    s.adopt_as("1.0.0", 3, &canary).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.weight(10, RELEASE).await?;
    for part in CONTROL_PLANE {
        s.world.cluster(&["kill", part]).await?;
    }
    tokio::time::sleep(AWAY).await;
    for part in CONTROL_PLANE {
        s.world.cluster(&["start", part]).await?;
    }
    s.phase("Succeeded", BLIND).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.no_early_step(&[10, 50, 100])?;
    s.no_request_lost(load).map(drop)
}

pub(super) async fn a_frozen_etcd_changes_nothing(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::quick()).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.weight(10, RELEASE).await?;
    s.world.cluster(&["freeze", "etcd"]).await?;
    tokio::time::sleep(FROZEN).await;
    s.world.cluster(&["thaw", "etcd"]).await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.no_early_step(&[10, 50, 100])?;
    s.no_request_lost(load).map(drop)
}

/// What is away together, in the order in which it starts.
const CONTROL_PLANE: [&str; 2] = ["kube-apiserver", "kube-controller-manager"];

/// A release ends within this time although the gateway was blind for up to a minute of it.
const BLIND: Duration = Duration::from_secs(240);

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(10);

/// How long etcd answers nothing.
const FROZEN: Duration = Duration::from_secs(20);

/// The node of all canary Pods loses power in mid canary.
pub(super) async fn a_lost_node_takes_the_canary_and_no_more(s: &Scenario) -> Result<()> {
    let name = "node-2";
    if s.world.cluster(&["add-node", name]).await.is_err() {
        // An earlier round left it there, without power.
        s.world.cluster(&["start", name]).await?;
    }
    let result = lose(s, name).await;
    let dropped = drop_node(s, name).await;
    result?;
    dropped
}

async fn lose(s: &Scenario, node: &str) -> Result<()> {
    s.deploy("1.0.0", 2).await?;
    let keep = json!({"spec": {"template": {"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}]}}}}}}});
    s.merge(Kind::Deployment, APP, &keep).await?;
    s.main_runs("1.0.0").await?;
    s.apply(&objects::canary(&s.host(), &objects::until(50)))
        .await?;
    s.phase("Initialized", RETREAT).await?;
    let load = s.load().await?;
    let mut there = keep;
    there["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] = json!([node]);
    s.merge(Kind::Deployment, APP, &there).await?;
    s.stands(RELEASE).await?;
    let lost = SystemTime::now();
    s.world.cluster(&["lose-node", node]).await?;
    s.until("the weight is 0", NODE, |canary| {
        canary["status"]["canaryWeight"] == 0
    })
    .await?;
    let zero = first_zero(s, lost).context("the weight was never 0")?;
    // By its requests that fail, or by Kubernetes' own word, whichever comes first.
    let took = seconds(between(lost, zero));
    s.number("node lost: weight 0 after (s)", took, seconds(NODE))?;
    let report = load.stop()?;
    s.number("node lost: requests lost", report.lost as f64, 10_000.0)?;
    let back = s.load().await?;
    while back.snapshot().sent < ENOUGH {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    s.no_request_lost(back).map(drop)
}

/// So many requests show that stable serves.
const ENOUGH: u64 = 600;

/// Kubernetes takes 40 to 50 s until it believes that a node is gone.
const NODE: Duration = Duration::from_secs(90);

async fn drop_node(s: &Scenario, node: &str) -> Result<()> {
    // Without power already, if the scenario came so far; then its Pods go with it.
    let _ = s.world.cluster(&["lose-node", node]).await;
    let space = json!({"apiVersion": "v1", "kind": "Node"});
    let resource = crate::scenario::resource(&space);
    let api = Api::<DynamicObject>::all_with(s.world.client.clone(), &resource);
    api.delete(node, &kube::api::DeleteParams::default())
        .await?;
    Ok(())
}

/// Nobody may claim protection that is not there, and nothing slips through.
pub(super) async fn without_its_policies_the_gate_says_so(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 1, &objects::quick()).await?;
    let bindings = ["mutatingadmissionpolicybindings", "serin-hold"];
    let delete = ["delete", bindings[0], bindings[1]];
    s.world.kubectl(&delete).await?.fine()?;
    let gated = |status: &'static str| {
        move |canary: &Value| {
            let conditions = canary["status"]["conditions"].as_array();
            conditions.is_some_and(|all| {
                all.iter()
                    .any(|one| one["type"] == "Gated" && one["status"] == status)
            })
        }
    };
    let open = s
        .until("it says that the gate is open", RETREAT, gated("False"))
        .await;
    let refused = refuses_what_is_not_held(s).await;
    let gate = s.world.places.root.join("deploy/gate.yaml");
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        &gate.to_string_lossy(),
    ];
    s.world.kubectl(&apply).await?.fine()?;
    open?;
    refused?;
    s.until("the gate is armed again", RELEASE, gated("True"))
        .await?;
    s.main_ran_only(&["1.0.0"])
}

/// Without the hold, the guard refuses a template that would not be held. The API server goes on holding for a moment after the
/// watch has told of the deletion: never may a template pass that is neither held nor refused.
async fn refuses_what_is_not_held(s: &Scenario) -> Result<()> {
    let change = r#"{"spec":{"template":{"metadata":{"annotations":{"try":"1"}}}}}"#;
    let ask = [
        "patch",
        "deployment",
        "app",
        "--dry-run=server",
        "-o",
        "json",
        "-p",
        change,
    ];
    let deadline = Instant::now() + RELEASE;
    loop {
        let said = s.kubectl(&ask).await?;
        if said.code != 0 {
            return Ok(());
        }
        ensure!(
            said.out.contains("serin.dev/held"),
            "a template passed without a hold: {said:?}"
        );
        ensure!(Instant::now() < deadline, "the hold never went");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
