//! The CustomResourceDefinitions as a cluster gets them, and as `serin crd` prints them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::crd::alert_provider::AlertProvider;
use crate::crd::canary::Canary;
use crate::crd::metric_template::MetricTemplate;
use crate::crd::{rules, schema};

/// A column of `kubectl get`: name, type, path, and 1 if only `-o wide` shows it.
type Column = (&'static str, &'static str, &'static str, i32);

/// How old an object is.
const AGE: Column = ("Age", "date", ".metadata.creationTimestamp", 0);

/// The columns of a Canary.
const CANARY_COLUMNS: [Column; 6] = [
    ("Phase", "string", ".status.phase", 0),
    ("Weight", "integer", ".status.canaryWeight", 0),
    ("Step", "string", ".status.progress", 0),
    ("Candidate", "string", ".status.candidate.images[0]", 0),
    ("Message", "string", ".status.message", 1),
    AGE,
];

/// Fields of Flagger's `service` whose behaviour comes later. They are in the schema, or the API server would drop them
/// without a word before they can be refused.
pub(super) const SERVICE_LATER: [(&str, &str, &str); 14] = [
    (
        "backendTimeout",
        "string",
        "Timeout of a request to a backend",
    ),
    ("backends", "array", "Backends of App Mesh"),
    ("corsPolicy", "object", "Cross-origin requests"),
    (
        "headers",
        "object",
        "Headers that the generated route changes",
    ),
    (
        "headless",
        "boolean",
        "Services without an address of their own",
    ),
    ("match", "array", "Conditions of the generated route"),
    ("meshName", "string", "Mesh of App Mesh"),
    (
        "mirror",
        "array",
        "Copies of requests in the generated route",
    ),
    (
        "primary",
        "object",
        "Labels and annotations of the Service of stable",
    ),
    ("retries", "object", "Retries in the generated route"),
    (
        "rewrite",
        "object",
        "Rewriting of paths in the generated route",
    ),
    (
        "trafficDistribution",
        "string",
        "Preference for near endpoints",
    ),
    ("trafficPolicy", "object", "Istio's policy for the backends"),
    (
        "unmanagedMetadata",
        "object",
        "Labels and annotations that are left to others",
    ),
];

/// Every definition of this version.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![canary(), metric_template(), alert_provider()]
}

/// The same as one YAML text, a document each.
#[must_use]
pub fn yaml() -> String {
    documents().join("---\n")
}

/// Each definition as a YAML document, in the order of [`definitions`].
pub(super) fn documents() -> Vec<String> {
    definitions().iter().map(document).collect()
}

/// One definition as YAML.
fn document(definition: &CustomResourceDefinition) -> String {
    let mut value = json!(definition);
    whole_numbers(&mut value);
    serde_saphyr::to_string(&value).expect("a definition is plain data")
}

/// Schemas hold their limits as floating-point numbers; a person reads `100`, not `100.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            // Limits are far below 2^53, where every whole number has a double of its own.
            if let Some(whole) = whole.filter(|number| number.abs() < 9e15) {
                *value = json!(whole as i64);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn canary() -> CustomResourceDefinition {
    refined(Canary::crd(), &CANARY_COLUMNS, |root| {
        schema::choice(root, "spec.provider", &rules::PROVIDERS);
        schema::require(root, "spec.targetRef", &["apiVersion", "kind", "name"]);
        schema::require(root, "spec.service.gatewayRefs[]", &["name"]);
        schema::default(root, "spec.analysis", json!({}));
        schema::default(root, "spec.analysis.interval", json!("1m"));
        schema::default(root, "spec.canary", json!({}));
        schema::distinct(root, "spec.allow", None);
        schema::distinct(root, "spec.analysis.metrics", Some("name"));
        schema::distinct(root, "spec.analysis.webhooks", Some("name"));
        schema::distinct(root, "status.conditions", Some("type"));
        later(root);
        rules::DURATIONS
            .iter()
            .for_each(|field| schema::duration(root, field));
        rules::CANARY
            .iter()
            .for_each(|rule| schema::rule(root, rule));
        schema::change(root, "status", |status| {
            schema::everywhere(status, &lenient)
        });
    })
}

fn metric_template() -> CustomResourceDefinition {
    let columns = [("Provider", "string", ".spec.provider.type", 0), AGE];
    refined(MetricTemplate::crd(), &columns, |root| {
        schema::choice(root, "spec.provider.type", &rules::METRIC_SERVERS);
        rules::METRIC_TEMPLATE
            .iter()
            .for_each(|rule| schema::rule(root, rule));
    })
}

fn alert_provider() -> CustomResourceDefinition {
    refined(
        AlertProvider::crd(),
        &[("Type", "string", ".spec.type", 0), AGE],
        |root| {
            rules::ALERT_PROVIDER
                .iter()
                .for_each(|rule| schema::rule(root, rule));
        },
    )
}

/// A generated definition with columns, and with changes to its schema, in the number formats that an API server knows.
fn refined(
    mut definition: CustomResourceDefinition,
    columns: &[Column],
    how: impl Fn(&mut JSONSchemaProps),
) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        version.additional_printer_columns = Some(columns.iter().map(column).collect());
        let schema = version.schema.as_mut();
        if let Some(root) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            how(root);
            schema::everywhere(root, &signed);
            schema::everywhere(root, &schema::not_null);
        }
    }
    definition
}

fn column((name, type_, path, priority): &Column) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: (*name).to_owned(),
        type_: (*type_).to_owned(),
        json_path: (*path).to_owned(),
        priority: Some(*priority).filter(|priority| *priority > 0),
        ..CustomResourceColumnDefinition::default()
    }
}

/// Kubernetes knows no unsigned formats; the minimum 0 says the same.
fn signed(schema: &mut JSONSchemaProps) {
    let format = match schema.format.as_deref() {
        Some("uint8" | "uint16" | "int8" | "int16") => "int32",
        Some("uint" | "uint32" | "uint64" | "int") => "int64",
        _ => return,
    };
    schema.format = Some(format.to_owned());
}

/// The status is ours: nothing may keep Serin from writing it, and a field that an older definition does not list is kept
/// when the controller is upgraded before the definitions are.
fn lenient(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.maximum = None;
    if schema.properties.is_some() {
        schema.x_kubernetes_preserve_unknown_fields = Some(true);
    }
}

/// The fields whose shape is another project's business, and whose behaviour comes later.
fn later(root: &mut JSONSchemaProps) {
    schema::change(root, "spec.service", |service| {
        let fields = service.properties.get_or_insert_default();
        for (name, type_, what) in SERVICE_LATER {
            let description = format!("{what}. Comes later; set, it is refused.");
            fields.insert(name.to_owned(), schema::open(type_, &description));
        }
    });
    schema::open_object(root, "spec.analysis.match[]", &[]);
}
