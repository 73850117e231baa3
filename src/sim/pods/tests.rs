use std::time::Duration;

use serde_json::{Value, json};

use crate::sim::account::admin;
use crate::sim::behaviour::{Behaviour, Behaviours};
use crate::sim::field::{after, list, stamp, text};
use crate::sim::nodes::{LOST, Nodes, Size};
use crate::sim::pods::Pods;
use crate::sim::stage::Stage;
use crate::sim::store::Key;

fn stage(size: Size, behaviours: Behaviours) -> Stage {
    Stage::new(vec![
        Box::new(Nodes::new(size)),
        Box::new(Pods::new(behaviours)),
    ])
}

fn key() -> Key {
    Key::new("", "pods", "test", "one")
}

fn pod(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("app");
    if container["readinessProbe"].is_null() {
        container["readinessProbe"] =
            json!({"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1});
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [container]}})
}

fn with(container: Value) -> Stage {
    let mut stage = stage(Size::default(), Behaviours::default());
    stage.settle();
    stage.create(&key(), pod(container));
    stage
}

/// Phase, readiness, restarts, and what the container waits for.
fn state(stage: &Stage) -> String {
    let pod = stage.api.get(&key()).unwrap();
    let container = pod
        .pointer("/status/containerStatuses/0")
        .cloned()
        .unwrap_or_default();
    let ready = if container["ready"] == true {
        "ready"
    } else {
        "unready"
    };
    let state = ["running", "waiting", "terminated"]
        .into_iter()
        .find(|name| container["state"][*name].is_object());
    let state = state.unwrap_or("none");
    let reason = text(&container["state"][state], "/reason");
    format!(
        "{} {ready} {} {state} {reason}",
        text(&pod, "/status/phase"),
        container["restartCount"]
    )
    .trim_end()
    .to_owned()
}

/// Reasons of the Events about the Pod.
fn events(stage: &Stage) -> Vec<String> {
    let all = stage.api.list("", "events", None);
    let about = all
        .iter()
        .filter(|(_, event)| text(event, "/involvedObject/name") == "one");
    about
        .map(|(_, event)| text(event, "/reason").to_owned())
        .collect()
}

#[test]
fn containers_do_what_their_images_say() {
    let rows: &[(&str, &[(i64, &str)])] = &[
        (
            "app:1",
            &[
                (0, "Pending unready 0 waiting ContainerCreating"),
                (2, "Running ready 0 running"),
            ],
        ),
        (
            "app:1-start5",
            &[
                (3, "Running unready 0 running"),
                (4, "Running ready 0 running"),
            ],
        ),
        ("app:1-notready", &[(600, "Running unready 0 running")]),
        (
            "app:1-unready30",
            &[
                (20, "Running ready 0 running"),
                (20, "Running unready 0 running"),
            ],
        ),
        (
            "app:1-missing",
            &[
                (1, "Pending unready 0 waiting ErrImagePull"),
                (3, "Pending unready 0 waiting ImagePullBackOff"),
                (100, "Pending unready 0 waiting ImagePullBackOff"),
            ],
        ),
        (
            "app:1-crash",
            &[
                (1, "Running unready 0 terminated Error"),
                (1, "Running unready 1 terminated Error"),
                (2, "Running unready 1 waiting CrashLoopBackOff"),
                (60, "Running unready 3 waiting CrashLoopBackOff"),
            ],
        ),
        (
            "app:1-crash20",
            &[
                (10, "Running ready 0 running"),
                (11, "Running unready 0 terminated Error"),
                (10, "Running ready 1 running"),
            ],
        ),
        ("app:1-oops", &[(1, "Running unready 0 terminated Error")]),
    ];
    for (image, moments) in rows {
        let mut stage = with(json!({"image": image}));
        for (seconds, expected) in *moments {
            stage.pass(*seconds);
            assert_eq!(state(&stage), *expected, "{image}");
        }
    }
}

#[test]
fn a_ready_pod_has_all_that_people_look_for() {
    let mut stage = with(json!({"image": "app:1"}));
    stage.pass(5);
    for condition in [
        "PodScheduled",
        "Initialized",
        "ContainersReady",
        "Ready",
        "PodReadyToStartContainers",
    ] {
        assert_eq!(stage.condition(&key(), condition), "True ", "{condition}");
    }
    let status = stage.read(&key(), "/status");
    assert!(text(&status, "/podIP").starts_with("10."));
    assert!(status["containerStatuses"][0]["started"] == true);
    let mut reasons = events(&stage);
    reasons.sort();
    assert_eq!(reasons, ["Created", "Pulled", "Scheduled", "Started"]);
}

#[test]
fn an_unready_pod_says_why() {
    let mut stage = with(json!({"image": "app:1-notready"}));
    stage.pass(5);
    assert_eq!(stage.condition(&key(), "Ready"), "False ContainersNotReady");
    assert!(events(&stage).contains(&"Unhealthy".to_owned()));
}

#[test]
fn a_crashing_container_tells_its_exit_code_and_backs_off() {
    let mut stage = with(json!({"image": "app:1-crash"}));
    stage.pass(4);
    let container = stage.read(&key(), "/status/containerStatuses/0");
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
    let message = text(&container, "/state/waiting/message");
    assert!(
        message.starts_with("back-off 10s restarting failed container=app pod=one_test("),
        "{message}"
    );
    assert!(events(&stage).contains(&"BackOff".to_owned()));
}

#[test]
fn missing_configuration_keeps_a_container_from_being_made() {
    let from = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]);
    let mut stage = with(json!({"image": "app:1", "env": from}));
    stage.pass(2);
    assert_eq!(
        state(&stage),
        "Pending unready 0 waiting CreateContainerConfigError"
    );
    let message = stage.read(&key(), "/status/containerStatuses/0/state/waiting/message");
    assert_eq!(message, "configmap \"c\" not found");
    stage.create(
        &Key::new("", "configmaps", "test", "c"),
        json!({"data": {"k": "v"}}),
    );
    stage.pass(20);
    assert_eq!(state(&stage), "Running ready 0 running");
}

#[test]
fn a_failing_init_container_keeps_the_pod_pending() {
    for (args, expected) in [
        (
            json!(["exit", "3"]),
            "Pending unready 0 waiting PodInitializing",
        ),
        (json!(["exit", "0"]), "Running ready 0 running"),
    ] {
        let mut stage = stage(Size::default(), Behaviours::default());
        stage.settle();
        let mut pod = pod(json!({"image": "app:1"}));
        pod["spec"]["initContainers"] = json!([{"name": "first", "image": "app:1", "args": args}]);
        stage.create(&key(), pod);
        stage.pass(5);
        assert_eq!(state(&stage), expected);
        let initialized = stage.condition(&key(), "Initialized");
        assert_eq!(
            initialized == "True ",
            expected.starts_with("Running"),
            "{initialized}"
        );
    }
}

#[test]
fn a_pod_waits_until_there_is_room() {
    let size = Size {
        nodes: 2,
        cpu: "1".to_owned(),
        ..Size::default()
    };
    let mut stage = stage(size, Behaviours::default());
    stage.settle();
    let big = pod(json!({"image": "app:1", "resources": {"requests": {"cpu": "800m"}}}));
    for name in ["a", "b", "one"] {
        stage.create(&Key::new("", "pods", "test", name), big.clone());
        stage.pass(2);
    }
    assert_eq!(
        stage.condition(&key(), "PodScheduled"),
        "False Unschedulable"
    );
    let message = stage.read(&key(), "/status/conditions/0/message");
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("0/2 nodes are available: 2 Insufficient cpu."),
        "{message}"
    );
    assert_eq!(events(&stage), ["FailedScheduling"]);
    stage
        .api
        .delete(&admin(), &Key::new("", "pods", "test", "a"))
        .unwrap();
    stage.pass(10);
    assert_eq!(state(&stage), "Running ready 0 running");
}

#[test]
fn a_pod_ends_after_its_drain_or_its_grace() {
    for (image, grace, gone_after) in [
        ("app:1", 30, 2),
        ("app:1-drain20", 30, 20),
        ("app:1-drain20", 5, 5),
        ("app:1-missing", 30, 0),
    ] {
        let mut stage = stage(Size::default(), Behaviours::default());
        stage.settle();
        let mut pod = pod(json!({"image": image}));
        pod["spec"]["terminationGracePeriodSeconds"] = json!(grace);
        stage.create(&key(), pod);
        stage.pass(10);
        stage.api.delete(&admin(), &key()).unwrap();
        if gone_after > 0 {
            stage.pass(gone_after - 1);
            assert!(stage.api.get(&key()).is_some(), "{image} {grace}");
        }
        stage.pass(1);
        assert!(stage.api.get(&key()).is_none(), "{image} {grace}");
    }
}

#[test]
fn a_scenario_changes_what_runs() {
    let behaviours = Behaviours::default();
    let mut stage = stage(Size::default(), behaviours.clone());
    stage.settle();
    stage.create(&key(), pod(json!({"image": "app:1"})));
    let mut bad = Behaviour::new("1");
    bad.ready = false;
    let now = stage.api.now();
    behaviours.say("test", "app:1", after(now, 60), Some(bad.clone()));
    bad.ready = true;
    bad.ends_after = Some(Duration::ZERO);
    behaviours.say("test", "app:1", after(now, 120), Some(bad));
    behaviours.say("test", "app:1", after(now, 125), None);
    for (seconds, expected) in [
        (59, "Running ready 0 running"),
        (10, "Running unready 0 running"),
        (52, "Running unready 1 terminated Error"),
        (30, "Running ready 2 running"),
    ] {
        stage.pass(seconds);
        assert_eq!(state(&stage), expected, "after {seconds} s more");
    }
}

#[test]
fn a_lost_node_is_noticed_and_its_pods_are_given_up() {
    let mut stage = with(json!({"image": "app:1"}));
    stage.pass(5);
    let node = Key::new(
        "",
        "nodes",
        "",
        text(&stage.api.get(&key()).unwrap(), "/spec/nodeName"),
    );
    let now = stage.api.now();
    stage.change(&node, |node| {
        node["metadata"]["annotations"][LOST] = stamp(now)
    });
    stage.pass(49);
    assert_eq!(stage.condition(&key(), "Ready"), "True ");
    stage.pass(2);
    assert!(stage.condition(&key(), "Ready").starts_with("False"));
    assert_eq!(stage.condition(&node, "Ready"), "Unknown NodeStatusUnknown");
    stage.pass(301);
    assert!(
        stage
            .read(&key(), "/metadata/deletionTimestamp")
            .is_string()
    );
    stage.change(&node, |node| node["metadata"]["annotations"] = json!({}));
    stage.pass(5);
    assert!(stage.api.get(&key()).is_none());
    assert_eq!(stage.condition(&node, "Ready"), "True KubeletReady");
    assert!(list(&stage.api.get(&node).unwrap(), "/spec/taints").is_empty());
}

#[test]
fn a_failing_liveness_probe_restarts_the_container() {
    let probe = json!({"httpGet": {"path": "/healthz", "port": 1}, "periodSeconds": 5});
    let mut stage = with(json!({"image": "app:1", "livenessProbe": probe}));
    stage.pass(13);
    assert_eq!(state(&stage), "Running ready 1 running");
    assert!(events(&stage).contains(&"Killing".to_owned()));
}
