//! Provider `gatewayapi:v1`.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, ObjectKey, mark};
use crate::rollout::observed::Acceptance;
use crate::router::Router;
use crate::router::gateway_api::ROUTER;
use crate::router::owned::OWNER;
use crate::router::tests::world::{UID, World, canary, split};

fn owned() -> Canary {
    canary(
        json!({"service": {"port": 80, "hosts": ["app.example.com"], "gatewayRefs": [{"name": "public", "namespace": "infra"}]}}),
    )
}

fn mesh() -> Canary {
    canary(
        json!({"service": {"port": 80, "gatewayRefs": [{"kind": "Service", "name": "podinfo", "port": 80}]}}),
    )
}

fn gateway() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "public", "namespace": "infra"}, "spec": {}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo", "namespace": "shop"}, "spec": {}})
}

fn route(rules: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "podinfo", "namespace": "shop", "uid": "route-uid"},
        "spec": {"parentRefs": [{"name": "public", "namespace": "infra"}], "rules": rules},
    })
}

fn patched(reference: &Value) -> Canary {
    let mut full = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "name": "podinfo"});
    for (field, value) in reference.as_object().unwrap() {
        full[field] = value.clone();
    }
    canary(json!({"provider": "gatewayapi:v1", "service": {"port": 80}, "routeRefs": [full]}))
}

fn backend(name: &str, weight: i64) -> Value {
    json!({"name": name, "port": 80, "weight": weight})
}

fn rule(weights: &[(&str, i64)]) -> Value {
    let backends: Vec<_> = weights
        .iter()
        .map(|(name, weight)| backend(name, *weight))
        .collect();
    json!({"backendRefs": backends})
}

fn weights(world: &World) -> Vec<Vec<(String, i64)>> {
    let rules = world.get(Kind::HttpRoute, "podinfo").data["spec"]["rules"].clone();
    let entry = |it: &Value| {
        (
            it["name"].as_str().unwrap().to_owned(),
            it["weight"].as_i64().unwrap(),
        )
    };
    let rule = |it: &Value| {
        it["backendRefs"]
            .as_array()
            .unwrap()
            .iter()
            .map(entry)
            .collect()
    };
    rules.as_array().unwrap().iter().map(rule).collect()
}

fn messages(canary: &Canary, world: &World) -> String {
    let problems = ROUTER.problems(canary, &world.seen());
    problems
        .iter()
        .map(|it| format!("{}: {}\n", it.reason, it.message))
        .collect()
}

#[test]
fn the_servers_defaults_are_no_difference() {
    let mut world = World::of([gateway()]);
    world.route(&ROUTER, &owned(), 10);
    assert_eq!(world.routes(&ROUTER, &owned()), Some(10));
    assert!(
        ROUTER
            .render(&owned(), &world.live, split(10))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_foreign_route_is_never_taken_over() {
    let world = World::of([gateway(), route(&json!([rule(&[("podinfo", 1)])]))]);
    let refused = ROUTER.render(&owned(), &world.live, split(0)).unwrap_err();
    assert!(messages(&owned(), &world).starts_with("RouteConflict: "));
    assert!(ROUTER.observe(&owned(), &world.seen()).is_err());
    assert!(ROUTER.finalize(&owned(), &world.live).unwrap().is_empty());
    expect!["HTTPRoute shop/podinfo exists and is not Serin's: name it in spec.routeRefs, so that only its weights are changed, or rename it"]
        .assert_eq(&refused.to_string());
}

#[test]
fn the_route_of_another_canary_is_not_ours() {
    let mut other = route(&json!([rule(&[("podinfo", 1)])]));
    other["metadata"]["labels"] = json!({mark::CANARY_UID: "another"});
    let world = World::of([other]);
    assert!(ROUTER.render(&owned(), &world.live, split(0)).is_err());
}

fn check_drift(edit: impl FnOnce(&mut Value)) {
    let mut world = World::of([gateway()]);
    world.route(&ROUTER, &owned(), 10);
    world.edit(Kind::HttpRoute, "podinfo", edit);
    assert_eq!(world.observe(&ROUTER, &owned()).unwrap().routes, None);
    world.route(&ROUTER, &owned(), 10);
    assert_eq!(world.routes(&ROUTER, &owned()), Some(10));
}

#[test]
fn a_route_that_says_something_else_has_no_split_and_is_put_right() {
    check_drift(|it| it["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(80));
    check_drift(|it| it["spec"]["rules"][0]["backendRefs"][1]["name"] = json!("other"));
    check_drift(|it| {
        it["spec"]["rules"][0]["backendRefs"]
            .as_array_mut()
            .unwrap()
            .push(backend("third", 5))
    });
    check_drift(|it| {
        it["spec"]["rules"][0]["matches"] = json!([{"headers": [{"name": "x", "value": "y"}]}])
    });
    check_drift(|it| {
        it["spec"]["rules"]
            .as_array_mut()
            .unwrap()
            .insert(0, rule(&[("other", 1)]))
    });
    check_drift(|it| it["spec"]["rules"] = json!([]));
    check_drift(|it| it["spec"]["hostnames"] = json!(["other.example.com"]));
    check_drift(|it| it["spec"]["parentRefs"][0]["sectionName"] = json!("http"));
}

#[test]
fn a_weight_that_somebody_set_is_read_as_it_is() {
    let mut world = World::of([gateway()]);
    world.route(&ROUTER, &owned(), 10);
    world.edit(Kind::HttpRoute, "podinfo", |it| {
        it["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(60);
        it["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(40);
    });
    assert_eq!(world.routes(&ROUTER, &owned()), Some(40));
}

#[test]
fn below_a_gateway_the_route_outlives_its_canary_and_serves_the_next() {
    let mut world = World::of([gateway(), service()]);
    world.route(&ROUTER, &owned(), 0);
    let changes = ROUTER.finalize(&owned(), &world.live).unwrap();
    world.apply(changes);
    assert_eq!(weights(&world), [[("podinfo".to_owned(), 1)]]);
    assert!(ROUTER.finalize(&owned(), &world.live).unwrap().is_empty());

    let mut next = owned();
    next.metadata.uid = Some("next".into());
    assert!(messages(&next, &world).is_empty());
    assert_eq!(world.observe(&ROUTER, &next), None);
    world.route(&ROUTER, &next, 0);
    assert_eq!(world.routes(&ROUTER, &next), Some(0));
    assert!(
        ROUTER
            .render(&next, &world.live, split(0))
            .unwrap()
            .is_empty()
    );
    let metadata = &world.get(Kind::HttpRoute, "podinfo").metadata;
    assert_eq!(
        metadata.labels.as_ref().unwrap()[mark::CANARY_UID],
        UID,
        "the label never changes"
    );
    assert_eq!(metadata.annotations.as_ref().unwrap()[OWNER], "next");
    assert!(messages(&owned(), &world).starts_with("RouteConflict: "));
}

#[test]
fn a_route_to_a_service_that_is_gone_goes() {
    let key = ObjectKey::new(Kind::Service, "shop", "podinfo");
    for late in [false, true] {
        let mut world = World::of([gateway(), service()]);
        world.route(&ROUTER, &owned(), 0);
        if late {
            let changes = ROUTER.finalize(&owned(), &world.live).unwrap();
            world.apply(changes);
        }
        world.live.remove(&key);
        let mut next = owned();
        next.metadata.uid = Some("next".into());
        assert!(ROUTER.finalize(&next, &world.live).unwrap().is_empty());
        let changes = ROUTER.finalize(&owned(), &world.live).unwrap();
        assert!(
            matches!(changes.as_slice(), [Change::Delete(_, _)]),
            "{late}"
        );
    }
}

#[test]
fn below_a_service_the_route_goes() {
    let mut world = World::default();
    world.route(&ROUTER, &mesh(), 0);
    let changes = ROUTER.finalize(&mesh(), &world.live).unwrap();
    assert!(matches!(changes.as_slice(), [Change::Delete(_, _)]));
    world.apply(changes);
    assert!(world.live.is_empty());
}

#[test]
fn envoy_gateway_gets_a_filter_that_makes_it_tell_the_arms_apart() {
    let mut world = World::of([gateway()]);
    world.route(&ROUTER, &owned(), 0);
    world.accept("gateway.envoyproxy.io/gatewayclass-controller");
    world.route(&ROUTER, &owned(), 10);
    let rule = &world.get(Kind::HttpRoute, "podinfo").data["spec"]["rules"][0];
    assert_eq!(rule["backendRefs"][0].get("filters"), None);
    assert_eq!(
        rule["backendRefs"][1]["filters"],
        json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-serin-role", "value": "canary"}]}}])
    );
    assert_eq!(world.routes(&ROUTER, &owned()), Some(10));
    assert!(
        ROUTER
            .render(&owned(), &world.live, split(10))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_generated_route_needs_something_to_hang_on() {
    let canary = canary(json!({"service": {"port": 80}}));
    expect![[r#"
        RouteNotReady: spec.service.gatewayRefs is empty: name the Gateway (or, for a mesh, the Service) that the generated route hangs on, or the routes that you have in spec.routeRefs
    "#]]
    .assert_eq(&messages(&canary, &World::default()));
}

#[test]
fn what_the_api_would_refuse_is_told_before() {
    let timeout = |timeout: &str| {
        let canary = canary(
            json!({"service": {"port": 80, "timeout": timeout, "gatewayRefs": [{"name": "public"}]}}),
        );
        messages(&canary, &World::default()).is_empty()
    };
    for good in ["15s", "1m30s", "500ms", "1h2m3s4ms", "0s"] {
        assert!(timeout(good), "{good}");
    }
    for bad in ["", "15", "1.5s", "s", "123456s", "1h1h1h1h1h", "1d", "15s "] {
        assert!(!timeout(bad), "{bad}");
    }
    let canary =
        canary(json!({"service": {"port": 80, "gatewayRefs": [{"kind": "Ingress", "name": "x"}]}}));
    expect![[r#"
        RouteNotReady: spec.service.gatewayRefs: Ingress shop/x is neither a Gateway of gateway.networking.k8s.io nor a Service
    "#]]
    .assert_eq(&messages(&canary, &World::default()));
}

#[test]
fn without_the_api_there_is_no_provider() {
    let problems = ROUTER.problems(&owned(), &crate::objects::Seen::default());
    assert_eq!(problems[0].reason, "ProviderUnavailable");
}

/// What is said of an owned route once `edit` changed how its controller accepted it.
fn check_acceptance(edit: impl FnOnce(&mut Value), expected: &Expect) {
    let mut world = World::of([gateway()]);
    world.route(&ROUTER, &owned(), 10);
    world.accept("example.com/controller");
    let object = world
        .live
        .iter_mut()
        .find(|(key, _)| key.kind == Kind::HttpRoute)
        .unwrap()
        .1;
    edit(&mut object.data["status"]["parents"]);
    let split = world.observe(&ROUTER, &owned()).unwrap();
    expected.assert_eq(&format!("{:?}", split.acceptance));
}

#[test]
fn a_write_counts_when_every_condition_is_of_its_generation() {
    check_acceptance(|_| {}, &expect!["Accepted"]);
    // Normalised: a status may leave out what is the default.
    check_acceptance(
        |it| it[0]["parentRef"] = json!({"name": "public", "namespace": "infra"}),
        &expect!["Accepted"],
    );
    check_acceptance(
        |it| *it = json!([]),
        &expect![[
            r#"Pending("HTTPRoute shop/podinfo: no controller reports on Gateway infra/public yet")"#
        ]],
    );
    check_acceptance(
        |it| it[0]["parentRef"]["sectionName"] = json!("https"),
        &expect![[
            r#"Pending("HTTPRoute shop/podinfo: no controller reports on Gateway infra/public yet")"#
        ]],
    );
    check_acceptance(
        |it| it[0]["conditions"][1]["observedGeneration"] = json!(0),
        &expect![[
            r#"Pending("HTTPRoute shop/podinfo: example.com/controller on Gateway infra/public: ResolvedRefs is said of generation 0, not yet of 1")"#
        ]],
    );
    check_acceptance(
        |it| it[0]["conditions"] = json!([it[0]["conditions"][0]]),
        &expect![[
            r#"Pending("HTTPRoute shop/podinfo: example.com/controller on Gateway infra/public: ResolvedRefs is not reported yet")"#
        ]],
    );
    check_acceptance(
        |it| {
            it[0]["conditions"][0]["status"] = json!("False");
            it[0]["conditions"][0]["reason"] = json!("NotAllowedByListeners");
        },
        &expect![[
            r#"Rejected("HTTPRoute shop/podinfo: example.com/controller on Gateway infra/public: Accepted is False (NotAllowedByListeners)")"#
        ]],
    );
    check_acceptance(
        |it| {
            it[0]["conditions"][1]["status"] = json!("False");
            it[0]["conditions"][1]["reason"] = json!("BackendNotFound");
            it[0]["conditions"][1]["message"] = json!("Service podinfo-canary");
        },
        &expect![[
            r#"Pending("HTTPRoute shop/podinfo: example.com/controller on Gateway infra/public: ResolvedRefs is False (BackendNotFound: Service podinfo-canary)")"#
        ]],
    );
    check_acceptance(
        |it| {
            let partial =
                json!({"type": "PartiallyInvalid", "status": "True", "observedGeneration": 1});
            it[0]["conditions"].as_array_mut().unwrap().push(partial);
        },
        &expect![[
            r#"Rejected("HTTPRoute shop/podinfo: example.com/controller on Gateway infra/public: PartiallyInvalid is True")"#
        ]],
    );
}

#[test]
fn of_two_controllers_on_one_parent_both_have_to_accept() {
    check_acceptance(
        |it| {
            let mut other = it[0].clone();
            other["controllerName"] = json!("example.com/other");
            other["conditions"][0]["observedGeneration"] = json!(0);
            it.as_array_mut().unwrap().push(other);
        },
        &expect![[
            r#"Pending("HTTPRoute shop/podinfo: example.com/other on Gateway infra/public: Accepted is said of generation 0, not yet of 1")"#
        ]],
    );
}

#[test]
fn a_gateway_has_to_be_programmed_itself() {
    let mut world = World::default();
    world.route(&ROUTER, &owned(), 0);
    world.accept("example.com/controller");
    let word = |world: &World| world.observe(&ROUTER, &owned()).unwrap().acceptance;
    assert_eq!(
        word(&world),
        Acceptance::Pending("Gateway infra/public does not exist".into())
    );
    let mut unprogrammed = gateway();
    unprogrammed["status"] = json!({"conditions": [{"type": "Programmed", "status": "False", "reason": "NoResources", "observedGeneration": 1}]});
    world.live.append(&mut World::of([unprogrammed]).live);
    assert_eq!(
        word(&world),
        Acceptance::Pending("Gateway infra/public: Programmed is False (NoResources)".into())
    );
}

#[test]
fn the_editor_is_the_last_other_writer_of_the_spec() {
    let mut object = route(&json!([rule(&[("podinfo", 1), ("podinfo-canary", 0)])]));
    let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields});
    object["metadata"]["managedFields"] = json!([
        entry("helm", "2026-01-01T00:00:00Z", json!({"f:spec": {}})),
        entry(
            "kubectl-edit",
            "2026-01-02T00:00:00Z",
            json!({"f:spec": {}})
        ),
        entry("serin", "2026-01-03T00:00:00Z", json!({"f:spec": {}})),
        entry("traefik", "2026-01-04T00:00:00Z", json!({"f:status": {}})),
    ]);
    let world = World::of([object]);
    let split = world.observe(&ROUTER, &patched(&json!({}))).unwrap();
    assert_eq!(split.editor.as_deref(), Some("kubectl-edit"));
}

#[test]
fn only_the_rules_with_both_backends_are_weighed() {
    let rules = json!([
        rule(&[("podinfo", 1)]),
        rule(&[("podinfo-canary", 0), ("podinfo", 1)]),
        rule(&[("other", 1)]),
    ]);
    let mut world = World::of([route(&rules)]);
    let canary = patched(&json!({}));
    assert_eq!(messages(&canary, &world), "");
    assert!(
        ROUTER
            .render(&canary, &world.live, split(0))
            .unwrap()
            .is_empty(),
        "1 and 0 is weight 0"
    );
    world.route(&ROUTER, &canary, 30);
    expect![[r#"[[("podinfo", 1)], [("podinfo-canary", 30), ("podinfo", 70)], [("other", 1)]]"#]]
        .assert_eq(&format!("{:?}", weights(&world)));
}

#[test]
fn rules_that_disagree_say_no_split() {
    let rules = json!([
        rule(&[("podinfo", 90), ("podinfo-canary", 10)]),
        rule(&[("podinfo", 1), ("podinfo-canary", 0)])
    ]);
    let mut world = World::of([route(&rules)]);
    let canary = patched(&json!({}));
    assert_eq!(world.observe(&ROUTER, &canary).unwrap().routes, None);
    world.route(&ROUTER, &canary, 10);
    assert_eq!(world.routes(&ROUTER, &canary), Some(10));
}

#[test]
fn a_named_rule_is_the_only_one() {
    let mut named = rule(&[("podinfo", 1), ("podinfo-canary", 0)]);
    named["name"] = json!("checkout");
    let other = rule(&[("podinfo", 1), ("podinfo-canary", 0)]);
    let mut world = World::of([route(&json!([other, named]))]);
    world.route(&ROUTER, &patched(&json!({"rule": "checkout"})), 50);
    expect![[
        r#"[[("podinfo", 1), ("podinfo-canary", 0)], [("podinfo", 50), ("podinfo-canary", 50)]]"#
    ]]
    .assert_eq(&format!("{:?}", weights(&world)));
    expect![[r#"
        CanaryBackendMissing: HTTPRoute shop/podinfo has no rule named pay: correct spec.routeRefs or the route
    "#]]
    .assert_eq(&messages(&patched(&json!({"rule": "pay"})), &world));
}

#[test]
fn a_missing_canary_is_told_with_the_line_to_paste() {
    let world = World::of([route(&json!([rule(&[("podinfo", 1)])]))]);
    let canary = patched(&json!({}));
    expect![[r#"
        CanaryBackendMissing: HTTPRoute shop/podinfo sends to podinfo, but not to podinfo-canary: add the line `- {name: podinfo-canary, port: 80, weight: 0}` to its backendRefs, or set insertCanary in spec.routeRefs
    "#]]
    .assert_eq(&messages(&canary, &world));
    assert_eq!(world.observe(&ROUTER, &canary).unwrap().routes, None);
    assert!(ROUTER.render(&canary, &world.live, split(10)).is_err());
    assert!(
        ROUTER
            .render(&canary, &world.live, split(0))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_backend_on_another_port_is_another_backend() {
    let mut rule = rule(&[("podinfo", 1), ("podinfo-canary", 0)]);
    rule["backendRefs"][1]["port"] = json!(9090);
    let world = World::of([route(&json!([rule]))]);
    assert!(messages(&patched(&json!({})), &world).starts_with("CanaryBackendMissing: "));
}

#[test]
fn an_inserted_canary_is_taken_out_again() {
    let before = json!([
        rule(&[("podinfo", 1)]),
        rule(&[("podinfo", 50), ("third", 50)])
    ]);
    let mut world = World::of([route(&before)]);
    let untouched = world.get(Kind::HttpRoute, "podinfo").data.clone();
    let canary = patched(&json!({"insertCanary": true}));
    assert_eq!(messages(&canary, &world), "");
    assert_eq!(world.routes(&ROUTER, &canary), Some(0));
    assert!(ROUTER.finalize(&canary, &world.live).unwrap().is_empty());
    world.route(&ROUTER, &canary, 10);
    expect![[r#"[[("podinfo", 90), ("podinfo-canary", 10)], [("podinfo", 45), ("third", 50), ("podinfo-canary", 5)]]"#]]
        .assert_eq(&format!("{:?}", weights(&world)));
    assert_eq!(world.routes(&ROUTER, &canary), Some(10));
    let changes = ROUTER.finalize(&canary, &world.live).unwrap();
    world.apply(changes);
    assert_eq!(world.get(Kind::HttpRoute, "podinfo").data, untouched);
}

#[test]
fn a_third_backend_keeps_its_share_or_the_step_is_too_fine() {
    let rules = json!([rule(&[
        ("podinfo", 10),
        ("podinfo-canary", 0),
        ("third", 90)
    ])]);
    let mut world = World::of([route(&rules)]);
    let mut canary = patched(&json!({}));
    world.route(&ROUTER, &canary, 20);
    expect![[r#"[[("podinfo", 8), ("podinfo-canary", 2), ("third", 90)]]"#]]
        .assert_eq(&format!("{:?}", weights(&world)));
    canary.spec.analysis.step_weights = vec![50, 75];
    expect![[r#"
        WeightsTooCoarse: HTTPRoute shop/podinfo: the weights of podinfo and podinfo-canary sum to 10, which has no whole number for 75% of spec.analysis.stepWeights; beside other backends the sum cannot change: multiply all weights of the rule, so that this sum is 100
    "#]]
    .assert_eq(&messages(&canary, &world));
    assert!(ROUTER.render(&canary, &world.live, split(75)).is_err());
}

#[test]
fn a_retreat_takes_the_next_lower_share() {
    let rules = json!([rule(&[
        ("podinfo", 5),
        ("podinfo-canary", 5),
        ("third", 90)
    ])]);
    let mut world = World::of([route(&rules)]);
    let canary = patched(&json!({}));
    world.route(&ROUTER, &canary, 37);
    assert_eq!(world.routes(&ROUTER, &canary), Some(30));
    assert!(
        ROUTER.render(&canary, &world.live, split(37)).is_err(),
        "that would be up again"
    );
    world.route(&ROUTER, &canary, 0);
    assert_eq!(world.routes(&ROUTER, &canary), Some(0));
}

#[test]
fn the_default_steps_may_be_too_fine_too() {
    let rules = json!([rule(&[
        ("podinfo", 4),
        ("podinfo-canary", 0),
        ("third", 90)
    ])]);
    let words = messages(&patched(&json!({})), &World::of([route(&rules)]));
    assert!(words.contains("10% of the default steps"), "{words}");
}

#[test]
fn a_route_is_not_given_back_without_an_answer() {
    let mut world = World::of([gateway(), service()]);
    world.route(&ROUTER, &owned(), 0);
    world.edit(Kind::HttpRoute, "podinfo", |it| {
        it["spec"]["rules"] = json!([rule(&[("podinfo-canary", 1)])]);
    });
    let changes = ROUTER.finalize(&owned(), &world.live).unwrap();
    world.apply(changes);
    assert_eq!(weights(&world), [[("podinfo".to_owned(), 1)]]);
}

#[test]
fn several_routes_have_to_agree_and_all_have_to_be_there() {
    let both = rule(&[("podinfo", 1), ("podinfo-canary", 0)]);
    let mut grpc = route(&json!([both]));
    grpc["kind"] = json!("GRPCRoute");
    let mut canary = patched(&json!({}));
    let mut second = canary.spec.route_refs[0].clone();
    second.kind = "GRPCRoute".into();
    canary.spec.route_refs.push(second);

    let mut world = World::of([gateway(), route(&json!([both]))]);
    assert_eq!(
        messages(&canary, &world),
        "RouteNotReady: spec.routeRefs: GRPCRoute shop/podinfo does not exist: create it, or take it off the list\n"
    );
    world.accept("example.com/controller");
    let split_now = world.observe(&ROUTER, &canary).unwrap();
    assert_eq!(split_now.routes, None);
    assert_eq!(
        split_now.acceptance,
        Acceptance::Pending("GRPCRoute shop/podinfo does not exist".into())
    );
    assert!(ROUTER.render(&canary, &world.live, split(10)).is_err());

    world.live.append(&mut World::of([grpc]).live);
    world.route(&ROUTER, &canary, 10);
    assert_eq!(world.routes(&ROUTER, &canary), Some(10));
    assert_eq!(World::default().observe(&ROUTER, &canary), None);
}

#[test]
fn other_kinds_are_refused() {
    let canary =
        patched(&json!({"kind": "UDPRoute", "apiVersion": "gateway.networking.k8s.io/v1alpha2"}));
    assert!(ROUTER.objects(&canary).is_empty());
    expect![[r#"
        ProviderUnavailable: spec.routeRefs: provider gatewayapi:v1 cannot write UDPRoute podinfo of gateway.networking.k8s.io/v1alpha2; it writes HTTPRoute of gateway.networking.k8s.io/v1, GRPCRoute of gateway.networking.k8s.io/v1, TCPRoute of gateway.networking.k8s.io/v1alpha2, TLSRoute of gateway.networking.k8s.io/v1
    "#]]
    .assert_eq(&messages(&canary, &World::default()));
}

#[test]
fn a_finished_route_gives_all_to_stable() {
    let mut world = World::of([route(&json!([rule(&[
        ("podinfo", 60),
        ("podinfo-canary", 40)
    ])]))]);
    let canary = patched(&json!({}));
    let changes = ROUTER.finalize(&canary, &world.live).unwrap();
    world.apply(changes);
    expect![[r#"[[("podinfo", 100), ("podinfo-canary", 0)]]"#]]
        .assert_eq(&format!("{:?}", weights(&world)));
    assert!(ROUTER.finalize(&canary, &world.live).unwrap().is_empty());
}

fn percents() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0u8..=100, 1..6)
}

/// Fields that a later version of the API, or somebody else, may put beside ours.
fn foreign() -> impl Strategy<Value = (String, Value)> {
    let value = prop_oneof![
        any::<i32>().prop_map(|it| json!(it)),
        "[a-z]{0,9}".prop_map(|it| json!(it)),
        proptest::collection::vec("[a-z]{1,4}", 0..3).prop_map(|it| json!({"nested": it})),
    ];
    ("x[A-Za-z]{1,9}", value)
}

proptest! {
    #[test]
    fn what_is_rendered_into_an_owned_route_is_observed(percents in percents(), foreign in foreign()) {
        let mut world = World::of([gateway()]);
        let (name, value) = &foreign;
        world.route(&ROUTER, &owned(), 0);
        world.edit(Kind::HttpRoute, "podinfo", |it| {
            it["metadata"]["annotations"][name] = json!("kept");
            it["spec"][name] = value.clone();
            it["spec"]["rules"][0][name] = value.clone();
            it["spec"]["rules"][0]["backendRefs"][1][name] = value.clone();
        });
        for percent in percents {
            world.route(&ROUTER, &owned(), percent);
            prop_assert_eq!(world.routes(&ROUTER, &owned()), Some(percent));
            prop_assert!(ROUTER.render(&owned(), &world.live, split(percent)).unwrap().is_empty());
        }
        let route = world.get(Kind::HttpRoute, "podinfo");
        prop_assert_eq!(&route.metadata.annotations.as_ref().unwrap()[name], "kept");
        prop_assert_eq!(&route.data["spec"][name], value);
        prop_assert_eq!(&route.data["spec"]["rules"][0][name], value);
        prop_assert_eq!(&route.data["spec"]["rules"][0]["backendRefs"][1][name], value);
    }

    #[test]
    fn what_is_rendered_into_a_users_route_is_observed(
        percents in percents(), foreign in foreign(), old in (0i64..=1000, 0i64..=1000), insert: bool,
    ) {
        let (name, value) = &foreign;
        let mut first = rule(&[("podinfo", old.0), ("podinfo-canary", old.1)]);
        first[name] = value.clone();
        first["backendRefs"][1][name] = value.clone();
        let mut second = rule(&[("third", 7), ("podinfo", 100)]);
        if !insert {
            second["backendRefs"].as_array_mut().unwrap().push(backend("podinfo-canary", 0));
        }
        let mut world = World::of([route(&json!([first, second]))]);
        let canary = patched(&json!({"insertCanary": insert}));
        for percent in percents {
            world.route(&ROUTER, &canary, percent);
            prop_assert_eq!(world.routes(&ROUTER, &canary), Some(percent));
            prop_assert!(ROUTER.render(&canary, &world.live, split(percent)).unwrap().is_empty());
            let now = weights(&world);
            prop_assert_eq!(&now[1][0], &("third".to_owned(), 7));
            prop_assert_eq!(now[1].iter().map(|it| it.1).sum::<i64>(), 107);
        }
        let rule = &world.get(Kind::HttpRoute, "podinfo").data["spec"]["rules"][0];
        prop_assert_eq!(&rule[name], value);
        prop_assert_eq!(&rule["backendRefs"][1][name], value);
    }

    #[test]
    fn weights_stay_within_the_api(stable in 0i64..=1_000_000, canary in 0i64..=1_000_000, percent in 0u8..=100) {
        let mut world = World::of([route(&json!([rule(&[("podinfo", stable), ("podinfo-canary", canary)])]))]);
        world.route(&ROUTER, &patched(&json!({})), percent);
        let now = &weights(&world)[0];
        prop_assert!(now.iter().all(|(_, weight)| (0..=1_000_000).contains(weight)));
        prop_assert_eq!(world.routes(&ROUTER, &patched(&json!({}))), Some(percent));
    }
}
