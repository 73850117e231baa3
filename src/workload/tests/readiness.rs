//! Whether the canary serves.

use expect_test::expect;
use serde_json::json;

use super::world::{World, clone, endpoints, pod};
use crate::workload::observe_canary;

fn see(world: &World, with_service: bool) -> String {
    let Some(canary) = observe_canary(&world.canary, &world.seen, with_service) else {
        return "none".to_owned();
    };
    let arm = canary.arm;
    format!(
        "{}/{} {:?}, {} restarts",
        arm.ready, arm.replicas, arm.readiness, canary.restarts
    )
}

fn two() -> World {
    World::serving(json!({}))
        .with(clone(json!({})))
        .with(pod("c-1", json!({})))
        .with(pod("c-2", json!({})))
}

#[test]
fn the_canary_serves_when_its_pods_are_ready_and_behind_its_service() {
    let unready = || json!({"status": {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [{"name": "web", "ready": false, "started": true, "restartCount": 1}]}});
    let strange = json!({"metadata": {"labels": {"serin.dev/canary-uid": null}}});
    let half = json!({"analysis": {"canaryReadyThreshold": 50}});
    let whole = || two().with(endpoints("web-canary", &["c-1", "c-2"]));
    let rows = [
        ("no workload", World::serving(json!({})), true),
        ("a foreign workload", World::serving(json!({})).with(clone(strange)), true),
        ("not looked at", two().with(clone(json!({"metadata": {"generation": 2}}))), true),
        ("not all made", two().with(clone(json!({"status": {"updatedReplicas": 1}}))), true),
        ("no Pod wanted", two().with(clone(json!({"spec": {"replicas": 0}, "status": {"updatedReplicas": 0}}))), false),
        ("one not ready", two().with(pod("c-2", unready())), false),
        ("one not ready, half is enough", World::serving(half).with(clone(json!({}))).with(pod("c-1", json!({}))).with(pod("c-2", unready())), false),
        ("one is being deleted", two().with(pod("c-2", json!({"metadata": {"deletionTimestamp": "2026-01-05T00:00:00Z"}}))), false),
        ("no endpoints", two(), true),
        ("no endpoints, but no Service either", two(), false),
        ("an endpoint too many", two().with(endpoints("web-canary", &["c-1", "c-2", "web-1"])), true),
        ("ready", whole(), true),
        ("it can never start", whole().with(pod("c-2", json!({"status": {
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "web", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse"}}}],
        }}))), true),
    ];
    let seen: String = rows
        .iter()
        .map(|(name, world, with_service)| format!("{name}: {}\n", see(world, *with_service)))
        .collect();
    expect![[r#"
        no workload: none
        a foreign workload: none
        not looked at: 0/2 Progressing("Deployment web-canary was not looked at yet"), 0 restarts
        not all made: 0/2 Progressing("1 of 2 Pods of web-canary exist"), 0 restarts
        no Pod wanted: 2/0 Progressing("no Pod of web-canary is wanted"), 0 restarts
        one not ready: 1/2 Progressing("1 of 2 Pods of web-canary are ready; Pod c-2: the container runs, but its readiness probe does not succeed"), 1 restarts
        one not ready, half is enough: 1/2 Ready, 1 restarts
        one is being deleted: 1/2 Progressing("1 of 2 Pods of web-canary are ready"), 0 restarts
        no endpoints: 0/2 Progressing("Service web-canary lacks 2 ready Pods and has 0 others behind it"), 0 restarts
        no endpoints, but no Service either: 2/2 Ready, 0 restarts
        an endpoint too many: 2/2 Progressing("Service web-canary lacks 0 ready Pods and has 1 others behind it"), 0 restarts
        ready: 2/2 Ready, 0 restarts
        it can never start: 1/2 Stuck("Pod c-2: InvalidImageName: web:2.0 is no valid image name: couldn't parse"), 0 restarts
    "#]].assert_eq(&seen);
}
