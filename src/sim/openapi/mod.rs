//! Documents of OpenAPI: what fields the kinds have, for `kubectl explain`, for the patches that kubectl makes, and to find
//! fields that a kind does not have.

mod built_in;
mod unknown;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::sim::api::Api;
use crate::sim::kinds::Served;
use crate::sim::seed;

pub(crate) use unknown::strip;

/// What a patch may be, of kinds with types and of those of CRDs.
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The index, or the document of one version of a group.
pub(crate) fn answer(api: &Api, path: &str) -> Option<Value> {
    let rest = path.strip_prefix("/openapi/v3")?;
    let kinds = api.kinds();
    let names: BTreeSet<String> = kinds.iter().map(|kind| place(kind)).collect();
    if rest.is_empty() {
        let entries = names.iter().map(|name| (name.clone(), entry(name, &kinds)));
        return Some(json!({"paths": entries.collect::<Map<_, _>>()}));
    }
    let wanted = rest.trim_start_matches('/');
    names.contains(wanted).then(|| document(wanted, &kinds))
}

/// `api/v1`, or `apis/apps/v1`.
fn place(kind: &Served) -> String {
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", kind.api_version())
}

/// Clients keep a document for as long as it has the same hash.
fn entry(name: &str, kinds: &[Arc<Served>]) -> Value {
    let own = kinds.iter().filter(|kind| place(kind) == name);
    let text: String = own
        .map(|kind| {
            let definition = kind.definition.as_ref().map(|it| it["spec"].to_string());
            format!("{}{}", kind.kind, definition.unwrap_or_default())
        })
        .collect();
    let hash = seed::digest(&text);
    json!({"serverRelativeURL": format!("/openapi/v3/{name}?hash={hash:016X}")})
}

fn document(name: &str, kinds: &[Arc<Served>]) -> Value {
    let (mut schemas, mut paths) = (Map::new(), Map::new());
    for kind in kinds.iter().filter(|kind| place(kind) == name) {
        let type_ = schema_of(kind, &mut schemas);
        paths.insert(path(kind), operations(kind, &type_));
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": paths, "components": {"schemas": schemas},
    })
}

/// The name of a kind's type, which is put among the schemas with all that it refers to.
fn schema_of(kind: &Served, schemas: &mut Map<String, Value>) -> String {
    let types = built_in::all();
    if let Some(name) = types.kinds.get(&(kind.group.clone(), kind.kind.clone())) {
        reach(name, schemas);
        return name.clone();
    }
    let mut parts: Vec<_> = kind.group.split('.').collect();
    parts.reverse();
    let name = format!("{}.{}.{}", parts.join("."), kind.version, kind.kind);
    schemas.insert(name.clone(), own_schema(kind));
    reach(METADATA, schemas);
    name
}

const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema of a kind of a CRD; of others nothing is known but what all kinds have.
fn own_schema(kind: &Served) -> Value {
    let versions = kind.definition.as_ref();
    let versions = versions.and_then(|it| it["spec"]["versions"].as_array());
    let version =
        versions.and_then(|all| all.iter().find(|one| one["name"] == kind.version.as_str()));
    let mut schema = match version {
        Some(version) => version["schema"]["openAPIV3Schema"].clone(),
        None => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"spec": free(), "status": free()}}),
    };
    if schema["properties"].is_null() {
        schema["properties"] = json!({});
    }
    let text = |words: &str| json!({"type": "string", "description": words});
    schema["properties"]["apiVersion"] = text("Version of the schema of this object.");
    schema["properties"]["kind"] = text("Kind of this object.");
    schema["properties"]["metadata"] = json!({
        "description": "Standard metadata of an object.", "allOf": [{"$ref": format!("{}{METADATA}", built_in::PLACE)}],
    });
    schema["x-kubernetes-group-version-kind"] =
        json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
    schema
}

fn free() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Puts a type, and those that it refers to, among the schemas.
fn reach(name: &str, schemas: &mut Map<String, Value>) {
    let Some(definition) = built_in::all().definitions.get(name) else {
        return;
    };
    if schemas.contains_key(name) {
        return;
    }
    schemas.insert(name.to_owned(), definition.clone());
    let mut references = Vec::new();
    collect(definition, &mut references);
    for name in references {
        reach(&name, schemas);
    }
}

fn collect(schema: &Value, into: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|it| it.strip_prefix(built_in::PLACE));
            into.extend(name.map(str::to_owned));
            fields.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}

fn path(kind: &Served) -> String {
    let space = if kind.namespaced {
        "namespaces/{namespace}/"
    } else {
        ""
    };
    format!("/{}/{space}{}/{{name}}", place(kind), kind.plural)
}

fn operations(kind: &Served, type_: &str) -> Value {
    let what = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let schema = json!({"$ref": format!("{}{type_}", built_in::PLACE)});
    let ok =
        json!({"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}});
    let names = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let parameters: Vec<_> = names
        .iter()
        .map(|name| {
            let type_ = if *name == "force" {
                "boolean"
            } else {
                "string"
            };
            json!({"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": true}})
        })
        .collect();
    // Only kinds with types of Go know how their lists are merged.
    let count = if typed(kind) { 4 } else { 3 };
    let content: Map<_, _> = PATCHES
        .iter()
        .take(count)
        .map(|patch| ((*patch).to_owned(), json!({"schema": {"type": "object"}})))
        .collect();
    json!({
        "get": {"x-kubernetes-action": "get", "x-kubernetes-group-version-kind": what, "responses": ok},
        "put": {
            "x-kubernetes-action": "put", "x-kubernetes-group-version-kind": what, "parameters": parameters,
            "requestBody": {"required": true, "content": {"*/*": {"schema": schema}}}, "responses": ok,
        },
        "patch": {
            "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": what, "parameters": parameters,
            "requestBody": {"required": true, "content": content}, "responses": ok,
        },
    })
}

/// Whether a kind has types of Go behind it.
pub(crate) fn typed(kind: &Served) -> bool {
    kind.definition.is_none() && kind.group != "gateway.networking.k8s.io"
}

#[cfg(test)]
mod tests;
