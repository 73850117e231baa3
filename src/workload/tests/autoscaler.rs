//! The lock, and what the autoscaler says about size.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{UID, World, autoscaler};
use crate::rollout::decision::Action;
use crate::workload::observe_capacity;

fn policy(policy: &str, managers: &[&str]) -> Value {
    let fields = |manager: &&str| json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:behavior": {"f:scaleDown": {"f:selectPolicy": {}}}}}});
    json!({
        "metadata": {"managedFields": managers.iter().map(fields).collect::<Vec<_>>()},
        "spec": {"behavior": {"scaleDown": {"selectPolicy": policy}}},
    })
}

fn noted(object: Value) -> Value {
    let mut object = object;
    super::world::merge(
        &mut object,
        &json!({"metadata": {"annotations": {"serin.dev/scale-down": "Max"}}}),
    );
    object
}

fn states() -> Vec<(&'static str, Value)> {
    vec![
        ("plain", autoscaler(json!({}))),
        (
            "locked by us",
            autoscaler(policy("Disabled", &["serin-capacity"])),
        ),
        ("another's policy", autoscaler(policy("Max", &["helm"]))),
        (
            "a policy of nobody, by default",
            autoscaler(policy("Max", &[])),
        ),
        (
            "another's, locked by us",
            noted(autoscaler(policy("Disabled", &[]))),
        ),
        (
            "another's, put back meanwhile",
            noted(autoscaler(policy("Min", &["helm"]))),
        ),
        (
            "another's own lock",
            autoscaler(policy("Disabled", &["helm"])),
        ),
        (
            "both",
            autoscaler(policy("Disabled", &["helm", "serin-capacity"])),
        ),
    ]
}

#[test]
fn the_lock_is_put_on_and_given_back() {
    let one = |(name, scaler): (&str, Value)| {
        let world = World::serving(json!({})).with(scaler);
        let seen = observe_capacity(&world.canary, &world.seen);
        format!(
            "# {name}: locked {}, foreign {:?}\nlock: {}unlock: {}",
            seen.locked,
            seen.foreign_policy,
            world.render(&Action::Lock),
            world.render(&Action::Unlock)
        )
    };
    let seen: String = states().into_iter().map(one).collect();
    expect![[r##"
        # plain: locked false, foreign None
        lock: apply as serin-capacity HorizontalPodAutoscaler web
          spec.behavior: {"scaleDown":{"selectPolicy":"Disabled"}}
        unlock: nothing
        # locked by us: locked true, foreign None
        lock: nothing
        unlock: apply as serin-capacity HorizontalPodAutoscaler web
        # another's policy: locked false, foreign Some("Max")
        lock: patch without trace HorizontalPodAutoscaler shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"9"}
          {"op":"add","path":"/metadata/annotations","value":{}}
          {"op":"add","path":"/metadata/annotations/serin.dev~1scale-down","value":"Max"}
          {"op":"replace","path":"/spec/behavior/scaleDown/selectPolicy","value":"Disabled"}
        unlock: nothing
        # a policy of nobody, by default: locked false, foreign None
        lock: apply as serin-capacity HorizontalPodAutoscaler web
          spec.behavior: {"scaleDown":{"selectPolicy":"Disabled"}}
        unlock: nothing
        # another's, locked by us: locked true, foreign Some("Max")
        lock: nothing
        unlock: patch without trace HorizontalPodAutoscaler shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"9"}
          {"op":"remove","path":"/metadata/annotations/serin.dev~1scale-down"}
          {"op":"replace","path":"/spec/behavior/scaleDown/selectPolicy","value":"Max"}
        # another's, put back meanwhile: locked false, foreign Some("Min")
        lock: patch without trace HorizontalPodAutoscaler shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"9"}
          {"op":"add","path":"/metadata/annotations/serin.dev~1scale-down","value":"Min"}
          {"op":"replace","path":"/spec/behavior/scaleDown/selectPolicy","value":"Disabled"}
        unlock: patch without trace HorizontalPodAutoscaler shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"9"}
          {"op":"remove","path":"/metadata/annotations/serin.dev~1scale-down"}
        # another's own lock: locked false, foreign None
        lock: apply as serin-capacity HorizontalPodAutoscaler web
          spec.behavior: {"scaleDown":{"selectPolicy":"Disabled"}}
        unlock: nothing
        # both: locked true, foreign None
        lock: nothing
        unlock: apply as serin-capacity HorizontalPodAutoscaler web
    "##]]
    .assert_eq(&seen);
}

#[test]
fn the_canarys_autoscaler_goes_with_the_lock() {
    let copy = autoscaler(
        json!({"metadata": {"name": "web-canary", "uid": "uid-copy", "labels": {"serin.dev/canary-uid": UID}}, "spec": {"scaleTargetRef": {"name": "web-canary"}}}),
    );
    let world = World::serving(json!({}))
        .with(autoscaler(json!({})))
        .with(copy);
    expect![[r#"
        delete HorizontalPodAutoscaler shop/web-canary uid-copy
    "#]]
    .assert_eq(&world.render(&Action::Unlock));
}

#[test]
fn capacity_says_what_it_knows() {
    let external = json!([{"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}}}]);
    let owned = json!({"metadata": {"ownerReferences": [{"kind": "ScaledObject", "name": "web", "uid": "1", "controller": true}]}});
    let named = |kind: &str, name: &str| {
        World::serving(json!({"autoscalerRef": {"kind": kind, "name": name}}))
    };
    let plain = || World::serving(json!({})).with(autoscaler(json!({})));
    let rows = [
        ("none", World::serving(json!({}))),
        ("found by its target", plain()),
        ("at weight 50", plain().status(json!({"canaryWeight": 50}))),
        ("at weight 60", plain().status(json!({"canaryWeight": 60}))),
        (
            "within its maximum",
            World::serving(json!({})).with(autoscaler(json!({"spec": {"maxReplicas": 2}}))),
        ),
        (
            "by other metrics",
            World::serving(json!({})).with(autoscaler(json!({"spec": {"metrics": external}}))),
        ),
        ("named", named("", "web").with(autoscaler(json!({})))),
        (
            "named, but not there",
            named("HorizontalPodAutoscaler", "hpa"),
        ),
        (
            "of another kind",
            named("ScaledObject", "web").with(autoscaler(json!({}))),
        ),
        (
            "made by another controller",
            World::serving(json!({})).with(autoscaler(owned)),
        ),
    ];
    let seen: String = rows
        .iter()
        .map(|(name, world)| {
            format!(
                "{name}: {:?}\n",
                observe_capacity(&world.canary, &world.seen)
            )
        })
        .collect();
    expect![[r#"
        none: Capacity { autoscaler: None, locked: false, foreign_policy: None, wants: None, most: None, copyable: false, unprotected: None }
        found by its target: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: Some(3), most: Some(10), copyable: true, unprotected: None }
        at weight 50: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: Some(6), most: Some(10), copyable: true, unprotected: None }
        at weight 60: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: None, most: Some(10), copyable: true, unprotected: None }
        within its maximum: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: Some(2), most: Some(2), copyable: true, unprotected: None }
        by other metrics: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: None, most: Some(10), copyable: false, unprotected: None }
        named: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: Some(3), most: Some(10), copyable: true, unprotected: None }
        named, but not there: Capacity { autoscaler: None, locked: false, foreign_policy: None, wants: None, most: None, copyable: false, unprotected: Some("spec.autoscalerRef: HorizontalPodAutoscaler hpa does not exist") }
        of another kind: Capacity { autoscaler: None, locked: false, foreign_policy: None, wants: None, most: None, copyable: false, unprotected: Some("spec.autoscalerRef: ScaledObject web cannot be kept from scaling down by this version") }
        made by another controller: Capacity { autoscaler: Some("web"), locked: false, foreign_policy: None, wants: Some(3), most: Some(10), copyable: false, unprotected: Some("HorizontalPodAutoscaler web is controlled by ScaledObject web, which would take the lock off") }
    "#]].assert_eq(&seen);
}
