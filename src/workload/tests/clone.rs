//! The canary workload and its helpers.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{UID, World, autoscaler, clone, held, revision, service};
use crate::objects::{Change, Kind, ObjectKey};
use crate::rollout::decision::Action;

fn place(replicas: i32, autoscale: bool) -> Action {
    Action::Place {
        revision: revision("web:2.0"),
        replicas,
        weight: 10,
        autoscale,
    }
}

fn budget(name: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"helm.sh/chart": "web-1"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    });
    super::world::merge(&mut object["spec"], &spec);
    object
}

fn marked() -> Value {
    held(json!({
        "metadata": {
            "labels": {"app": "web", "team": "shop", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "web-1"},
            "annotations": {
                "meta.helm.sh/release-name": "web", "deployment.kubernetes.io/revision": "3", "note": "kept",
                "kubectl.kubernetes.io/last-applied-configuration": "{}", "serin.dev/revision": "r",
            },
        },
        "spec": {"strategy": {"type": "RollingUpdate"}, "minReadySeconds": 5},
    }))
}

#[test]
fn the_canary_is_a_copy_that_nothing_of_stable_selects() {
    let world = World::serving(json!({}))
        .with(marked())
        .with(budget("web", json!({"minAvailable": 1})))
        .with(budget("share", json!({"minAvailable": "50%"})))
        .with(budget(
            "others",
            json!({"selector": {"matchLabels": {"app": "db"}}}),
        ))
        .with(autoscaler(json!({})));
    expect![[r#"
        apply PodDisruptionBudget share-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.minAvailable: "50%"
          spec.selector: {"matchLabels":{"serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}}
        apply PodDisruptionBudget web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.maxUnavailable: 1
          spec.selector: {"matchLabels":{"serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}}
        apply Deployment web-canary
          labels: {"app":"web-canary","serin.dev/canary-uid":"uid-canary","team":"shop"}
          annotations: {"note":"kept","serin.dev/runs":"85541a0164","serin.dev/weight":"10"}
          spec.minReadySeconds: 5
          spec.paused: false
          spec.replicas: 3
          spec.selector: {"matchLabels":{"serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}}
          spec.strategy: {"type":"RollingUpdate"}
          spec.template: {"metadata":{"labels":{"app":"web-canary","serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}},"spec":{"containers":[{"image":"web:2.0","name":"web"}]}}
        apply HorizontalPodAutoscaler web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.behavior: {"scaleDown":{"selectPolicy":"Disabled"}}
          spec.maxReplicas: 10
          spec.metrics: [{"resource":{"name":"cpu","target":{"averageUtilization":50,"type":"Utilization"}},"type":"Resource"}]
          spec.minReplicas: 3
          spec.scaleTargetRef: {"apiVersion":"apps/v1","kind":"Deployment","name":"web-canary"}
    "#]].assert_eq(&world.render(&place(3, true)));
}

#[test]
fn the_service_follows_once_a_pod_is_ready() {
    let of = |ready: i32| {
        let world = World::serving(json!({})).with(marked());
        let canary = clone(json!({"spec": {"replicas": 3}, "status": {"readyReplicas": ready}}));
        let told = world.with(canary).render(&place(3, false));
        let service = told.find("apply Service");
        service.map_or(String::new(), |from| told[from..].to_owned())
    };
    assert_eq!(of(0), "");
    expect![[r#"
        apply Service web-canary
          labels: {"app.kubernetes.io/instance":"web","serin.dev/canary-uid":"uid-canary","team":"shop"}
          annotations: {"argocd.argoproj.io/compare-options":"IgnoreExtraneous","argocd.argoproj.io/sync-options":"Prune=false"}
          spec.ports: [{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]
          spec.selector: {"serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}
    "#]].assert_eq(&of(1));
}

#[test]
fn what_stands_is_not_written_again() {
    let mut world = World::serving(json!({}))
        .with(marked())
        .with(budget("web", json!({"minAvailable": 1})))
        .with(autoscaler(json!({})));
    world = applied(world, &place(3, true));
    assert_eq!(world.render(&place(3, true)), "nothing\n");
    let grown = world.render(&place(5, true));
    expect![[r#"
        apply Deployment web-canary
          spec.replicas: 5
        apply HorizontalPodAutoscaler web-canary
          spec.maxReplicas: 10
          spec.minReplicas: 5
    "#]]
    .assert_eq(&first_lines(&grown));
    let alone = world.render(&place(3, false));
    expect![[r#"
        delete HorizontalPodAutoscaler shop/web-canary uid-HorizontalPodAutoscaler
    "#]]
    .assert_eq(&first_lines(&alone));
    expect![[r#"
        delete HorizontalPodAutoscaler shop/web-canary uid-HorizontalPodAutoscaler
        delete Deployment shop/web-canary uid-Deployment
        delete PodDisruptionBudget shop/web-canary uid-PodDisruptionBudget
    "#]]
    .assert_eq(&world.render(&Action::Remove));
    assert_eq!(
        World::serving(json!({})).render(&Action::Remove),
        "nothing\n"
    );
}

/// Puts what was applied where it would be.
fn applied(mut world: World, action: &Action) -> World {
    for change in world.changes(action).unwrap() {
        let Change::Apply(object) = change else {
            continue;
        };
        let mut object = serde_json::to_value(*object).unwrap();
        object["metadata"]["uid"] = json!(format!("uid-{}", object["kind"].as_str().unwrap()));
        world = world.with(object);
    }
    world
}

fn first_lines(text: &str) -> String {
    let shown = text
        .lines()
        .filter(|line| !line.starts_with(' ') || line.contains("eplicas"));
    shown.map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_autoscaled_canary_keeps_the_pods_that_it_was_given() {
    let world = World::serving(json!({}))
        .with(marked())
        .with(clone(json!({"spec": {"replicas": 7}})))
        .with(autoscaler(json!({})));
    expect![[r#"
        apply Deployment web-canary
          spec.replicas: 7
        apply HorizontalPodAutoscaler web-canary
          spec.maxReplicas: 10
          spec.minReplicas: 3
    "#]]
    .assert_eq(&first_lines(&world.render(&place(3, true))));
    expect![[r#"
        apply Deployment web-canary
          spec.replicas: 3
    "#]]
    .assert_eq(&first_lines(&world.render(&place(3, false))));
}

#[test]
fn nothing_is_placed_on_another_ground() {
    let base = || World::serving(json!({})).with(held(json!({})));
    let other = Action::Place {
        revision: revision("web:3.0"),
        replicas: 1,
        weight: 0,
        autoscale: false,
    };
    let foreign = clone(json!({"metadata": {"labels": {"serin.dev/canary-uid": null}}}));
    let rows = [
        base().render(&other),
        base()
            .with(clone(
                json!({"metadata": {"annotations": {"serin.dev/runs": "0"}}}),
            ))
            .render(&place(1, false)),
        base()
            .with(clone(
                json!({"metadata": {"deletionTimestamp": "2026-01-05T00:00:00Z"}}),
            ))
            .render(&place(1, false)),
        base().with(foreign.clone()).render(&place(1, false)),
        base().with(foreign).render(&Action::Remove),
        World::new(json!({}))
            .with(held(json!({})))
            .render(&place(1, false)),
    ];
    expect![[r#"
        changed: Deployment shop/web has revision 85541a0164, not 29abaff096
        changed: Deployment shop/web-canary does not run revision 85541a0164
        changed: Deployment shop/web-canary is being deleted
        refused: Deployment shop/web-canary exists and is not this Canary's: rename or delete it; nothing of it was touched
        nothing
        apply Deployment web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          annotations: {"serin.dev/runs":"85541a0164","serin.dev/weight":"10"}
          spec.paused: false
          spec.replicas: 1
          spec.selector: {"matchLabels":{"serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}}
          spec.template: {"metadata":{"labels":{"app":"web-canary","serin.dev/canary-uid":"uid-canary","serin.dev/role":"canary"}},"spec":{"containers":[{"image":"web:2.0","name":"web"}]}}
    "#]].assert_eq(&rows.concat());
}

#[test]
fn workers_have_no_services() {
    let world = World::new(json!({"provider": "none"})).with(held(json!({})));
    expect![[r#"
        apply Deployment web-canary
          spec.replicas: 1
    "#]]
    .assert_eq(&first_lines(&world.render(&place(1, false))));
}

#[test]
fn a_variable_that_is_set_twice_is_written_once() {
    let mut object = held(json!({}));
    object["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"}]);
    let revision = crate::digest::revision(&object["spec"]["template"]);
    let world = World::new(json!({"provider": "none"})).with(object);
    let changes = world
        .changes(&Action::Place {
            revision,
            replicas: 1,
            weight: 0,
            autoscale: false,
        })
        .unwrap();
    let Some(Change::Apply(workload)) = changes.first() else {
        panic!("{changes:?}")
    };
    let env = &workload.data["spec"]["template"]["spec"]["containers"][0]["env"];
    expect![[r#"[{"name":"B","value":"2"},{"name":"A","value":"3"}]"#]].assert_eq(&env.to_string());
}

#[test]
fn nothing_that_may_carry_traffic_has_an_owner() {
    let world = World::serving(json!({}))
        .with(marked())
        .with(autoscaler(json!({})))
        .with(budget("web", json!({})));
    for change in world.changes(&place(1, true)).unwrap() {
        let Change::Apply(object) = change else {
            panic!("{change:?}")
        };
        assert_eq!(object.metadata.owner_references, None);
        assert_eq!(
            object
                .metadata
                .labels
                .unwrap()
                .get("serin.dev/canary-uid")
                .map(String::as_str),
            Some(UID)
        );
    }
}

#[test]
fn everything_that_is_rendered_was_read() {
    let world = World::serving(json!({})).with(service("web-canary", json!({})));
    let keys = crate::workload::objects(&world.canary, &place(1, true), &world.seen);
    let named = |kind, name: &str| keys.contains(&ObjectKey::new(kind, "shop", name));
    assert!(
        named(Kind::Deployment, "web")
            && named(Kind::Deployment, "web-canary")
            && named(Kind::Service, "web-canary")
    );
}
