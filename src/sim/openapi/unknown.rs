//! Fields that a kind does not have.

use serde_json::{Map, Value};

use crate::sim::kinds::Served;
use crate::sim::openapi::built_in;

/// Takes out the fields of an object that its kind does not have, and returns their paths.
pub(crate) fn strip(kind: &Served, object: &mut Value) -> Vec<String> {
    let mut looking = Looking {
        definitions: &built_in::all().definitions,
        found: Vec::new(),
    };
    if let Some(definition) = &kind.definition {
        let versions = definition["spec"]["versions"].as_array();
        let mut versions = versions.into_iter().flatten();
        if let Some(version) = versions.find(|one| one["name"] == kind.version.as_str()) {
            looking.custom(&version["schema"]["openAPIV3Schema"], object);
        }
        return looking.found;
    }
    let kinds = &built_in::all().kinds;
    let name = kinds.get(&(kind.group.clone(), kind.kind.clone()));
    if let Some(schema) = name.and_then(|name| looking.definitions.get(name)) {
        looking.look(schema, object, "");
    }
    looking.found
}

struct Looking {
    definitions: &'static Map<String, Value>,
    found: Vec<String>,
}

impl Looking {
    /// What is at the top of every object is known, whatever its schema says; its metadata are those of all kinds.
    fn custom(&mut self, schema: &Value, object: &mut Value) {
        let known = ["apiVersion", "kind", "metadata"];
        let apart = object.as_object_mut().map(|fields| {
            let taken = known.map(|field| fields.remove_entry(field));
            taken.into_iter().flatten().collect::<Vec<_>>()
        });
        self.look(schema, object, "");
        if let Some(fields) = object.as_object_mut() {
            fields.extend(apart.into_iter().flatten());
        }
        let metadata = self.definitions.get(super::METADATA);
        if let (Some(metadata), Some(value)) = (metadata, object.get_mut("metadata")) {
            self.look(metadata, value, "metadata");
        }
    }

    fn look(&mut self, schema: &Value, value: &mut Value, path: &str) {
        if let Some(schema) = built_in::referred(schema).and_then(|name| self.definitions.get(name))
        {
            return self.look(schema, value, path);
        }
        match value {
            Value::Object(fields) => self.fields(schema, fields, path),
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.look(&schema["items"], item, &format!("{path}[{at}]"));
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, schema: &Value, fields: &mut Map<String, Value>, path: &str) {
        let any = &schema["additionalProperties"];
        let Some(known) = schema["properties"].as_object() else {
            for (name, value) in fields.iter_mut().filter(|_| any.is_object()) {
                self.look(any, value, &below(path, name));
            }
            return;
        };
        let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true || any == true;
        fields.retain(|name, value| {
            let path = below(path, name);
            match known.get(name) {
                Some(schema) => self.look(schema, value, &path),
                None if keeps => {}
                None => self.found.push(path),
            }
            known.contains_key(name) || keeps
        });
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
