//! The description of the API.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

use super::{get, send, state};
use crate::server::openapi::description;
use crate::server::routes::ROUTES;

#[tokio::test]
async fn the_description_is_that_of_this_version() {
    let reply = get("/openapi.json").await;
    assert_eq!(reply.type_, "application/json");
    let text = format!("{:#}\n", reply.json());
    expect_test::expect_file!["../../../tests/golden/server/openapi.json"].assert_eq(&text);
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let whole = description();
    let mut named = BTreeSet::new();
    references(&whole, &mut named);
    let schemas = whole["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<_> = schemas.keys().cloned().collect();
    assert_eq!(named, known);
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let ("$ref", Some(path)) = (name.as_str(), value.as_str()) {
                    let name = path.strip_prefix("#/components/schemas/");
                    found.insert(name.unwrap_or(path).to_owned());
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_route_of_the_table_is_there() {
    for route in ROUTES {
        let path = route
            .path
            .replace("{namespace}", "shop")
            .replace("{name}", "web")
            .replace("{verb}", "abort")
            .replace("{file}", "app.js");
        let method: Method = route.method.to_uppercase().parse().unwrap();
        if path.ends_with("/events") {
            // Its body has no end; `following` reads it.
            continue;
        }
        let status = send(state(), method, &path).await.status.as_u16();
        let expected = if route.method == "post" { 401 } else { 200 };
        assert_eq!(status, expected, "{path}");
    }
}

#[tokio::test]
async fn answers_have_the_fields_that_are_described() {
    let whole = description();
    let required = |name: &str| -> Vec<String> {
        let list = &whole["components"]["schemas"][name]["required"];
        serde_json::from_value(list.clone()).unwrap()
    };
    for (path, name) in [
        ("/api/v1/canaries", "CanaryList"),
        ("/api/v1/namespaces/shop/canaries/web", "CanaryView"),
        ("/api/v1/namespaces/shop/canaries/web/timeline", "Timeline"),
        ("/api/v1/whoami", "WhoAmI"),
    ] {
        let reply = get(path).await.json();
        for field in required(name) {
            assert!(
                !reply[&field].is_null() || field == "user",
                "{path} lacks {field}"
            );
        }
        let known = &whole["components"]["schemas"][name]["properties"];
        for field in reply.as_object().unwrap().keys() {
            assert!(!known[field].is_null(), "{path}: {field} is not described");
        }
    }
}
