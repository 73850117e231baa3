//! The target as the core sees it.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{
    World, autoscaler, endpoints, held, merge, replica_set, revision, target, template,
};
use crate::crd::moment::Moment;
use crate::rollout::decision::Action;
use crate::workload::{live_target, observe_target};

#[test]
fn the_gate_is_read_from_marks_and_pause() {
    let label = |labels: Value| json!({"metadata": {"labels": labels}});
    let rows = [
        ("no gate", target(json!({"metadata": {"labels": null}}))),
        (
            "another Canary's gate",
            target(label(json!({"serin.dev/gate": "other"}))),
        ),
        ("armed", target(json!({}))),
        ("held", held(json!({}))),
        (
            "held under another Canary's gate",
            held(label(json!({"serin.dev/gate": "other"}))),
        ),
        (
            "held, the gate taken off",
            held(label(json!({"serin.dev/gate": null}))),
        ),
        (
            "held while reverting",
            held(label(json!({"serin.dev/reverting": "true"}))),
        ),
        (
            "reverting",
            target(label(json!({"serin.dev/reverting": "true"}))),
        ),
        (
            "a person's pause",
            target(json!({"spec": {"paused": true}})),
        ),
        (
            "a person's pause, not armed",
            target(json!({"metadata": {"labels": null}, "spec": {"paused": true}})),
        ),
    ];
    let gate = |(name, target): (&str, Value)| {
        let world = World::new(json!({})).with(target);
        format!(
            "{name}: {:?}\n",
            observe_target(&world.canary, &world.seen).unwrap().gate
        )
    };
    expect![[r#"
        no gate: Open
        another Canary's gate: Open
        armed: Armed
        held: Held
        held under another Canary's gate: Held
        held, the gate taken off: Open
        held while reverting: Held
        reverting: Reverting
        a person's pause: PausedByOther
        a person's pause, not armed: PausedByOther
    "#]]
    .assert_eq(&rows.map(gate).concat());
}

fn rolls(status: Value) -> String {
    let world = World::new(json!({})).with(target(json!({"status": status})));
    let seen = observe_target(&world.canary, &world.seen).unwrap();
    format!(
        "complete {}, available {}, stuck {:?}, verdict {:?}\n",
        seen.complete, seen.available, seen.stuck, seen.verdict
    )
}

#[test]
fn a_roll_is_complete_when_every_pod_is_new_and_available() {
    let late = |message: &str| json!({"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message}]});
    let rows = [
        rolls(json!({})),
        rolls(json!({"observedGeneration": 2})),
        rolls(json!({"updatedReplicas": 1})),
        rolls(json!({"replicas": 3})),
        rolls(json!({"availableReplicas": 1})),
        rolls(
            json!({"availableReplicas": 1, "conditions": [{"type": "Available", "status": "True"}]}),
        ),
        rolls(late("ReplicaSet \"web-2\" has timed out progressing.")),
        rolls(late("serin: canary 1: too many errors")),
    ];
    expect![[r#"
        complete true, available true, stuck None, verdict None
        complete false, available true, stuck None, verdict None
        complete false, available true, stuck None, verdict None
        complete false, available true, stuck None, verdict None
        complete false, available false, stuck None, verdict None
        complete false, available true, stuck None, verdict None
        complete true, available true, stuck Some("ReplicaSet \"web-2\" has timed out progressing."), verdict None
        complete true, available true, stuck None, verdict Some("serin: canary 1: too many errors")
    "#]].assert_eq(&rows.concat());
}

#[test]
fn the_target_is_seen_whole() {
    let mut old = replica_set("web-0", "web:0.9", 0);
    merge(
        &mut old,
        &json!({"spec": {"replicas": 1}, "status": {"replicas": 1}}),
    );
    let world = World::serving(json!({}))
        .with(held(json!({"metadata": {"annotations": {"serin.dev/revision": "r"}, "labels": {"serin.dev/bypass": "x", "serin.dev/contested": "true"}}})))
        .with(old)
        .with(replica_set("web-2", "web:2.0", 1))
        .with(endpoints("web", &["web-1-aaaaa", "web-2-bbbbb", "web-2-ccccc", "web-22-ddddd"]));
    let seen = observe_target(&world.canary, &world.seen).unwrap();
    expect![[r#"
        Target { uid: "uid-web", gate: Held, revision: "85541a0164", images: ["web:2.0"],
        containers: "2603e64dcd", declared: Some("r"), bypass: Some("x"), contested: true,
        serving: [Serving { replica_set: "web-1", revision: "39364b333b", images: ["web:1.0"],
        replicas: 2, ready: 2 }, Serving { replica_set: "web-2", revision: "85541a0164", images: ["web:2.0"],
        replicas: 1, ready: 1 }, Serving { replica_set: "web-0", revision: "b30be0f71f", images: ["web:0.9"],
        replicas: 1, ready: 0 }],
        replicas: 2, ready: 2, ready_updated: 1, complete: false, available: true, stuck: None, verdict: None, leftovers: false, kept: false, gitops: None, writer: None, configs: [] }"#]].assert_eq(
        &format!("{seen:?}")
            .replace(", serving", ",\nserving")
            .replace("], ", "],\n"),
    );
    assert_eq!(
        observe_target(&World::new(json!({})).canary, &world.seen.clone())
            .map(|seen| seen.revision),
        Some(revision("web:2.0"))
    );
    let live = live_target(&world.canary, &world.live).unwrap();
    assert_eq!(
        (
            live.declared.as_deref(),
            live.revision,
            live.resource_version.as_str()
        ),
        (Some("r"), revision("web:2.0"), "7")
    );
}

#[test]
fn the_target_is_scaled_up_only() {
    let rows = [
        World::serving(json!({})).render(&Action::ScaleUp(5)),
        World::serving(json!({})).render(&Action::ScaleUp(2)),
        World::serving(json!({})).render(&Action::ScaleUp(1)),
        World::serving(json!({}))
            .with(autoscaler(json!({"spec": {"maxReplicas": 4}})))
            .render(&Action::ScaleUp(5)),
        World::new(json!({})).render(&Action::ScaleUp(5)),
    ];
    expect![[r#"
        scale Deployment shop/web to 5
        nothing
        nothing
        scale Deployment shop/web to 4
        changed: Deployment shop/web is gone
    "#]]
    .assert_eq(&rows.concat());
}

fn stable_pod(name: &str, hour: u8, patch: Value) -> Value {
    let mut pod = super::world::pod(
        name,
        json!({"metadata": {"labels": {"serin.dev/canary-uid": null}, "creationTimestamp": format!("2026-01-05T0{hour}:00:00Z")}}),
    );
    merge(&mut pod, &patch);
    pod
}

#[test]
fn stable_pods_are_evicted_one_by_one() {
    let evict = Action::Evict(Moment::new("2026-01-05T03:00:00Z".parse().unwrap()));
    let pods = |first: u8, second: u8, patch: Value| {
        World::serving(json!({}))
            .with(endpoints("web", &["web-1-a", "web-1-b"]))
            .with(stable_pod("web-1-a", first, json!({})))
            .with(stable_pod("web-1-b", second, patch))
    };
    let rows = [
        pods(2, 1, json!({})).render(&evict),
        pods(4, 1, json!({})).render(&evict),
        pods(4, 5, json!({})).render(&evict),
        pods(
            2,
            1,
            json!({"metadata": {"deletionTimestamp": "2026-01-05T04:00:00Z"}}),
        )
        .render(&evict),
        pods(2, 1, json!({}))
            .with(target(json!({"status": {"readyReplicas": 1}})))
            .render(&evict),
    ];
    expect![[r#"
        evict Pod shop/web-1-b
        evict Pod shop/web-1-b
        nothing
        nothing
        nothing
    "#]]
    .assert_eq(&rows.concat());
}

#[test]
fn the_template_of_a_target_without_pods_is_still_seen() {
    let world = World::new(json!({})).with(target(
        json!({"spec": {"replicas": 0, "template": template("web:3.0")}}),
    ));
    let seen = observe_target(&world.canary, &world.seen).unwrap();
    assert_eq!(
        (seen.revision, seen.serving.len(), seen.replicas),
        (revision("web:3.0"), 0, 0)
    );
}
