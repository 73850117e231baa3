//! The shape of a kind, read from its CRD.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::sim::kinds::Served;
use crate::sim::shape::{Field, Holds, KnownBy, Listed, Node, Presence, Shape};

pub(super) fn read(crd: &Value, served: &Served) -> Shape {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    let version = versions
        .into_iter()
        .find(|version| version["name"] == served.version);
    let schema = version.map_or(
        &Value::Null,
        |version| &version["schema"]["openAPIV3Schema"],
    );
    let mut root = node(schema);
    if let Holds::Fields { listed, .. } = &mut root.holds {
        listed.insert("metadata".to_owned(), metadata());
    }
    Shape {
        status: served.status,
        ..Shape::new(&served.kind, Arc::new(root))
    }
}

/// Metadata are what they are everywhere.
fn metadata() -> Field {
    let any = Shape::built_in("", "ConfigMap");
    Field {
        node: Arc::new(any.root().child("metadata").0.clone()),
        presence: Presence::Given,
    }
}

fn node(schema: &Value) -> Node {
    let is_list = schema["type"] == "array";
    let holds = if is_list {
        Holds::List(Arc::new(list(schema)))
    } else {
        object(schema)
    };
    Node {
        atomic: schema["x-kubernetes-map-type"] == "atomic",
        replaced: false,
        holds,
    }
}

fn object(schema: &Value) -> Holds {
    let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if let Some(item) = schema
        .get("additionalProperties")
        .filter(|item| item.is_object())
    {
        return Holds::Map(Arc::new(node(item)));
    }
    match schema["properties"].as_object() {
        Some(properties) => Holds::Fields {
            listed: properties.iter().map(field).collect::<BTreeMap<_, _>>(),
            free,
        },
        None if free => Holds::Free,
        None => Holds::Plain,
    }
}

fn field((name, schema): (&String, &Value)) -> (String, Field) {
    let field = Field {
        node: Arc::new(node(schema)),
        presence: Presence::Given,
    };
    (name.clone(), field)
}

fn list(schema: &Value) -> Listed {
    let items = &schema["items"];
    let known_by = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => KnownBy::Value,
        Some("map") => KnownBy::Keys(keys(schema)),
        _ => KnownBy::Nothing,
    };
    Listed {
        known_by,
        merged_by: None,
        item: Arc::new(node(items)),
    }
}

fn keys(schema: &Value) -> Vec<(String, Option<Value>)> {
    let names = schema["x-kubernetes-list-map-keys"].as_array();
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    let default = |name: &str| schema["items"]["properties"][name].get("default").cloned();
    names.map(|name| (name.to_owned(), default(name))).collect()
}
