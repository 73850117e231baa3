//! Pods that do not start, in words.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{World, clone, merge, pod, replica_set};
use crate::workload::observe_canary;

fn see(world: &World) -> String {
    let canary = observe_canary(&world.canary, &world.seen, false).unwrap();
    if canary.diagnosis.is_empty() {
        return "nothing\n".to_owned();
    }
    let line = |found: &crate::crd::status::Diagnosis| {
        let hopeless = if found.hopeless { "hopeless: " } else { "" };
        let container = found
            .container
            .as_ref()
            .map_or_else(String::new, |name| format!("/{name}"));
        format!(
            "{hopeless}{}{container} {}: {}\n  {}\n",
            found.object, found.reason, found.message, found.hint
        )
    };
    canary.diagnosis.iter().map(line).collect()
}

fn base() -> World {
    World::serving(json!({})).with(clone(json!({})))
}

fn unready(container: Value) -> Value {
    let mut state = json!({"name": "web", "ready": false, "restartCount": 0});
    merge(&mut state, &container);
    json!({"status": {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [state]}})
}

fn waits(reason: &str, message: &str) -> Value {
    unready(json!({"state": {"waiting": {"reason": reason, "message": message}}}))
}

fn crashes(code: i32, reason: &str) -> Value {
    unready(
        json!({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": code, "reason": reason, "message": "boom\n"}}}),
    )
}

fn see_all(rows: Vec<(&str, Value)>) -> String {
    let one = |(name, patch): (&str, Value)| {
        format!("# {name}\n{}", see(&base().with(pod("c-1", patch))))
    };
    rows.into_iter().map(one).collect()
}

#[test]
fn images_that_cannot_be_pulled_are_told_apart() {
    let seen = see_all(vec![
        (
            "no tag",
            waits(
                "ErrImagePull",
                "rpc error: code = NotFound desc = web:2.0: not found",
            ),
        ),
        (
            "no tag, backing off",
            waits(
                "ImagePullBackOff",
                "Back-off pulling image \"web:2.0\": ErrImagePull: manifest unknown",
            ),
        ),
        (
            "no right",
            waits(
                "ErrImagePull",
                "pull access denied, repository does not exist or may require authorization",
            ),
        ),
        (
            "no registry",
            waits("ImagePullBackOff", "Back-off pulling image \"web:2.0\""),
        ),
        (
            "never pulled",
            waits("ErrImageNeverPull", "not present with pull policy of Never"),
        ),
        (
            "no name",
            waits("InvalidImageName", "couldn't parse image name"),
        ),
    ]);
    expect![[r##"
        # no tag
        hopeless: Pod c-1/web ErrImagePull: image web:2.0 was not found: rpc error: code = NotFound desc = web:2.0: not found
          check name and tag; push the image, for the platform of the nodes, before it is deployed
        # no tag, backing off
        hopeless: Pod c-1/web ImagePullBackOff: image web:2.0 was not found: Back-off pulling image "web:2.0": ErrImagePull: manifest unknown
          check name and tag; push the image, for the platform of the nodes, before it is deployed
        # no right
        hopeless: Pod c-1/web ErrImagePull: image web:2.0 may not be pulled: pull access denied, repository does not exist or may require authorization
          check the image's name, and that imagePullSecrets let the node read it
        # no registry
        Pod c-1/web ImagePullBackOff: image web:2.0 could not be pulled: Back-off pulling image "web:2.0"
          the registry may be down, slow or limiting; it is tried again
        # never pulled
        Pod c-1/web ErrImageNeverPull: image web:2.0 is not on the node: not present with pull policy of Never
          load the image onto the nodes, or change imagePullPolicy
        # no name
        hopeless: Pod c-1/web InvalidImageName: web:2.0 is no valid image name: couldn't parse image name
          correct the image in the Pod template
    "##]].assert_eq(&seen);
}

#[test]
fn containers_that_cannot_be_made_are_told_apart() {
    let seen = see_all(vec![
        (
            "no Secret",
            waits("CreateContainerConfigError", "secret \"db\" not found"),
        ),
        (
            "no command",
            waits(
                "RunContainerError",
                "exec: \"srve\": executable file not found in $PATH",
            ),
        ),
    ]);
    expect![[r##"
        # no Secret
        hopeless: Pod c-1/web CreateContainerConfigError: secret "db" not found
          create the ConfigMap, Secret or key that the message names, or correct the template
        # no command
        Pod c-1/web RunContainerError: exec: "srve": executable file not found in $PATH
          check command, working directory, mounts and hooks of the container
    "##]]
    .assert_eq(&seen);
}

#[test]
fn processes_that_end_are_told_from_those_that_are_not_ready() {
    let seen = see_all(vec![
        ("crashes", crashes(1, "Error")),
        ("crashes, no command", crashes(127, "Error")),
        ("out of memory", crashes(137, "OOMKilled")),
        ("killed", crashes(137, "Error")),
        (
            "has just crashed",
            unready(
                json!({"restartCount": 1, "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}),
            ),
        ),
        (
            "starts",
            unready(json!({"started": false, "state": {"running": {}}})),
        ),
        (
            "is not ready",
            unready(json!({"started": true, "state": {"running": {}}})),
        ),
        ("is being made", waits("ContainerCreating", "")),
        (
            "evicted",
            json!({"status": {"phase": "Failed", "conditions": [], "containerStatuses": null}}),
        ),
        ("ready", json!({})),
    ]);
    expect![[r#"
        # crashes
        Pod c-1/web CrashLoopBackOff: the container ended with exit code 1 (restarts: 3): boom
          see the logs of its last run with `kubectl logs --previous`
        # crashes, no command
        Pod c-1/web CrashLoopBackOff: the container ended with exit code 127 (restarts: 3): boom
          the command was not found or cannot be run: check command, args and the image
        # out of memory
        Pod c-1/web OOMKilled: the container ended with exit code 137 (restarts: 3): boom
          raise the memory limit, or find what it uses memory for
        # killed
        Pod c-1/web CrashLoopBackOff: the container ended with exit code 137 (restarts: 3): boom
          it was killed: see memory limits and the liveness probe
        # has just crashed
        Pod c-1/web CrashLoopBackOff: the container ended with exit code 2 (restarts: 1)
          see the logs of its last run with `kubectl logs --previous`
        # starts
        Pod c-1/web NotStarted: the container runs, but its startup probe did not succeed yet
          see its logs; raise failureThreshold or periodSeconds of the startup probe if it needs longer
        # is not ready
        Pod c-1/web NotReady: the container runs, but its readiness probe does not succeed
          see its logs and the Pod's Events for the probe's answer; check port and path of the readiness probe
        # is being made
        nothing
        # evicted
        Pod c-1 PodFailed: the Pod ended and is not restarted
          see the Events of the Pod; it may have been evicted from its node
        # ready
        nothing
    "#]].assert_eq(&seen);
}

#[test]
fn init_containers_and_the_scheduler_are_named() {
    let init = json!({
        "spec": {"initContainers": [{"name": "migrate", "image": "migrate:1"}]},
        "status": {
            "phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}],
            "initContainerStatuses": [{"name": "migrate", "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
            "containerStatuses": [{"name": "web", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}],
        },
    });
    let unscheduled = json!({"status": {
        "phase": "Pending", "containerStatuses": null,
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu."}],
    }});
    let rows = [
        see(&base().with(pod("c-1", init))),
        see(&base().with(pod("c-1", unscheduled))),
    ];
    expect![[r#"
        Pod c-1/migrate InitContainerFailed: the init container ended with exit code 1 (restarts: 2)
          see the logs of its last run with `kubectl logs --previous`
        Pod c-1 Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.
          free or add nodes, lower the requests, or relax affinity, tolerations and volumes as the scheduler's message says
    "#]].assert_eq(&rows.concat());
}

#[test]
fn refused_pods_are_told_by_their_replica_set() {
    let refused = |message: &str| {
        let mut set = replica_set("web-canary-1", "web:2.0", 0);
        merge(
            &mut set,
            &json!({
                "metadata": {"ownerReferences": [{"kind": "Deployment", "name": "web-canary", "uid": "uid-web-canary", "controller": true}]},
                "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]},
            }),
        );
        see(&base().with(set))
    };
    let rows = [
        refused(
            "pods \"x\" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=4, limited: cpu=4",
        ),
        refused(
            "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot",
        ),
        refused("admission webhook \"images\" denied the request: unsigned"),
        refused("Pod \"x\" is invalid: spec.containers[0].name: Invalid value"),
        refused("the server is busy"),
    ];
    expect![[r#"
          ReplicaSet web-canary-1 FailedCreate: pods "x" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=4, limited: cpu=4
            raise the ResourceQuota of the namespace, or make the canary smaller with spec.canary.replicas
          hopeless: ReplicaSet web-canary-1 FailedCreate: pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot
            make the Pod template comply with the namespace's Pod security level
          ReplicaSet web-canary-1 FailedCreate: admission webhook "images" denied the request: unsigned
            an admission policy refuses the Pods: change the template, or the policy that the message names
          hopeless: ReplicaSet web-canary-1 FailedCreate: Pod "x" is invalid: spec.containers[0].name: Invalid value
            correct the field that the message names
          ReplicaSet web-canary-1 FailedCreate: the server is busy
            see the Events of the ReplicaSet
    "#]].assert_eq(&rows.concat());
}

#[test]
fn a_cause_is_told_once_and_the_hopeless_first() {
    let world = base()
        .with(pod("c-1", crashes(1, "Error")))
        .with(pod("c-2", waits("InvalidImageName", "x")))
        .with(pod("c-3", crashes(1, "Error")));
    expect![[r#"
        hopeless: Pod c-2/web InvalidImageName: web:2.0 is no valid image name: x
          correct the image in the Pod template
        Pod c-1/web CrashLoopBackOff: the container ended with exit code 1 (restarts: 3): boom
          see the logs of its last run with `kubectl logs --previous`
    "#]]
    .assert_eq(&see(&world));
}
