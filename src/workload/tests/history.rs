//! What may come back from zero.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{UID, World, held, merge, replica_set, revision, target, template};
use crate::rollout::decision::Action;
use crate::workload::observe_target;

fn set(name: &str, image: &str, day: u8) -> Value {
    let mut set = replica_set(name, image, 0);
    merge(
        &mut set,
        &json!({"metadata": {"creationTimestamp": format!("2026-01-0{day}T00:00:00Z")}}),
    );
    set
}

fn world(held: Value) -> World {
    World::serving(json!({}))
        .with(held)
        .with(set("web-old", "web:0.9", 1))
        .with(set("web-candidate", "web:2.0", 2))
        .with(set("web-newer", "web:1.5", 6))
        .status(json!({"stable": {"revision": revision("web:1.0")}}))
}

fn preserve() -> Action {
    Action::Preserve {
        stable: revision("web:1.0"),
        candidate: revision("web:2.0"),
    }
}

#[test]
fn stable_is_kept_and_what_could_come_back_instead_goes() {
    let fresh = world(held(json!({})));
    let target_seen = observe_target(&fresh.canary, &fresh.seen).unwrap();
    assert!(target_seen.leftovers && !target_seen.kept);
    expect![[r#"
        apply ControllerRevision web-serin-39364b333b
          labels: {"serin.dev/canary-uid":"uid-canary"}
          data.spec: {"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:1.0","name":"web"}]}}}
          revision: 1
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/annotations","value":{}}
          {"op":"add","path":"/metadata/annotations/serin.dev~1kept","value":"39364b333b"}
        delete ReplicaSet shop/web-candidate uid-web-candidate
        delete ReplicaSet shop/web-newer uid-web-newer
    "#]].assert_eq(&fresh.render(&preserve()));
}

#[test]
fn what_is_done_is_not_done_again() {
    let stable = revision("web:1.0");
    let noted = held(json!({"metadata": {"annotations": {"serin.dev/kept": stable}}}));
    let kept = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": format!("web-serin-{stable}"), "namespace": "shop", "labels": {"serin.dev/canary-uid": "uid-before"}},
        "data": {"spec": {"template": template("web:1.0")}}, "revision": 1,
    });
    let done = World::serving(json!({}))
        .with(noted)
        .with(kept)
        .with(set("web-old", "web:0.9", 1));
    let seen = observe_target(&done.canary, &done.seen).unwrap();
    assert!(!seen.leftovers && seen.kept);
    assert_eq!(done.render(&preserve()), "nothing\n");
    let gone = done.with(held(
        json!({"metadata": {"annotations": {"serin.dev/kept": stable}}}),
    ));
    expect![[r#"
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1gate"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1held"}
          {"op":"remove","path":"/metadata/annotations/serin.dev~1kept"}
        delete ControllerRevision shop/web-serin-39364b333b 
    "#]]
    .assert_eq(&gone.render(&Action::Disarm));
}

#[test]
fn an_older_kept_template_goes() {
    let noted = held(json!({"metadata": {"annotations": {"serin.dev/kept": "0123456789"}}}));
    let kept = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": "web-serin-0123456789", "namespace": "shop", "uid": "uid-kept", "labels": {"serin.dev/canary-uid": UID}},
        "data": {}, "revision": 1,
    });
    let world = World::serving(json!({})).with(noted).with(kept);
    expect![[r#"
        apply ControllerRevision web-serin-39364b333b
          labels: {"serin.dev/canary-uid":"uid-canary"}
          data.spec: {"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:1.0","name":"web"}]}}}
          revision: 1
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/annotations/serin.dev~1kept","value":"39364b333b"}
        delete ControllerRevision shop/web-serin-0123456789 uid-kept
    "#]].assert_eq(&world.render(&preserve()));
}

#[test]
fn a_replica_set_that_has_pods_again_stays() {
    let mut world = world(held(json!({})));
    for live in world
        .live
        .values_mut()
        .filter(|live| live.metadata.name.as_deref() == Some("web-newer"))
    {
        live.data["spec"]["replicas"] = json!(1);
    }
    let deletes: String = world
        .render(&preserve())
        .lines()
        .filter(|line| line.starts_with("delete"))
        .collect();
    expect!["delete ReplicaSet shop/web-candidate uid-web-candidate"].assert_eq(&deletes);
}

#[test]
fn nothing_is_preserved_once_the_hold_is_over() {
    let world = world(target(json!({})));
    expect![[r#"
        changed: Deployment shop/web is not held any more
    "#]]
    .assert_eq(&world.render(&preserve()));
}

#[test]
fn a_template_comes_back_from_what_was_kept() {
    let stable = revision("web:0.5");
    let kept = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": format!("web-serin-{stable}"), "namespace": "shop", "labels": {"serin.dev/canary-uid": UID}},
        "data": {"spec": {"template": template("web:0.5")}}, "revision": 1,
    });
    let world = World::serving(json!({})).with(held(json!({}))).with(kept);
    expect![[r#"
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels/serin.dev~1reverting","value":"true"}
          {"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:0.5","name":"web"}]}}}
    "#]].assert_eq(&world.render(&Action::Revert { revision: stable }));
}
