//! The Services.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{UID, World, clone, endpoints, pod, service, target};
use crate::crd::canary::CanaryIdle;
use crate::rollout::decision::Action;
use crate::workload::observe_services;

fn own(selector: Value) -> Value {
    let mut object = service(
        "web-canary",
        json!({"metadata": {"labels": {"serin.dev/canary-uid": UID}}}),
    );
    object["spec"]["selector"] = selector;
    object
}

fn of_canary() -> Value {
    own(json!({"serin.dev/canary-uid": UID, "serin.dev/role": "canary"}))
}

#[test]
fn missing_services_are_made_as_the_spec_says() {
    let spec = json!({"service": {
        "port": 80, "targetPort": "http", "portName": "web", "appProtocol": "http", "portDiscovery": true,
        "apex": {"labels": {"a": "b"}}, "canary": {"annotations": {"c": "d"}},
    }});
    let mut object = target(json!({}));
    object["spec"]["template"]["spec"]["containers"][0]["ports"] =
        json!([{"name": "http", "containerPort": 8080}, {"containerPort": 9090}]);
    let world = World::new(spec).with(object);
    expect![[r#"
        apply Service web
          labels: {"a":"b"}
          owner: {"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"uid-web"}
          spec.ports: [{"appProtocol":"http","name":"web","port":80,"protocol":"TCP","targetPort":"http"},{"name":"port-9090","port":9090,"protocol":"TCP","targetPort":9090}]
          spec.selector: {"app":"web"}
        apply Service web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          annotations: {"c":"d"}
          spec.ports: [{"appProtocol":"http","name":"web","port":80,"protocol":"TCP","targetPort":"http"},{"name":"port-9090","port":9090,"protocol":"TCP","targetPort":9090}]
          spec.selector: {"app":"web"}
    "#]].assert_eq(&world.render(&Action::Serve));
}

#[test]
fn an_existing_service_is_used_as_it_is() {
    let rows = [
        World::serving(json!({})).render(&Action::Serve),
        World::serving(json!({}))
            .with(of_canary())
            .render(&Action::Serve),
        World::serving(json!({}))
            .with(service("web-canary", json!({})))
            .render(&Action::Serve),
        World::new(json!({}))
            .with(target(json!({})))
            .render(&Action::Serve),
        World::new(json!({"provider": "none"}))
            .with(target(json!({})))
            .render(&Action::Serve),
    ];
    expect![[r#"
        apply Service web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.ports: [{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]
          spec.selector: {"app":"web"}
        nothing
        refused: Service shop/web-canary exists and is not this Canary's: rename or delete it; nothing of it was touched
        refused: Service shop/web does not exist: create it, or set spec.service.port so that one is made
        nothing
    "#]].assert_eq(&rows.concat());
}

#[test]
fn in_a_mesh_the_canary_service_selects_nothing_while_idle() {
    for (provider, nothing) in [
        ("istio", true),
        ("kuma", true),
        ("smi:v1alpha1", true),
        ("smi:v1alpha3", true),
        ("gloo", false),
        ("apisix", false),
    ] {
        let spec = json!({"provider": provider, "service": {"port": 80}});
        let idle = World::serving(spec).with(of_canary());
        let written = idle.render(&Action::Idle);
        let role = r#""serin.dev/role":"idle""#;
        assert_eq!(written.contains(role), nothing, "{provider}: {written}");
    }
}

#[test]
fn the_canary_service_points_back_while_idle() {
    let empty = json!({"service": {"port": 80, "canaryIdle": "Empty"}});
    let switched = service("web", json!({"spec": {"selector": {"app": "web-canary"}}}));
    let rows = [
        World::serving(json!({}))
            .with(of_canary())
            .render(&Action::Idle),
        World::serving(empty)
            .with(of_canary())
            .render(&Action::Idle),
        World::serving(json!({}))
            .with(switched)
            .with(of_canary())
            .render(&Action::Idle),
        World::serving(json!({}))
            .with(of_canary())
            .render(&Action::Forget),
        World::serving(json!({}))
            .with(service("web-canary", json!({})))
            .render(&Action::Forget),
    ];
    expect![[r#"
        apply Service web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.ports: [{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]
          spec.selector: {"app":"web"}
        apply Service web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.ports: [{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]
          spec.selector: {"serin.dev/canary-uid":"uid-canary","serin.dev/role":"idle"}
        apply Service web-canary
          labels: {"serin.dev/canary-uid":"uid-canary"}
          spec.ports: [{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]
          spec.selector: {"app":"web"}
        delete Service shop/web-canary uid-web-canary
        nothing
    "#]]
    .assert_eq(&rows.concat());
}

#[test]
fn services_are_seen_as_they_are() {
    let mesh =
        json!({"service": {"port": 80, "gatewayRefs": [{"kind": "Service", "name": "web"}]}});
    let running = || {
        World::serving(json!({}))
            .with(clone(json!({})))
            .with(pod("c-1", json!({})))
            .with(pod("c-2", json!({})))
            .with(of_canary())
    };
    let rows = [
        ("nothing", World::new(json!({}))),
        ("workers", World::new(json!({"provider": "none"}))),
        ("only the apex", World::serving(json!({}))),
        (
            "a foreign canary Service",
            World::serving(json!({})).with(service("web-canary", json!({}))),
        ),
        (
            "idle",
            World::serving(json!({})).with(own(json!({"app": "web"}))),
        ),
        (
            "idle, but for a mesh",
            World::serving(mesh).with(own(json!({"app": "web"}))),
        ),
        ("at the canary, no endpoints yet", running()),
        (
            "at the canary, one endpoint",
            running().with(endpoints("web-canary", &["c-1"])),
        ),
        (
            "at the canary",
            running().with(endpoints("web-canary", &["c-1", "c-2"])),
        ),
        (
            "at the canary, a stale endpoint",
            running().with(endpoints("web-canary", &["c-1", "c-2", "web-1"])),
        ),
    ];
    let seen: String = rows
        .iter()
        .map(|(name, world)| {
            format!(
                "{name}: {:?}\n",
                observe_services(&world.canary, &world.seen, CanaryIdle::Auto)
            )
        })
        .collect();
    expect![[r#"
        nothing: Services { apex: Missing, canary: Missing, canary_has_pods: false, selects_canary: false, points_at_canary: false, idle: true }
        workers: Services { apex: There, canary: There, canary_has_pods: false, selects_canary: true, points_at_canary: true, idle: true }
        only the apex: Services { apex: There, canary: Missing, canary_has_pods: false, selects_canary: false, points_at_canary: false, idle: true }
        a foreign canary Service: Services { apex: There, canary: Missing, canary_has_pods: false, selects_canary: false, points_at_canary: false, idle: true }
        idle: Services { apex: There, canary: There, canary_has_pods: false, selects_canary: false, points_at_canary: false, idle: true }
        idle, but for a mesh: Services { apex: There, canary: There, canary_has_pods: false, selects_canary: false, points_at_canary: false, idle: false }
        at the canary, no endpoints yet: Services { apex: There, canary: There, canary_has_pods: true, selects_canary: true, points_at_canary: false, idle: false }
        at the canary, one endpoint: Services { apex: There, canary: There, canary_has_pods: true, selects_canary: true, points_at_canary: false, idle: false }
        at the canary: Services { apex: There, canary: There, canary_has_pods: true, selects_canary: true, points_at_canary: true, idle: false }
        at the canary, a stale endpoint: Services { apex: There, canary: There, canary_has_pods: true, selects_canary: true, points_at_canary: false, idle: false }
    "#]].assert_eq(&seen);
}
