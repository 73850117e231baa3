use super::*;
use crate::sim::field::after;
use crate::sim::stage::Stage;

fn route() -> Key {
    Key::new(GROUP, "httproutes", "test", "web")
}

fn split(stage: &Stage, routing: &Routing) -> Vec<i64> {
    let split = routing.split(stage.api.now(), &route());
    split.into_iter().map(|(_, weight)| weight).collect()
}

fn weigh(stage: &Stage, canary: i64) {
    stage.change(&route(), |it| it["spec"]["rules"] = rules(canary));
}

fn rules(canary: i64) -> Value {
    json!([
        {"matches": [{"headers": [{"name": "x", "value": "y"}]}], "backendRefs": [{"name": "web-canary", "port": 80}]},
        {"backendRefs": [
            {"name": "web", "port": 80, "weight": 100 - canary}, {"name": "web-canary", "port": 80, "weight": canary}]},
    ])
}

fn stage(routing: &Routing, from: &str) -> Stage {
    let mut stage = Stage::new(vec![Box::new(Gateways::new(routing.clone()))]);
    let class = json!({"spec": {"controllerName": CONTROLLER}});
    stage.create(&Key::new(GROUP, "gatewayclasses", "", "sim"), class);
    let listener = json!({"name": "web", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": from}}});
    let gateway = json!({"spec": {"gatewayClassName": "sim", "listeners": [listener]}});
    stage.create(&Key::new(GROUP, "gateways", "default", "gw"), gateway);
    for name in ["web", "web-canary"] {
        stage.create(
            &Key::new("", "services", "test", name),
            json!({"spec": {"ports": [{"port": 80}]}}),
        );
    }
    let parents = json!([{"name": "gw", "namespace": "default"}, {"group": "", "kind": "Service", "name": "web"}]);
    let object =
        json!({"spec": {"parentRefs": parents, "hostnames": ["*.example.com"], "rules": rules(0)}});
    stage.create(&route(), object);
    stage.pass(2);
    stage
}

/// `Accepted ResolvedRefs` of each parent, each with its generation.
fn answers(stage: &Stage) -> Vec<String> {
    let parents = stage.read(&route(), "/status/parents");
    let said = |it: &Value| format!("{} {}", text(it, "/reason"), it["observedGeneration"]);
    let parents = parents.as_array().cloned().unwrap_or_default();
    parents
        .iter()
        .map(|parent| {
            list(parent, "/conditions")
                .iter()
                .map(said)
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect()
}

#[test]
fn a_gateway_is_programmed_and_its_routes_are_accepted() {
    let routing = Routing::default();
    let stage = stage(&routing, "All");
    let gateway = Key::new(GROUP, "gateways", "default", "gw");
    assert_eq!(stage.condition(&gateway, "Programmed"), "True Programmed");
    assert_eq!(
        stage.read(&gateway, "/status/listeners/0/attachedRoutes"),
        1
    );
    assert_eq!(
        stage.condition(&Key::new(GROUP, "gatewayclasses", "", "sim"), "Accepted"),
        "True Accepted"
    );
    assert_eq!(answers(&stage), ["Accepted 1, ResolvedRefs 1"; 2]);
    assert_eq!(split(&stage, &routing), [100, 0]);
    let now = stage.api.now();
    assert_eq!(routing.routes(now, "a.example.com"), [route()]);
    assert!(routing.routes(now, "example.org").is_empty());
}

#[test]
fn the_data_plane_follows_what_was_accepted() {
    let routing = Routing::default();
    let mut stage = stage(&routing, "All");
    routing.set(Habit {
        accepts_after: SignedDuration::from_secs(5),
        in_force_after: SignedDuration::from_secs(10),
        ..Habit::default()
    });
    weigh(&stage, 20);
    stage.pass(4);
    assert_eq!(answers(&stage)[0], "Accepted 1, ResolvedRefs 1");
    stage.pass(2);
    assert_eq!(answers(&stage)[0], "Accepted 2, ResolvedRefs 2");
    assert_eq!(split(&stage, &routing), [100, 0]);
    stage.pass(10);
    assert_eq!(split(&stage, &routing), [80, 20]);
    let later = routing.split(after(stage.api.now(), 100), &route());
    assert_eq!(later[1], ("test/web-canary".to_owned(), 20));
}

#[test]
fn a_gateway_may_answer_for_one_parent_or_for_none() {
    for (which, expected) in [
        (Answers::First, vec!["Accepted 2, ResolvedRefs 2"]),
        (Answers::None, vec!["Accepted 1, ResolvedRefs 1"; 2]),
    ] {
        let routing = Routing::default();
        let mut stage = stage(&routing, "All");
        routing.set(Habit {
            answers: which,
            ..Habit::default()
        });
        weigh(&stage, 20);
        stage.pass(60);
        assert_eq!(answers(&stage), expected, "{which:?}");
        let weight = if which == Answers::None { 0 } else { 20 };
        assert_eq!(split(&stage, &routing), [100 - weight, weight]);
    }
}

#[test]
fn what_is_wrong_with_a_route_is_said() {
    let routing = Routing::default();
    let mut stage = stage(&routing, "Same");
    assert_eq!(
        answers(&stage)[0],
        "NotAllowedByListeners 1, ResolvedRefs 1"
    );
    let canary = Key::new("", "services", "test", "web-canary");
    stage.api.delete(&account::admin(), &canary).unwrap();
    stage.pass(1);
    assert_eq!(answers(&stage)[1], "Accepted 1, BackendNotFound 1");
}

#[test]
fn a_deleted_route_is_out_of_force_a_moment_later() {
    let routing = Routing::default();
    let mut stage = stage(&routing, "All");
    stage.api.delete(&account::admin(), &route()).unwrap();
    stage.settle();
    assert_eq!(split(&stage, &routing), [100, 0]);
    stage.pass(1);
    assert!(split(&stage, &routing).is_empty());
}
