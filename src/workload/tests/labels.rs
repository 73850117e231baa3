//! Which labels change, and that no selector of stable's ever matches the canary's Pods.

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, service, target};
use crate::objects::{Labels, selects};
use crate::workload::labels::{pod_labels, rewrite_selectors, rewrites};

/// The target's selector and Pod labels, then the selectors of Services.
fn world(selector: &Value, labels: &Value, services: &[Value]) -> World {
    let mut object = target(json!({}));
    object["spec"]["selector"]["matchLabels"] = selector.clone();
    object["spec"]["template"]["metadata"]["labels"] = labels.clone();
    let mut world = World::new(json!({})).with(object);
    for (index, selector) in services.iter().enumerate() {
        let name = if index == 0 {
            "web".to_owned()
        } else {
            format!("other-{index}")
        };
        let mut object = service(&name, json!({}));
        object["spec"]["selector"] = selector.clone();
        world = world.with(object);
    }
    world
}

fn changed(selector: Value, labels: Value, services: &[Value]) -> String {
    let world = world(&selector, &labels, services);
    let target = &world.seen.deployments["web"];
    let rewrites = rewrites(&world.canary, target, &world.seen);
    let news: BTreeMap<_, _> = rewrites.iter().map(|(key, (_, new))| (key, new)).collect();
    format!("{}\n", json!(news))
}

#[test]
fn the_least_labels_change() {
    let two = || json!({"app": "web", "app.kubernetes.io/instance": "shop"});
    let long = "a".repeat(63);
    let rows = [
        changed(
            json!({"app": "web"}),
            json!({"app": "web", "tier": "x"}),
            &[json!({"app": "web"})],
        ),
        // Instance by preference, for policies by name still match.
        changed(two(), two(), &[two()]),
        // Both selectors use `app` alone.
        changed(two(), two(), &[json!({"app": "web"})]),
        // A Service over several workloads: a second label.
        changed(
            json!({"app": "web"}),
            json!({"app": "web", "tier": "back"}),
            &[json!({"app": "web"}), json!({"tier": "back"})],
        ),
        // The plain new value serves somebody else.
        changed(
            json!({"app": "web"}),
            json!({"app": "web"}),
            &[json!({"app": "web"}), json!({"app": "web-canary"})],
        ),
        // The apex is switched to the canary (provider kubernetes): its own new value is no reason for another.
        changed(
            json!({"app": "web"}),
            json!({"app": "web"}),
            &[json!({"app": "web-canary"})],
        ),
        changed(json!({"app": long}), json!({"app": long}), &[]),
        changed(json!({"app": ""}), json!({"app": ""}), &[]),
    ];
    expect![[r#"
        {"app":"web-canary"}
        {"app.kubernetes.io/instance":"shop-canary"}
        {"app":"web-canary"}
        {"app":"web-canary","tier":"back-canary"}
        {"app":"web-6e02e5ce-canary"}
        {"app":"web-canary"}
        {"app":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-c26db233-canary"}
        {"app":"canary"}
    "#]]
    .assert_eq(&rows.concat());
}

#[test]
fn own_selectors_in_the_template_follow() {
    let mut template = json!({"spec": {
        "affinity": {"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "h", "labelSelector": {"matchLabels": {"app": "web", "tier": "x"}}},
                {"topologyKey": "h", "labelSelector": {"matchLabels": {"app": "other"}}},
            ],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"podAffinityTerm": {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}}},
            ],
        }},
        "topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"app": "web"}}}, {"topologyKey": "z"}],
    }});
    let rewrites = BTreeMap::from([(
        "app".to_owned(),
        ("web".to_owned(), "web-canary".to_owned()),
    )]);
    rewrite_selectors(&mut template, &rewrites);
    expect![[r#"{"spec":{"affinity":{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"podAffinityTerm":{"labelSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["web-canary","db"]}]}}}],"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"web-canary","tier":"x"}},"topologyKey":"h"},{"labelSelector":{"matchLabels":{"app":"other"}},"topologyKey":"h"}]}},"topologySpreadConstraints":[{"labelSelector":{"matchLabels":{"app":"web-canary"}}},{"topologyKey":"z"}]}}"#]].assert_eq(&template.to_string());
}

fn some_labels() -> impl Strategy<Value = Labels> {
    let key = prop::sample::select(vec![
        "app",
        "app.kubernetes.io/instance",
        "name",
        "tier",
        "zone",
    ]);
    let value = prop::sample::select(vec!["a", "b", "a-canary", "b-canary", ""]);
    prop::collection::btree_map(
        key.prop_map(str::to_owned),
        value.prop_map(str::to_owned),
        1..5,
    )
}

proptest! {
    #[test]
    fn no_selector_of_stable_matches_the_canary(
        labels in some_labels(),
        mask in prop::collection::vec(any::<bool>(), 5),
        services in prop::collection::vec(some_labels(), 0..6),
    ) {
        let kept = labels.iter().zip(&mask).filter(|(_, keep)| **keep);
        let mut selector: Labels = kept.map(|((key, value), _)| (key.clone(), value.clone())).collect();
        if selector.is_empty() {
            selector.clone_from(&labels);
        }
        let services: Vec<_> = services.iter().map(|selector| json!(selector)).collect();
        let world = world(&json!(selector), &json!(labels), &services);
        let target = &world.seen.deployments["web"];
        let pods = pod_labels(&world.canary, target, &world.seen);
        prop_assert!(!selects(&selector, &pods));
        for (name, service) in &world.seen.services {
            let switched = name == "web" && !selects(&service.selector, &labels);
            prop_assert!(switched || !selects(&service.selector, &pods), "{name}: {:?} matches {pods:?}", service.selector);
        }
        prop_assert!(pods.values().all(|value| value.len() <= 63));
    }
}
