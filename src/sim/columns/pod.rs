//! The columns of a Pod: how many containers are ready, and in one word how it is.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::columns::age::since;
use crate::sim::columns::cells::or_none;
use crate::sim::field::{count, is_going, is_true, list, text};

/// What the statuses of containers come to.
struct Sum<'a> {
    ready: usize,
    restarts: i64,
    last: Option<&'a Value>,
    word: String,
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let sum = sum(pod);
    let keepers = list(pod, "/spec/initContainers")
        .iter()
        .filter(|container| text(container, "/restartPolicy") == "Always");
    let all = list(pod, "/spec/containers").len() + keepers.count();
    let restarts = match sum.last {
        Some(at) if sum.restarts > 0 => format!("{} ({} ago)", sum.restarts, since(at, now)),
        _ => sum.restarts.to_string(),
    };
    vec![
        json!(text(pod, "/metadata/name")),
        json!(format!("{}/{all}", sum.ready)),
        json!(sum.word),
        json!(restarts),
        json!(since(&pod["metadata"]["creationTimestamp"], now)),
        or_none(text(pod, "/status/podIPs/0/ip")),
        or_none(text(pod, "/spec/nodeName")),
        or_none(text(pod, "/status/nominatedNodeName")),
        gates(pod),
    ]
}

fn sum(pod: &Value) -> Sum<'_> {
    let phase = text(pod, "/status/phase");
    let mut sum = Sum {
        ready: 0,
        restarts: 0,
        last: None,
        word: phase.to_owned(),
    };
    let reason = text(pod, "/status/reason");
    if !reason.is_empty() {
        reason.clone_into(&mut sum.word);
    }
    let begins = init(pod, &mut sum);
    if !begins || condition(pod, "Initialized") {
        run(pod, &mut sum);
    }
    if is_going(pod) && reason == "NodeLost" {
        "Unknown".clone_into(&mut sum.word);
    } else if is_going(pod) && !matches!(phase, "Succeeded" | "Failed") {
        "Terminating".clone_into(&mut sum.word);
    }
    sum
}

/// Looks at the init containers; whether one of them is not done.
fn init(pod: &Value, sum: &mut Sum<'_>) -> bool {
    let statuses = list(pod, "/status/initContainerStatuses");
    for (at, status) in statuses.iter().enumerate() {
        let state = &status["state"];
        sum.restarts += count(status, "/restartCount");
        if count(state, "/terminated/exitCode") == 0 && !state["terminated"].is_null() {
            continue;
        }
        let waits = text(state, "/waiting/reason");
        sum.word = if !state["terminated"].is_null() {
            format!("Init:{}", ended(&state["terminated"]))
        } else if is_true(status, "/started") {
            sum.ready += usize::from(is_true(status, "/ready"));
            continue;
        } else if !waits.is_empty() && waits != "PodInitializing" {
            format!("Init:{waits}")
        } else {
            format!("Init:{at}/{}", list(pod, "/spec/initContainers").len())
        };
        return true;
    }
    false
}

fn run<'a>(pod: &'a Value, sum: &mut Sum<'a>) {
    let (mut runs, mut failed) = (false, String::new());
    sum.restarts = 0;
    for status in list(pod, "/status/containerStatuses").iter().rev() {
        let state = &status["state"];
        sum.restarts += count(status, "/restartCount");
        let at = &status["lastState"]["terminated"]["finishedAt"];
        if at.as_str() > sum.last.and_then(Value::as_str) {
            sum.last = Some(at);
        }
        let waits = text(state, "/waiting/reason");
        if !waits.is_empty() {
            waits.clone_into(&mut sum.word);
        } else if !state["terminated"].is_null() {
            sum.word = ended(&state["terminated"]);
            if count(state, "/terminated/exitCode") != 0 {
                failed.clone_from(&sum.word);
            }
        } else if is_true(status, "/ready") && !state["running"].is_null() {
            runs = true;
            sum.ready += 1;
        }
    }
    if sum.word == "Completed" {
        sum.word = match (runs, condition(pod, "Ready")) {
            (true, true) => "Running".to_owned(),
            _ if !failed.is_empty() => failed,
            (true, false) => "NotReady".to_owned(),
            _ => return,
        };
    }
}

/// Why a container ended.
fn ended(terminated: &Value) -> String {
    let (reason, signal) = (text(terminated, "/reason"), count(terminated, "/signal"));
    match (reason, signal) {
        ("", 0) => format!("ExitCode:{}", count(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn condition(pod: &Value, name: &str) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|one| text(one, "/type") == name && text(one, "/status") == "True")
}

fn gates(pod: &Value) -> Value {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return json!("<none>");
    }
    let open = gates
        .iter()
        .filter(|gate| condition(pod, text(gate, "/conditionType")));
    json!(format!("{}/{}", open.count(), gates.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_how_a_pod_is() {
        let now = "2030-01-01T00:10:00Z".parse().unwrap();
        let run = json!({"running": {}});
        let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let pod = |status: Value| {
            json!({"metadata": {"name": "p", "creationTimestamp": "2030-01-01T00:05:00Z"},
            "spec": {"containers": [{}, {}], "initContainers": [{}]}, "status": status})
        };
        let loops = json!({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2030-01-01T00:09:00Z"}}});
        for (status, want) in [
            (json!({"phase": "Pending"}), "0/2 Pending 0"),
            (
                json!({"phase": "Failed", "reason": "Evicted"}),
                "0/2 Evicted 0",
            ),
            (
                json!({"phase": "Running", "containerStatuses": [{"ready": true, "state": run}, {"ready": false, "state": run}]}),
                "1/2 Running 0",
            ),
            (
                json!({"phase": "Running", "containerStatuses": [loops, {"ready": true, "state": run}]}),
                "1/2 CrashLoopBackOff 3 (60s ago)",
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}),
                "0/2 Init:0/1 0",
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"restartCount": 1, "state": {"terminated": {"exitCode": 3}}}]}),
                "0/2 Init:ExitCode:3 1",
            ),
            (
                json!({"phase": "Running", "initContainerStatuses": [{"state": done}],
                    "containerStatuses": [{"state": done}, {"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}),
                "0/2 Error 0",
            ),
        ] {
            let cells = cells(&pod(status.clone()), now);
            let shown: Vec<_> = cells[1..4].iter().filter_map(Value::as_str).collect();
            assert_eq!(shown.join(" "), want, "{status}");
            assert_eq!(cells[4], "5m");
        }
    }

    #[test]
    fn a_pod_that_goes_is_terminating() {
        let mut pod = json!({"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
        assert_eq!(sum(&pod).word, "Terminating");
        pod["status"]["reason"] = json!("NodeLost");
        assert_eq!(sum(&pod).word, "Unknown");
    }
}
