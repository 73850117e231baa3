//! What the documents say.

use super::*;
use crate::clock::Clock;
use crate::sim::kinds;

fn get(path: &str) -> Value {
    answer(&Api::new(Clock::simulated()), path).unwrap()
}

#[test]
fn every_kind_has_a_document_with_its_type_and_its_patches() {
    let index = get("/openapi/v3");
    for kind in kinds::built_in() {
        let place = place(&kind);
        assert!(index["paths"][&place].is_object(), "{place}");
        let document = get(&format!("/openapi/v3/{place}"));
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let is_it = |schema: &&Value| {
            schema["x-kubernetes-group-version-kind"][0]["kind"] == kind.kind.as_str()
        };
        assert_eq!(
            schemas.values().filter(is_it).count(),
            1,
            "{place} {}",
            kind.kind
        );
        let patch = &document["paths"][path(&kind)]["patch"];
        let patches = &patch["requestBody"]["content"];
        assert_eq!(
            patches[PATCHES[3]].is_object(),
            typed(&kind),
            "{}",
            kind.kind
        );
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(
            references.iter().all(|name| schemas.contains_key(name)),
            "a type is missing in {place}"
        );
    }
}

#[test]
fn lists_say_how_they_are_merged() {
    let document = get("/openapi/v3/apis/apps/v1");
    let field = |type_: &str, name: &str| {
        document["components"]["schemas"][format!("io.k8s.api.{type_}")]["properties"][name].clone()
    };
    let containers = field("core.v1.PodSpec", "containers");
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    let strategy = field("apps.v1.DeploymentSpec", "strategy");
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    let ports = field("core.v1.Container", "ports");
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    let command = field("core.v1.Container", "command");
    assert_eq!(command["x-kubernetes-list-type"], "atomic");
}

#[test]
fn fields_that_a_kind_does_not_have_are_found() {
    let all = kinds::built_in();
    let kind = |plural: &str| {
        all.iter()
            .find(|kind| kind.plural == plural)
            .unwrap()
            .clone()
    };
    let mut custom = kind("configmaps");
    custom.definition = Some(Arc::new(
        json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
        "type": "object", "properties": {"spec": {"type": "object", "properties": {
            "known": {"type": "string"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
        }}}}}}]}}),
    ));
    for (kind, mut object, want) in [
        (
            kind("deployments"),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"any": "x"}, "label": {}},
                "spec": {"replica": 1, "template": {"spec": {"containers": [{"name": "a"}, {"imagee": "x"}]}}}}),
            vec![
                "metadata.label",
                "spec.replica",
                "spec.template.spec.containers[1].imagee",
            ],
        ),
        (
            kind("configmaps"),
            json!({"data": {"any": "x"}, "dat": 1}),
            vec!["dat"],
        ),
        (
            kind("httproutes"),
            json!({"spec": {"any": {"thing": 1}}}),
            vec![],
        ),
        (
            custom,
            json!({"metadata": {"name": "x", "nam": "y"}, "kind": "X", "other": 1, "spec": {
                "known": "x", "unknown": 1, "free": {"any": 1}, "map": {"k": {"a": 1, "b": 2}}}}),
            vec!["other", "spec.map.k.b", "spec.unknown", "metadata.nam"],
        ),
    ] {
        let mut found = strip(&kind, &mut object);
        let mut want: Vec<String> = want.into_iter().map(str::to_owned).collect();
        found.sort();
        want.sort();
        assert_eq!(found, want, "{}", kind.kind);
        assert!(strip(&kind, &mut object).is_empty(), "{object}");
    }
}
