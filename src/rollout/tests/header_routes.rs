//! Steps that give the canary requests by what they say, and take them back.

use serde_json::{Value, json};

use crate::crd::status::Outcome;
use crate::rollout::observed::{Routes, TrafficKind};
use crate::rollout::steps::{freeze, header_routes};
use crate::rollout::tests::model::Model;

/// A step that gives the canary requests with a header.
fn begin(name: &str, value: &str) -> Value {
    json!({"setHeaderRoute": {"name": name, "match": [{"headerName": "x-group", "headerValue": {"exact": value}}]}})
}

/// A step that takes them back.
fn end(name: &str) -> Value {
    json!({"setHeaderRoute": {"name": name}})
}

fn staff_first() -> Value {
    json!({"interval": "10s", "steps": [
        begin("staff", "staff"), {"checks": 2}, {"setWeight": 20}, {"checks": 1}, end("staff"), {"setWeight": 50}, {"checks": 1}]})
}

/// A model of which one request in twenty has the header.
fn model(analysis: &Value) -> Model {
    let mut model = Model::adopted(analysis);
    model.matching = 0.05;
    model
}

#[test]
fn plans_name_header_routes_by_their_positions() {
    let plan = |steps: &Value| {
        let model = Model::new(&json!({"steps": steps}));
        let plan = freeze(&model.canary.spec.analysis, TrafficKind::Weighted);
        let steps = plan.iter().map(|step| {
            let headers = Vec::from(step.header_routes);
            format!("{} {headers:?} x{}", step.weight, step.checks)
        });
        steps.collect::<Vec<_>>().join(", ")
    };
    let rows = [
        (
            json!([begin("a", "1"), {"checks": 2}, {"setWeight": 10}, {"checks": 1}]),
            "0 [1] x2, 10 [1] x1",
        ),
        (
            json!([{"setWeight": 10}, begin("a", "1"), begin("b", "2"), {"checks": 1}, {"checks": 2}, end("a"), {"checks": 1}]),
            "10 [] x0, 10 [1] x0, 10 [1, 2] x1, 10 [1, 2] x2, 10 [2] x1",
        ),
        (
            json!([begin("a", "1"), {"checks": 1}, begin("a", "2"), {"checks": 1}, end("a"), {"setWeight": 100}]),
            "0 [1] x1, 0 [2] x1, 0 [] x0, 100 [] x0",
        ),
        (
            json!([begin("a", "1"), {"setMirror": 50}, {"pause": {}}, {"checks": 1}]),
            "0 [1] x0, 0 [1] x0, 0 [1] x1",
        ),
    ];
    for (steps, expected) in rows {
        assert_eq!(plan(&steps), expected, "{steps}");
    }
}

#[test]
fn the_descriptions_of_a_plan_are_listed_in_its_order() {
    let steps = json!([begin("a", "1"), end("a"), begin("b", "2"), begin("a", "3")]);
    let model = Model::new(&json!({"steps": steps}));
    let routes = header_routes(&model.canary.spec.analysis);
    let values = routes.iter().map(|route| {
        let exact = route.matches[0].header_value.exact.as_deref();
        (route.name.as_str(), exact.unwrap_or_default())
    });
    let values: Vec<_> = values.collect();
    assert_eq!(values, [("a", "1"), ("b", "2"), ("a", "3")]);
}

#[test]
fn requests_with_a_header_come_before_everybody_and_go_back_among_them() {
    let mut model = model(&staff_first());
    model.ship("v2");
    model.run();
    assert_eq!(
        model.routings(),
        [
            "Route(Routes { canary: Weight(0), headers: [1] })",
            "Route(Routes { canary: Weight(20), headers: [1] })",
            "Route(Routes { canary: Weight(20) })",
            "Route(Routes { canary: Weight(50) })",
            "Route(Routes { canary: Weight(0) })",
        ]
    );
    assert_eq!(model.status().history[0].outcome, Outcome::Promoted);
    assert!(!model.status().traffic.reaches_canary());
}

/// What is under way is what was asked for when it began.
#[test]
fn an_edit_of_the_steps_leaves_an_attempt_as_it_is() {
    let mut model = model(&staff_first());
    model.ship("v2");
    let stands = |model: &Model| model.status().traffic.beside;
    model.run_until(stands);
    let routes = model.status().header_routes;
    assert_eq!(routes.len(), 1);
    model.canary.spec.analysis.steps[0] =
        serde_json::from_value(begin("guests", "guest")).expect("it is a step");
    model.tick();
    assert_eq!(model.status().header_routes, routes);
    assert_eq!(
        model.seen.split.as_ref().unwrap().routes,
        Some(Routes::wanted(&model.status().traffic))
    );
    model.run();
    assert_eq!(model.status().history[0].outcome, Outcome::Promoted);
}

#[test]
fn an_abort_takes_them_back_at_once() {
    let mut model = model(&staff_first());
    model.ship("v2");
    model.run_until(|model: &Model| model.status().traffic.beside);
    model.ask("abort");
    model.tick();
    let split = model.seen.split.as_ref().unwrap();
    assert_eq!(split.routes, Some(Routes::default()));
}
