//! Provider `none`.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::objects::mark;
use crate::rollout::observed::Acceptance;
use crate::router::Router;
use crate::router::none::Workers;
use crate::router::tests::world::{UID, World, canary, split};

fn workload(weight: &str, replicas: i32, total: i32, ready: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "podinfo-canary", "labels": {mark::CANARY_UID: UID}, "annotations": {mark::WEIGHT: weight}},
        "spec": {"replicas": replicas},
        "status": {"replicas": total, "readyReplicas": ready},
    })
}

#[test]
fn the_weight_is_what_the_workload_says() {
    for percent in 0..=100 {
        let world = World::of([workload(&percent.to_string(), 2, 2, 2)]);
        let seen = world.observe(&Workers, &canary(json!({}))).unwrap();
        assert_eq!(
            (seen.routes, seen.acceptance),
            (Some(split(percent)), Acceptance::Accepted)
        );
    }
}

#[test]
fn without_a_workload_the_weight_is_nothing() {
    let world = World::default();
    assert_eq!(world.routes(&Workers, &canary(json!({}))), Some(0));
}

#[test]
fn a_foreign_workload_says_no_weight() {
    let mut foreign = workload("50", 1, 1, 1);
    foreign["metadata"]["labels"] = json!({});
    assert_eq!(
        World::of([foreign]).routes(&Workers, &canary(json!({}))),
        Some(0)
    );
}

#[test]
fn nonsense_is_no_weight() {
    for text in ["", "ten", "101", "-1", "300"] {
        let world = World::of([workload(text, 1, 1, 1)]);
        assert_eq!(world.routes(&Workers, &canary(json!({}))), None, "{text}");
    }
}

fn check_pending(workload: Value, expected: &Expect) {
    let seen = World::of([workload])
        .observe(&Workers, &canary(json!({})))
        .unwrap();
    expected.assert_eq(&format!("{:?}", seen.acceptance));
}

#[test]
fn a_weight_counts_when_all_pods_are_ready() {
    check_pending(
        workload("50", 3, 3, 2),
        &expect![[r#"Pending("Deployment shop/podinfo-canary: 2 of 3 Pods are ready")"#]],
    );
    check_pending(
        workload("0", 0, 1, 1),
        &expect![[r#"Pending("Deployment shop/podinfo-canary: 1 Pods are there instead of 0")"#]],
    );
    let mut unseen = workload("50", 1, 1, 1);
    unseen["metadata"]["generation"] = json!(4);
    check_pending(
        unseen,
        &expect![[
            r#"Pending("Deployment shop/podinfo-canary: its controller has not seen generation 4 yet")"#
        ]],
    );
}

#[test]
fn what_needs_requests_is_refused_by_name() {
    let canary = canary(json!({
        "service": {"port": 80},
        "analysis": {"metrics": [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}},
            {"name": "request-duration", "templateRef": {"name": "jobs"}},
            {"name": "lag", "templateRef": {"name": "lag"}},
        ]},
    }));
    let problems = Workers.problems(&canary, &World::default().seen());
    let words: Vec<_> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    expect![[r#"
        spec.service: provider none is for workers without a Service; take it out, or choose another spec.provider
        spec.analysis.metrics: request-success-rate counts requests, which provider none does not route; measure the Pods with a MetricTemplate in templateRef
    "#]]
    .assert_eq(&(words.join("\n") + "\n"));
}
