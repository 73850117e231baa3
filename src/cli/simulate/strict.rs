//! Fields that nobody knows: the API server drops them and says nothing, and the author finds out much later.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::simulate::files::Manifest;
use crate::cli::simulate::problem::{Problem, meant};
use crate::crd::definition;
use crate::sim::schema::Schema;

/// What a manifest has that its kind does not.
#[must_use]
pub fn unknown_fields(manifest: &Manifest) -> Vec<Problem> {
    match (manifest.group(), manifest.kind()) {
        ("serin.dev", kind) => ours(manifest, kind),
        ("apps", "Deployment") => theirs::<Deployment>(manifest),
        ("", "Service") => theirs::<Service>(manifest),
        ("autoscaling", "HorizontalPodAutoscaler") => theirs::<HorizontalPodAutoscaler>(manifest),
        _ => Vec::new(),
    }
}

fn ours(manifest: &Manifest, kind: &str) -> Vec<Problem> {
    let definitions = definition::definitions();
    let Some(definition) = definitions.iter().find(|it| it.spec.names.kind == kind) else {
        return Vec::new();
    };
    let definition = json!(definition);
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let Ok(read) = Schema::read(schema) else {
        return Vec::new();
    };
    let unknown = read.prune(&mut manifest.object.clone());
    let problem = |path: &String| {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known = known(schema, parent);
        let message = match meant(name, known.iter().map(String::as_str)) {
            Some(other) => format!("is no field; did you mean {other}?"),
            None => format!("is no field of {parent}; known are {}", known.join(", ")),
        };
        manifest.problem(path, &message)
    };
    unknown.iter().map(problem).collect()
}

/// The names of the fields at a path.
fn known(schema: &Value, path: &str) -> Vec<String> {
    let mut at = schema;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, index) = part.split_once('[').unwrap_or((part, ""));
        at = &at["properties"][name];
        if !index.is_empty() {
            at = &at["items"];
        }
    }
    let fields = at["properties"].as_object();
    fields
        .into_iter()
        .flat_map(|it| it.keys().cloned())
        .collect()
}

fn theirs<T: DeserializeOwned + Serialize>(manifest: &Manifest) -> Vec<Problem> {
    match serde_json::from_value::<T>(manifest.object.clone()) {
        Err(error) => vec![manifest.problem("", &error.to_string())],
        Ok(read) => {
            let mut lost = Vec::new();
            compare(&manifest.object, &json!(read), "", &mut lost);
            let problem = |path: &String| {
                let message = format!("is no field of a {}", manifest.kind());
                manifest.problem(path, &message)
            };
            lost.iter().map(problem).collect()
        }
    }
}

/// The paths of what was written and not read.
fn compare(written: &Value, read: &Value, path: &str, lost: &mut Vec<String>) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (name, value) in written {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match read.get(name) {
                    Some(read) => compare(value, read, &path, lost),
                    None if is_empty(value) => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                compare(written, read, &format!("{path}[{index}]"), lost);
            }
        }
        _ => {}
    }
}

/// What says nothing may be left out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
