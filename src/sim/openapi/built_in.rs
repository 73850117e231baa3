//! The types of the built-in kinds, as the crate `k8s-openapi` has them, in the words of the API server's documents.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::Resource;
use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
    coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
    events::v1 as events, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::sim::kinds;
use crate::sim::shape::{Holds, KnownBy, Listed, Node, Shape};

/// Where definitions stand in a document.
pub(super) const PLACE: &str = "#/components/schemas/";

/// All types, and which of them are kinds.
pub(super) struct Types {
    pub(super) definitions: Map<String, Value>,
    /// Group and kind, and the name of the type.
    pub(super) kinds: BTreeMap<(String, String), String>,
}

static ALL: LazyLock<Types> = LazyLock::new(read);

/// The types; made once.
pub(super) fn all() -> &'static Types {
    &ALL
}

struct Reading {
    generator: SchemaGenerator,
    kinds: BTreeMap<(String, String), String>,
}

impl Reading {
    fn add<T: JsonSchema + Resource>(&mut self) {
        self.generator.subschema_for::<T>();
        let kind = (T::GROUP.to_owned(), T::KIND.to_owned());
        self.kinds.insert(kind, T::schema_name().into_owned());
    }

    fn add_all(&mut self) {
        self.add::<core::Namespace>();
        self.add::<core::Node>();
        self.add::<core::Pod>();
        self.add::<core::Service>();
        self.add::<core::ConfigMap>();
        self.add::<core::Secret>();
        self.add::<core::ServiceAccount>();
        self.add::<core::Event>();
        self.add::<events::Event>();
        self.add::<apps::Deployment>();
        self.add::<apps::ReplicaSet>();
        self.add::<apps::ControllerRevision>();
        self.add::<autoscaling::HorizontalPodAutoscaler>();
        self.add::<policy::PodDisruptionBudget>();
        self.add::<networking::NetworkPolicy>();
        self.add::<discovery::EndpointSlice>();
        self.add::<coordination::Lease>();
        self.add::<rbac::Role>();
        self.add::<rbac::RoleBinding>();
        self.add::<rbac::ClusterRole>();
        self.add::<rbac::ClusterRoleBinding>();
        self.add::<admission::MutatingWebhookConfiguration>();
        self.add::<admission::MutatingAdmissionPolicy>();
        self.add::<admission::MutatingAdmissionPolicyBinding>();
        self.add::<admission::ValidatingAdmissionPolicy>();
        self.add::<admission::ValidatingAdmissionPolicyBinding>();
        self.add::<extensions::CustomResourceDefinition>();
    }
}

fn read() -> Types {
    let settings = SchemaSettings::openapi3().with(|settings| settings.transforms.clear());
    let mut reading = Reading {
        generator: settings.into_generator(),
        kinds: BTreeMap::new(),
    };
    reading.add_all();
    let mut definitions = reading.generator.take_definitions(false);
    definitions.values_mut().for_each(tidy);
    for kind in kinds::built_in() {
        let name = (kind.group.clone(), kind.kind.clone());
        let Some(type_) = reading.kinds.get(&name) else {
            continue;
        };
        mark(
            &mut definitions,
            type_,
            Shape::built_in(&kind.group, &kind.kind).root(),
        );
        if let Some(definition) = definitions.get_mut(type_) {
            definition["x-kubernetes-group-version-kind"] =
                json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
        }
    }
    Types {
        definitions,
        kinds: reading.kinds,
    }
}

/// A reference with words beside it becomes the only part of a whole, and a number or text is said to be either.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy);
            if fields.len() > 1 && fields.get("$ref").is_some_and(Value::is_string) {
                let reference = fields.remove("$ref");
                fields.insert("allOf".to_owned(), json!([{"$ref": reference}]));
            }
            // A schema of schemas has a field of this name too.
            let either = "x-kubernetes-int-or-string";
            if fields.get(either) == Some(&Value::Bool(true)) {
                fields.remove(either);
                fields.insert("format".to_owned(), json!("int-or-string"));
                fields.insert(
                    "oneOf".to_owned(),
                    json!([{"type": "integer"}, {"type": "string"}]),
                );
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The type that a schema refers to.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    let reference = schema["$ref"]
        .as_str()
        .or(schema["allOf"][0]["$ref"].as_str());
    reference.and_then(|reference| reference.strip_prefix(PLACE))
}

/// Writes on a type, and on those below it, what its lists and maps mean. A type has one meaning wherever it stands.
fn mark(definitions: &mut Map<String, Value>, type_: &str, node: &Node) {
    let Some(definition) = definitions.get_mut(type_) else {
        return;
    };
    let marked = "x-marked";
    if definition.get(marked).is_some() || !matches!(node.holds, Holds::Fields { .. }) {
        return;
    }
    definition[marked] = json!(true);
    let Some(properties) = definition["properties"].as_object_mut() else {
        return;
    };
    let mut below = Vec::new();
    for (name, schema) in properties {
        let child = node.child(name).0;
        extend(schema, child, (type_, name));
        let part = match &child.holds {
            Holds::List(listed) => (&schema["items"], &*listed.item),
            Holds::Map(item) => (&schema["additionalProperties"], &**item),
            _ => (&*schema, child),
        };
        below.extend(referred(part.0).map(|type_| (type_.to_owned(), part.1.clone())));
    }
    for (type_, node) in below {
        mark(definitions, &type_, &node);
    }
    if let Some(definition) = definitions.get_mut(type_).and_then(Value::as_object_mut) {
        definition.remove(marked);
    }
}

fn extend(schema: &mut Value, node: &Node, place: (&str, &str)) {
    if let Holds::List(listed) = &node.holds {
        list(schema, listed);
    } else if node.atomic {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    // A field whose type decides which others there may be: those that are not in a patch go.
    let strategy = match place {
        ("io.k8s.api.apps.v1.DeploymentSpec", "strategy") => "retainKeys",
        ("io.k8s.api.core.v1.PodSpec", "volumes") => "merge,retainKeys",
        _ if node.replaced => "replace",
        _ => return,
    };
    schema["x-kubernetes-patch-strategy"] = json!(strategy);
}

fn list(schema: &mut Value, listed: &Listed) {
    schema["x-kubernetes-list-type"] = match &listed.known_by {
        KnownBy::Nothing => json!("atomic"),
        KnownBy::Value => json!("set"),
        KnownBy::Keys(keys) => {
            let names: Vec<_> = keys.iter().map(|(name, _)| name).collect();
            schema["x-kubernetes-list-map-keys"] = json!(names);
            json!("map")
        }
    };
    if let Some(key) = &listed.merged_by {
        schema["x-kubernetes-patch-strategy"] = json!("merge");
        if let Some(key) = key {
            schema["x-kubernetes-patch-merge-key"] = json!(key);
        }
    }
}
