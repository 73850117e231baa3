//! Provider `kubernetes`.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::objects::Kind;
use crate::rollout::observed::Acceptance;
use crate::router::Router;
use crate::router::kubernetes::Kubernetes;
use crate::router::tests::world::{World, canary, split};

fn deployment(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "uid": format!("uid-{name}")},
        "spec": {"template": {"metadata": {"labels": labels}}},
    })
}

fn replica_set(deployment: &str, hash: &str, labels: &Value) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": format!("uid-{deployment}")});
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{deployment}-{hash}"), "ownerReferences": [owner]},
        "spec": {"template": {"metadata": {"labels": labels}}},
        "status": {"readyReplicas": 1},
    })
}

fn service(selector: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": selector, "ports": [{"port": 80}], "sessionAffinity": "ClientIP"},
    })
}

fn endpoints(pods: &[&str]) -> Value {
    let pods: Vec<_> = pods
        .iter()
        .map(|pod| json!({"targetRef": {"name": pod}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "podinfo-x", "labels": {"kubernetes.io/service-name": "podinfo"}},
        "endpoints": pods,
    })
}

fn world(pods: &[&str]) -> World {
    let stable = json!({"app": "podinfo", "team": "shop", "version": "1"});
    let canary = json!({"app": "podinfo-canary", "team": "shop", "version": "1"});
    World::of([
        deployment("podinfo", &stable),
        replica_set("podinfo", "6dd7", &stable),
        deployment("podinfo-canary", &canary),
        replica_set("podinfo-canary", "5c4c", &canary),
        service(&json!({"app": "podinfo", "team": "shop"})),
        endpoints(pods),
    ])
}

fn plain() -> crate::crd::canary::Canary {
    canary(json!({"service": {"port": 80}}))
}

#[test]
fn the_selector_goes_to_the_canary_and_comes_back() {
    let router = Kubernetes::default();
    let mut world = world(&[]);
    let before = world.get(Kind::Service, "podinfo").data.clone();
    assert_eq!(world.routes(&router, &plain()), Some(0));
    world.route(&router, &plain(), 100);
    assert_eq!(world.routes(&router, &plain()), Some(100));
    assert!(
        router
            .render(&plain(), &world.live, split(100))
            .unwrap()
            .is_empty()
    );
    let changes = router.finalize(&plain(), &world.live).unwrap();
    world.apply(changes);
    assert_eq!(world.get(Kind::Service, "podinfo").data, before);
    assert!(router.finalize(&plain(), &world.live).unwrap().is_empty());
}

fn check_accepted(percent: u8, pods: &[&str], expected: &Expect) {
    let mut world = world(pods);
    world.route(&Kubernetes::default(), &plain(), percent);
    let split = world.observe(&Kubernetes::default(), &plain()).unwrap();
    expected.assert_eq(&format!("{:?}", split.acceptance));
}

#[test]
fn a_switch_counts_once_the_endpoints_are_of_that_arm_alone() {
    check_accepted(0, &["podinfo-6dd7-abcde"], &expect!["Accepted"]);
    check_accepted(100, &["podinfo-canary-5c4c-abcde"], &expect!["Accepted"]);
    check_accepted(
        100,
        &["podinfo-canary-5c4c-abcde", "podinfo-6dd7-abcde"],
        &expect![[
            r#"Pending("EndpointSlices of Service shop/podinfo still hold Pod podinfo-6dd7-abcde, which is not of Deployment podinfo-canary")"#
        ]],
    );
    check_accepted(
        100,
        &[],
        &expect![[r#"Pending("Service shop/podinfo has no endpoints")"#]],
    );
}

#[test]
fn a_canary_pod_is_no_stable_pod_of_a_longer_name() {
    let pods = ["podinfo-6dd7-x-abcde"];
    check_accepted(
        0,
        &pods,
        &expect![[
            r#"Pending("EndpointSlices of Service shop/podinfo still hold Pod podinfo-6dd7-x-abcde, which is not of Deployment podinfo")"#
        ]],
    );
}

#[test]
fn a_selector_of_neither_arm_is_no_split() {
    let mut world = world(&[]);
    world.edit(Kind::Service, "podinfo", |it| {
        it["spec"]["selector"]["app"] = json!("other")
    });
    assert_eq!(
        world
            .observe(&Kubernetes::default(), &plain())
            .unwrap()
            .routes,
        None
    );
    world.route(&Kubernetes::default(), &plain(), 0);
    assert_eq!(world.routes(&Kubernetes::default(), &plain()), Some(0));
}

#[test]
fn a_selector_that_cannot_tell_the_arms_apart_is_refused() {
    let mut world = world(&[]);
    world.edit(Kind::Service, "podinfo", |it| {
        it["spec"]["selector"] = json!({"team": "shop"})
    });
    let refused = Kubernetes::default().render(&plain(), &world.live, split(100));
    expect!["the selector of Service shop/podinfo does not tell the canary's Pods from stable's: add a label of the target's matchLabels to it"]
        .assert_eq(&refused.unwrap_err().to_string());
}

#[test]
fn half_a_switch_moves_nothing() {
    let router = Kubernetes::default();
    let mut world = world(&[]);
    world.route(&router, &plain(), 100);
    world.route(&router, &plain(), 40);
    assert_eq!(world.routes(&router, &plain()), Some(100));
}

#[test]
fn without_a_target_the_kept_selector_leads_back() {
    let router = Kubernetes::default();
    let mut world = world(&[]);
    let before = world.get(Kind::Service, "podinfo").data["spec"].clone();
    world.route(&router, &plain(), 100);
    world
        .live
        .retain(|key, _| key.name != "podinfo" || key.kind != Kind::Deployment);
    let changes = router.finalize(&plain(), &world.live).unwrap();
    world.apply(changes);
    let service = world.get(Kind::Service, "podinfo");
    assert_eq!(service.data["spec"], before);
    assert_eq!(
        service.metadata.annotations.clone().unwrap_or_default(),
        [].into()
    );
    let changes = router.finalize(&plain(), &world.live).unwrap();
    assert!(changes.is_empty(), "nothing is left to be given back");
}

#[test]
fn without_switching_nothing_is_written() {
    let canary = canary(json!({"service": {"port": 80, "switchTraffic": false}}));
    let router = Kubernetes::default();
    let world = world(&[]);
    assert!(router.objects(&canary).is_empty());
    assert!(
        router
            .render(&canary, &world.live, split(100))
            .unwrap()
            .is_empty()
    );
    let seen = world.observe(&router, &canary).unwrap();
    assert_eq!(
        (seen.routes, seen.acceptance),
        (Some(split(0)), Acceptance::Accepted)
    );
}

#[test]
fn what_is_not_all_or_nothing_is_refused_by_name() {
    let canary = canary(json!({"service": {"port": 80}, "analysis": {
        "stepWeights": [10, 100], "steps": [{"setWeight": 0}, {"setWeight": 50}],
    }}));
    let problems = Kubernetes::default().problems(&canary, &world(&[]).seen());
    let fields: Vec<_> = problems
        .iter()
        .map(|it| (it.reason, it.message.split(':').next()))
        .collect();
    expect![[r#"[("WeightsTooCoarse", Some("spec.analysis.stepWeights")), ("WeightsTooCoarse", Some("spec.analysis.steps[1].setWeight"))]"#]]
        .assert_eq(&format!("{fields:?}"));
}

#[test]
fn a_selected_label_that_the_candidate_changes_is_refused() {
    let mut world = world(&[]);
    world.edit(Kind::Service, "podinfo", |it| {
        it["spec"]["selector"]["version"] = json!("1")
    });
    assert!(
        Kubernetes::default()
            .problems(&plain(), &world.seen())
            .is_empty()
    );
    world.edit(Kind::Deployment, "podinfo", |it| {
        it["spec"]["template"]["metadata"]["labels"]["version"] = json!("2");
    });
    let problems = Kubernetes::default().problems(&plain(), &world.seen());
    expect!["Service shop/podinfo selects by the label version, which the new Pod template changes from 1: select by labels that stay the same"]
        .assert_eq(&problems[0].message);
}

fn label() -> impl Strategy<Value = (String, String)> {
    ("(example.com/)?[a-z]{1,8}", "[a-z0-9]{1,8}")
}

proptest! {
    #[test]
    fn what_is_rendered_is_observed(extra in proptest::collection::btree_map("(t~x|example.com)/[a-z]{1,8}", "[a-z0-9]{1,8}", 0..4),
        foreign in label(), percents in proptest::collection::vec(prop_oneof![Just(0u8), Just(100)], 1..5)) {
        let router = Kubernetes::default();
        let mut stable = json!(extra);
        stable["app"] = json!("podinfo");
        let mut cloned = stable.clone();
        for value in cloned.as_object_mut().unwrap().values_mut() {
            *value = json!(format!("{}-canary", value.as_str().unwrap()));
        }
        let mut apex = service(&stable);
        apex["metadata"]["annotations"] = json!({foreign.0.clone(): foreign.1.clone()});
        let mut world = World::of([deployment("podinfo", &stable), deployment("podinfo-canary", &cloned), apex]);
        for percent in percents {
            world.route(&router, &plain(), percent);
            prop_assert_eq!(world.routes(&router, &plain()), Some(percent));
            prop_assert!(router.render(&plain(), &world.live, split(percent)).unwrap().is_empty());
        }
        let service = world.get(Kind::Service, "podinfo");
        prop_assert_eq!(&service.metadata.annotations.as_ref().unwrap()[&foreign.0], &foreign.1);
        prop_assert_eq!(&service.data["spec"]["sessionAffinity"], &json!("ClientIP"));
    }
}
