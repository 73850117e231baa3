//! Tests of schemas: of our own definitions, and of what only others have.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sim::refusal::Cause;
use crate::sim::schema::Schema;

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn definition(file: &str) -> Schema {
    let definition = documents(&at(file)).swap_remove(0);
    Schema::read(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).unwrap()
}

fn said(causes: &[Cause]) -> String {
    let texts = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message));
    texts.collect::<Vec<_>>().join("\n")
}

fn checked(schema: &Schema, mut object: Value, old: Option<&Value>) -> String {
    let unknown = schema.prune(&mut object);
    schema.default(&mut object);
    let mut text = said(&schema.check(&object, old));
    for path in unknown {
        text.push_str(&format!("\nunknown field {path:?}"));
    }
    text
}

#[test]
fn broken_canaries_are_refused_as_they_say() {
    let schema = definition("crds/canaries.serin.dev.yaml");
    let mut files: Vec<_> = fs::read_dir(at("tests/broken"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut lines = text.lines();
        let refused = lines.next().unwrap().strip_prefix("# refused: ").unwrap();
        let by_server = lines.next() == Some("# by: apiserver");
        for canary in documents(&file)
            .into_iter()
            .filter(|object| object["kind"] == "Canary")
        {
            let found = checked(&schema, canary, None);
            if by_server {
                assert!(found.contains(refused), "{}: {found}", file.display());
            } else {
                assert_eq!(found, "", "{}", file.display());
            }
        }
    }
}

#[test]
fn good_objects_pass_and_are_completed() {
    let schemas = [
        ("Canary", definition("crds/canaries.serin.dev.yaml")),
        (
            "MetricTemplate",
            definition("crds/metrictemplates.serin.dev.yaml"),
        ),
    ];
    let mut seen = 0;
    let inputs = [
        "examples/tour.yaml",
        "tests/golden/router/gatewayapi/gateway/in.yaml",
        "tests/golden/router/gatewayapi/mesh/in.yaml",
        "tests/golden/router/gatewayapi/user_route/in.yaml",
        "tests/golden/router/kubernetes/switch/in.yaml",
        "tests/golden/router/none/worker/in.yaml",
    ];
    for object in inputs.iter().flat_map(|file| documents(&at(file))) {
        for (_, schema) in schemas.iter().filter(|(kind, _)| object["kind"] == *kind) {
            assert_eq!(checked(schema, object.clone(), None), "", "{object}");
            seen += 1;
        }
    }
    assert!(seen >= inputs.len(), "each has a Canary");
    let mut small = canary(&json!({"service": {"port": 80}}));
    schemas[0].1.default(&mut small);
    assert_eq!(small["spec"]["analysis"]["interval"], "1m");
    assert_eq!(small["spec"]["progressDeadlineSeconds"], 600);
    let again = small.clone();
    schemas[0].1.default(&mut small);
    assert_eq!(small, again, "once is enough");
}

fn canary(fields: &Value) -> Value {
    let mut spec =
        json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}});
    spec.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "labels": {"a": "b"}}, "spec": spec})
}

#[test]
fn what_a_canary_may_not_be_is_said_word_for_word() {
    let schema = definition("crds/canaries.serin.dev.yaml");
    for (fields, wanted) in [
        (
            json!({"provider": "traefix"}),
            "spec.provider: Unsupported value: \"traefix\": supported values: \"apisix\", ",
        ),
        (
            json!({"service": {"port": 80}, "historyLimit": -1}),
            "spec.historyLimit: Invalid value: -1: spec.historyLimit in body should be greater than or equal to 0",
        ),
        (
            json!({"service": {"port": 80}, "analysis": {"threshold": 1.5}}),
            "spec.analysis.threshold: Invalid value: \"double\": spec.analysis.threshold in body must be of type int64: \"double\"",
        ),
        (
            json!({"service": {"port": 80}, "analysis": {"interval": 90}}),
            "spec.analysis.interval: Invalid value: \"integer\": spec.analysis.interval in body must be of type string: \"integer\"",
        ),
        (
            json!({}),
            "spec: Invalid value: service is missing: write service.port, or provider: none for a workload without a Service",
        ),
        (
            json!({"service": {"port": 80}, "analysis": {"interval": "0s"}}),
            "spec.analysis.interval: Invalid value: \"0s\": analysis.interval must be a duration of at least 1s, for instance 90s, 5m or 1h30m",
        ),
        (
            json!({"service": {"port": 80}, "allow": ["Recreate", "Recreate"]}),
            "spec.allow[1]: Duplicate value: \"Recreate\"",
        ),
        (
            json!({"service": {"port": 80}, "analysis": {"comparison": {"falseRollback": 0.0}}}),
            "Invalid value: 0: spec.analysis.comparison.falseRollback in body should be greater than or equal to 1e-06",
        ),
        (
            json!({"service": {"port": 80, "portName": "x".repeat(100)}}),
            "spec.service.portName: Too long: may not be more than ",
        ),
        (
            json!({"service": {"port": 80}, "whatever": 1}),
            "unknown field \"spec.whatever\"",
        ),
    ] {
        let found = checked(&schema, canary(&fields), None);
        assert!(found.contains(wanted), "{found}\nwanted {wanted}");
    }
}

#[test]
fn rules_wait_until_the_form_is_right() {
    let schema = definition("crds/canaries.serin.dev.yaml");
    let found = checked(&schema, canary(&json!({"provider": "traefix"})), None);
    let rest = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; \
        correct the existing errors to complete validation";
    assert!(
        found.ends_with(rest) && !found.contains("service is missing"),
        "{found}"
    );
}

#[test]
fn a_change_is_judged_by_what_was_before() {
    let schema = definition("crds/canaries.serin.dev.yaml");
    let before = canary(&json!({"provider": "none"}));
    let mut after = before.clone();
    assert_eq!(checked(&schema, after.clone(), Some(&before)), "");
    after["spec"]["targetRef"]["name"] = json!("other");
    let found = checked(&schema, after, Some(&before));
    assert!(
        found.starts_with("spec.targetRef: Invalid value: targetRef cannot be changed"),
        "{found}"
    );
}

/// A schema with this spec.
fn with(spec: &Value) -> Schema {
    Schema::read(&json!({"type": "object", "properties": {"spec": spec}})).unwrap()
}

#[test]
fn unknown_fields_go_but_where_they_are_kept() {
    let schema = with(&json!({"type": "object", "properties": {
        "a": {"type": "string"},
        "kept": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"in": {"type": "object"}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
    }}));
    let mut object = json!({"kind": "X", "metadata": {"name": "x"}, "other": 1, "spec": {
        "a": "b", "c": "d", "kept": {"y": {"z": 1}, "in": {"y": 1}}, "map": {"m": {"x": 1, "y": 2}}, "list": [{"x": 1, "y": 2}],
        "pod": {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"y": 1}, "status": {}},
    }});
    let unknown = schema.prune(&mut object);
    assert_eq!(
        unknown,
        [
            "other",
            "spec.c",
            "spec.kept.in.y",
            "spec.list[0].y",
            "spec.map.m.y",
            "spec.pod.spec.y",
            "spec.pod.status",
        ]
    );
    assert_eq!(
        object,
        json!({"kind": "X", "metadata": {"name": "x"}, "spec": {
            "a": "b", "kept": {"y": {"z": 1}, "in": {}}, "map": {"m": {"x": 1}}, "list": [{"x": 1}],
            "pod": {"kind": "Pod", "metadata": {"name": "p"}, "spec": {}},
        }})
    );
}

#[test]
fn null_means_missing_unless_it_may_be() {
    let schema = with(&json!({"type": "object", "default": {}, "properties": {
        "a": {"type": "string", "default": "x"}, "b": {"type": "string", "nullable": true, "default": "x"},
        "c": {"type": "string"}, "d": {"type": "object", "default": {}, "properties": {"e": {"type": "integer", "default": 1}}},
    }}));
    let mut object = json!({"spec": {"a": null, "b": null, "c": null}});
    schema.default(&mut object);
    assert_eq!(
        object,
        json!({"spec": {"a": "x", "b": null, "d": {"e": 1}}})
    );
    let mut nothing = json!({});
    schema.default(&mut nothing);
    assert_eq!(
        nothing,
        json!({"spec": {"a": "x", "b": "x", "d": {"e": 1}}})
    );
}

/// A field of the spec, its value, and what is said of it.
const FORMS: &[(&str, &str, &str)] = &[
    ("port", r#""http""#, ""),
    ("port", r#"80"#, ""),
    (
        "port",
        r#"true"#,
        "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
    ),
    ("at", r#""2026-01-01T00:00:00Z""#, ""),
    (
        "at",
        r#""soon""#,
        "spec.at: Invalid value: \"soon\": spec.at in body must be of type date-time: \"soon\"",
    ),
    (
        "small",
        "5000000000",
        "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.small",
    ),
    ("small", r#"5.0"#, ""),
    (
        "share",
        r#"1"#,
        "spec.share: Invalid value: 1: spec.share in body should be less than 1",
    ),
    (
        "like",
        r#""b""#,
        "spec.like: Invalid value: \"b\": spec.like in body should be at least 2 chars long\nspec.like: Invalid value: \"b\": spec.like in body should match '^a+$'",
    ),
    (
        "few",
        r#"["a", "b"]"#,
        "spec.few: Too many: 2: must have at most 1 item",
    ),
    (
        "map",
        r#"[{"k": "a"}, {"k": "a"}]"#,
        "spec.map[1]: Duplicate value: {\"k\":\"a\"}",
    ),
    (
        "must",
        r#"null"#,
        "spec.must: Invalid value: \"null\": spec.must in body must be of type string: \"null\"",
    ),
    ("one", r#"{"a": 1}"#, ""),
    (
        "one",
        r#"{"a": 1, "b": 1}"#,
        "spec.one: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found more than one valid",
    ),
];

#[test]
fn forms_and_limits_are_checked() {
    let schema = with(
        &json!({"type": "object", "required": ["must"], "properties": {
            "must": {"type": "string"},
            "port": {"x-kubernetes-int-or-string": true},
            "at": {"type": "string", "format": "date-time"},
            "small": {"type": "integer", "format": "int32"},
            "share": {"type": "number", "exclusiveMaximum": true, "maximum": 1},
            "like": {"type": "string", "pattern": "^a+$", "minLength": 2},
            "few": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer",
                    "x-kubernetes-validations": [{"rule": "self >= oldSelf", "messageExpression": "'less than ' + string(oldSelf)"}]}}}},
            "one": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        }}),
    );
    let text =
        |fields: Value, old: Option<&Value>| said(&schema.check(&json!({"spec": fields}), old));
    for (field, value, wanted) in FORMS {
        let value: Value = serde_json::from_str(value).unwrap();
        let mut fields = json!({"must": "x"});
        fields[*field] = value;
        let found = text(fields, None);
        let first = found.split("\n<nil>: Invalid value: null").next().unwrap();
        assert_eq!(first, *wanted, "{field}");
    }
    assert!(text(json!({}), None).starts_with("spec.must: Required value\n"));
    let old = json!({"spec": {"map": [{"k": "b", "v": 1}, {"k": "a", "v": 5}]}});
    let now =
        json!({"must": "x", "map": [{"k": "a", "v": 2}, {"k": "b", "v": 2}, {"k": "c", "v": 0}]});
    assert_eq!(
        text(now, Some(&old)),
        "spec.map[0].v: Invalid value: 2: less than 5"
    );
}

#[test]
fn rules_say_where_and_why() {
    let rules = json!([
        {"rule": "self.a == 1", "fieldPath": ".a", "reason": "FieldValueForbidden", "message": "a is not 1"},
        {"rule": "self.missing", "message": "no such thing"},
        {"rule": "self.a < 'x'"},
        {"rule": "oldSelf.hasValue() || self.a > 1", "optionalOldSelf": true},
    ]);
    let schema = with(
        &json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-validations": rules}),
    );
    let found = said(&schema.check(&json!({"spec": {"a": 0}}), None));
    assert_eq!(
        found,
        "spec.a: Forbidden: a is not 1\n\
        spec: Invalid value: \"object\": no such key: missing evaluating rule: no such thing\n\
        spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or macro \
        signature for rule: self.a < 'x'\n\
        spec: Invalid value: failed rule: oldSelf.hasValue() || self.a > 1"
    );
    let old = json!({"spec": {}});
    assert!(!said(&schema.check(&json!({"spec": {"a": 0}}), Some(&old))).contains("failed rule"));
}

#[test]
fn a_schema_that_cannot_be_read_is_an_error() {
    for schema in [
        json!({"type": "string", "pattern": "("}),
        json!({"x-kubernetes-validations": [{"rule": "self +"}]}),
        json!({"properties": 1}),
    ] {
        assert!(Schema::read(&schema).is_err(), "{schema}");
    }
}
