//! The status of a Pod, as a kubelet writes it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::sim::field::{list, named, stamp, text, uid};
use crate::sim::pods::life::{Ended, Life, Run, State};
use crate::sim::quantity::thousandths;
use crate::sim::seed::{digest, letters};

/// Type, whether it holds, reason and message.
type Condition<'a> = (&'a str, bool, &'a str, String);

/// The status of a Pod that no node takes.
pub(super) fn unscheduled(pod: &Value, why: &str, now: Timestamp) -> Value {
    let scheduled = [("PodScheduled", false, "Unschedulable", why.to_owned())];
    json!({
        "phase": "Pending", "qosClass": quality(pod), "observedGeneration": pod["metadata"]["generation"],
        "conditions": conditions(pod, &scheduled, now),
    })
}

/// The status of a Pod on a node.
pub(super) fn of(pod: &Value, node: &Value, life: &Life, now: Timestamp) -> Value {
    let host = list(node, "/status/addresses")
        .first()
        .map_or("", |address| text(address, "/address"));
    let mut status = json!({
        "phase": phase(pod, life), "qosClass": quality(pod), "observedGeneration": pod["metadata"]["generation"],
        "hostIP": host, "hostIPs": [{"ip": host}], "startTime": stamp(life.begun),
        "conditions": conditions(pod, &all_conditions(life), now),
        "containerStatuses": containers(pod, life, false),
    });
    if life.runs.iter().any(has_begun) {
        status["podIP"] = json!(life.address);
        status["podIPs"] = json!([{"ip": life.address}]);
    }
    if life.runs.iter().any(|run| run.init) {
        status["initContainerStatuses"] = json!(containers(pod, life, true));
    }
    status
}

/// The last status of a Pod, when its containers have ended.
pub(super) fn ended(pod: &Value, life: &Life, now: Timestamp) -> Value {
    let mut status = pod["status"].clone();
    status["conditions"] = conditions(pod, &all_conditions(life), now);
    status["containerStatuses"] = json!(containers(pod, life, false));
    status
}

fn has_begun(run: &Run) -> bool {
    run.last.is_some()
        || !matches!(&run.state, State::Waiting { reason, .. } if ["ContainerCreating", "PodInitializing"].contains(reason))
}

fn phase(pod: &Value, life: &Life) -> &'static str {
    let main: Vec<_> = life.runs.iter().filter(|run| !run.init).collect();
    let codes: Vec<_> = main.iter().filter_map(|run| final_code(pod, run)).collect();
    let failed_before = life
        .runs
        .iter()
        .any(|run| run.init && final_code(pod, run).is_some_and(|code| code != 0));
    if failed_before {
        "Failed"
    } else if !main.is_empty() && codes.len() == main.len() {
        if codes.iter().all(|code| *code == 0) {
            "Succeeded"
        } else {
            "Failed"
        }
    } else if life.is_initialized()
        && main
            .iter()
            .any(|run| run.last.is_some() || !matches!(run.state, State::Waiting { .. }))
    {
        "Running"
    } else {
        "Pending"
    }
}

/// The exit code of a container that is not started again.
fn final_code(pod: &Value, run: &Run) -> Option<i64> {
    let State::Ended(ended) = &run.state else {
        return None;
    };
    match text(pod, "/spec/restartPolicy") {
        "Never" => Some(ended.code),
        "OnFailure" if ended.code == 0 => Some(0),
        _ => None,
    }
}

fn all_conditions(life: &Life) -> [Condition<'static>; 5] {
    let unready = names(
        life.runs
            .iter()
            .filter(|run| (!run.init || run.sidecar) && !run.ready),
    );
    let ready = unready.is_empty();
    let initialized = life.is_initialized();
    let undone = names(life.runs.iter().filter(|run| run.init && !run.ready));
    let (reason, message) = if ready {
        ("", String::new())
    } else {
        (
            "ContainersNotReady",
            format!("containers with unready status: [{unready}]"),
        )
    };
    let (init_reason, init_message) = if initialized {
        ("", String::new())
    } else {
        (
            "ContainersNotInitialized",
            format!("containers with incomplete status: [{undone}]"),
        )
    };
    [
        (
            "PodReadyToStartContainers",
            life.runs.iter().any(has_begun),
            "",
            String::new(),
        ),
        ("Initialized", initialized, init_reason, init_message),
        ("Ready", ready && initialized, reason, message.clone()),
        ("ContainersReady", ready && initialized, reason, message),
        ("PodScheduled", true, "", String::new()),
    ]
}

fn names<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    runs.map(|run| run.name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Conditions that keep the time of their last change.
fn conditions(pod: &Value, all: &[Condition<'_>], now: Timestamp) -> Value {
    let known = list(pod, "/status/conditions");
    let made = all.iter().map(|(kind, holds, reason, message)| {
        let status = if *holds { "True" } else { "False" };
        let same = known
            .iter()
            .find(|known| text(known, "/type") == *kind && text(known, "/status") == status);
        let since = same.map_or_else(|| stamp(now), |known| known["lastTransitionTime"].clone());
        let mut condition = json!({
            "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since,
            "observedGeneration": pod["metadata"]["generation"],
        });
        if !reason.is_empty() {
            condition["reason"] = json!(reason);
            condition["message"] = json!(message);
        }
        condition
    });
    made.collect()
}

fn containers(pod: &Value, life: &Life, init: bool) -> Vec<Value> {
    let specs = list(
        pod,
        if init {
            "/spec/initContainers"
        } else {
            "/spec/containers"
        },
    );
    let runs = life.runs.iter().filter(|run| run.init == init);
    runs.filter_map(|run| Some(container(pod, named(specs, &run.name)?, run)))
        .collect()
}

fn container(pod: &Value, spec: &Value, run: &Run) -> Value {
    let image = text(spec, "/image");
    let id = container_id(pod, run, run.restarts);
    let has_run = !matches!(run.state, State::Waiting { .. });
    let done = matches!(&run.state, State::Ended(ended) if run.init && ended.code == 0);
    let mut last = Map::new();
    if let Some(ended) = &run.last {
        last.insert(
            "terminated".into(),
            terminated(ended, &container_id(pod, run, run.restarts - 1)),
        );
    }
    let mut status = json!({
        "name": run.name, "image": image, "imageID": "", "ready": run.ready || done, "started": run.started,
        "restartCount": run.restarts, "state": state(&run.state, &id), "lastState": last,
    });
    if has_run || run.last.is_some() {
        status["imageID"] = json!(format!("{image}@sha256:{:016x}", digest(image)));
        status["containerID"] = json!(id);
    }
    status
}

fn container_id(pod: &Value, run: &Run, restarts: i64) -> String {
    let number = digest(&format!("{} {} {restarts}", uid(pod), run.name));
    format!("sim://{}", letters(number, 13))
}

fn state(state: &State, id: &str) -> Value {
    match state {
        State::Waiting {
            reason, message, ..
        } if message.is_empty() => {
            json!({"waiting": {"reason": reason}})
        }
        State::Waiting {
            reason, message, ..
        } => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        State::Running { since } => json!({"running": {"startedAt": stamp(*since)}}),
        State::Ended(ended) => json!({"terminated": terminated(ended, id)}),
    }
}

fn terminated(ended: &Ended, id: &str) -> Value {
    json!({
        "exitCode": ended.code, "reason": if ended.code == 0 { "Completed" } else { "Error" },
        "startedAt": stamp(ended.since), "finishedAt": stamp(ended.at), "containerID": id,
    })
}

/// The quality of service that follows from requests and limits.
fn quality(pod: &Value) -> &'static str {
    let containers = list(pod, "/spec/containers");
    let of = |container: &Value, part: &str, name: &str| {
        thousandths(container.pointer(&format!("/resources/{part}/{name}")))
    };
    let mut any = false;
    let mut guaranteed = !containers.is_empty();
    for container in containers {
        for name in ["cpu", "memory"] {
            let (request, limit) = (
                of(container, "requests", name),
                of(container, "limits", name),
            );
            any |= request + limit > 0;
            guaranteed &= limit > 0 && (request == limit || request == 0);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
