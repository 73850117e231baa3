//! The description of the API (OpenAPI 3.1), made from the routes and the types of their answers.

use axum::Json;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::rollout::verbs::VERBS;
use crate::server::admit::Need;
use crate::server::problem::{PROBLEM_JSON, Problem};
use crate::server::routes::{Answer, ROUTES, Route};
use crate::server::wanted::{Details, LONGEST_KEY};

/// `GET /openapi.json`
pub(super) async fn document() -> Json<Value> {
    Json(description())
}

/// The description.
#[must_use]
pub fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut answers = settings.clone().for_serialize().into_generator();
    let mut bodies = settings.for_deserialize().into_generator();
    let problem = answers.subschema_for::<Problem>();
    let details = bodies.subschema_for::<Details>();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut answers, (&json!(problem), &json!(details)));
        paths.insert(route.path.to_owned(), json!({route.method: operation}));
    }
    let mut schemas = answers.take_definitions(true);
    schemas.extend(bodies.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Serin",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Releases that are tried on real traffic: what goes on, and what people ask for.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token that the API server of the cluster knows."}},
        },
    })
}

fn operation(
    route: &Route,
    answers: &mut SchemaGenerator,
    (problem, details): (&Value, &Value),
) -> Value {
    let mut responses = Map::new();
    let (status, description, content) = answer(route, answers);
    let good = json!({"description": description, "content": content});
    responses.insert(status.to_owned(), good);
    for (status, description) in failures(route) {
        let content = json!({PROBLEM_JSON: {"schema": problem}});
        let reply = json!({"description": description, "content": content});
        responses.insert(status.to_string(), reply);
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses,
    });
    if matches!(route.answer, Answer::Accepted(_)) {
        operation["requestBody"] =
            json!({"required": false, "content": {"application/json": {"schema": details}}});
    }
    operation["security"] = match route.need {
        Need::Nothing => json!([]),
        Need::Person => json!([{"token": []}]),
        // With --anonymous-reads, none is needed.
        Need::Reader | Need::List | Need::Get => json!([{"token": []}, {}]),
    };
    operation
}

fn answer(route: &Route, answers: &mut SchemaGenerator) -> (&'static str, &'static str, Value) {
    match route.answer {
        Answer::Text(media) => {
            let media = media.split(';').next().unwrap_or(media);
            ("200", "It.", json!({media: {}}))
        }
        Answer::Json(schema) => {
            let schema = schema(answers);
            (
                "200",
                "It.",
                json!({"application/json": {"schema": schema}}),
            )
        }
        Answer::Accepted(schema) => {
            let schema = schema(answers);
            let content = json!({"application/json": {"schema": schema}});
            (
                "202",
                "The request is written; the controller takes it within a second.",
                content,
            )
        }
        Answer::Events => {
            let what = "`list` with all Canaries at first, or `canary` with the one; then `canary` for each change, and `gone`.";
            let content = json!({"text/event-stream": {"schema": {"type": "string"}}});
            ("200", what, content)
        }
    }
}

/// What can be wrong with a request, by status.
fn failures(route: &Route) -> Vec<(u16, &'static str)> {
    let mut all = Vec::new();
    let asks = matches!(route.need, Need::List | Need::Get | Need::Person);
    if asks {
        all.push((400, "Something in path or query cannot be understood."));
    }
    if route.need != Need::Nothing {
        all.push((401, "Who asks is not known: no token, or a bad one."));
    }
    if asks {
        all.push((403, "A permission is missing; the detail says which."));
    }
    if matches!(route.need, Need::Get | Need::Person) || route.path.contains("{file}") {
        all.push((404, "It is not there."));
    }
    if route.need == Need::Person {
        all.push((408, "The body did not come in time."));
        all.push((409, "It does not fit now; `allowed` has what does."));
        all.push((413, "The body is too large."));
        all.push((415, "The body is no JSON."));
        all.push((422, "The body or a header cannot be used."));
    }
    if route.need != Need::Nothing || route.path == "/readyz" {
        all.push((
            503,
            "Not ready, too slow, or the API server does not answer.",
        ));
    }
    all
}

fn parameters(route: &Route) -> Vec<Value> {
    let parts = route.path.split(['{', '}']).skip(1).step_by(2);
    let mut all: Vec<Value> = parts
        .map(|name| {
            let mut schema = json!({"type": "string"});
            if name == "verb" {
                schema["enum"] = json!(VERBS);
            }
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    for (name, description) in route.query {
        let schema = json!({"type": "string"});
        all.push(
            json!({"name": name, "in": "query", "description": description, "schema": schema}),
        );
    }
    match route.answer {
        Answer::Events => all.push(json!({
            "name": "Last-Event-ID", "in": "header", "schema": {"type": "string"},
            "description": "The last event that was received: what came after it follows.",
        })),
        Answer::Accepted(_) => all.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
            "description": "Becomes the identity of the request: sent again, it is not done again.",
        })),
        Answer::Text(_) | Answer::Json(_) => {}
    }
    all
}
