//! Changes to a generated schema, by paths such as `spec.analysis.steps[].pause`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::{Value, json};

use crate::crd::rules::{DURATION, DurationField, Rule};

/// Characters of a duration.
const DURATION_LENGTH: i64 = 32;

/// The part of a schema that describes the value at a path.
pub(super) fn at<'a>(root: &'a mut JSONSchemaProps, path: &str) -> Option<&'a mut JSONSchemaProps> {
    path.split('.').try_fold(root, child)
}

fn child<'a>(schema: &'a mut JSONSchemaProps, part: &str) -> Option<&'a mut JSONSchemaProps> {
    let properties = schema.properties.as_mut()?;
    let Some(list) = part.strip_suffix("[]") else {
        return properties.get_mut(part);
    };
    match properties.get_mut(list)?.items.as_mut()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// Changes the schema at a path; a test holds that every path in use exists.
pub(super) fn change(
    root: &mut JSONSchemaProps,
    path: &str,
    how: impl FnOnce(&mut JSONSchemaProps),
) {
    if let Some(schema) = at(root, path) {
        how(schema);
    }
}

/// A schema of one type, with a description.
pub(super) fn typed(type_: &str, description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some(type_.to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// A schema whose fields are another project's business: nothing in it is checked or dropped.
pub(super) fn open(type_: &str, description: &str) -> JSONSchemaProps {
    let anything = || JSONSchemaProps {
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..JSONSchemaProps::default()
    };
    let mut schema = typed(type_, description);
    match type_ {
        "object" => schema.x_kubernetes_preserve_unknown_fields = Some(true),
        "array" => {
            schema.items = Some(JSONSchemaPropsOrArray::Schema(Box::new(anything())));
            schema.max_items = Some(64);
        }
        _ => {}
    }
    schema
}

/// Puts an object of free shape at a path, with these of its fields described: name, type, description.
pub(super) fn open_object(root: &mut JSONSchemaProps, path: &str, fields: &[(&str, &str, &str)]) {
    let fields = fields
        .iter()
        .map(|(name, type_, description)| ((*name).to_owned(), open(type_, description)));
    change(root, path, |schema| {
        let description = schema.description.take().unwrap_or_default();
        let nullable = schema.nullable;
        *schema = open("object", &description);
        schema.description = Some(description).filter(|text| !text.is_empty());
        schema.nullable = nullable;
        schema.properties = Some(fields.collect())
            .filter(|fields: &std::collections::BTreeMap<_, _>| !fields.is_empty());
    });
}

/// Allows these values of a string and no others.
pub(super) fn choice(root: &mut JSONSchemaProps, path: &str, values: &[&str]) {
    change(root, path, |schema| {
        schema.enum_ = Some(values.iter().map(|value| JSON(json!(value))).collect())
    });
}

/// Forbids null where there is a list of values: the API server refuses it in any case, even where the list has it.
pub(super) fn not_null(schema: &mut JSONSchemaProps) {
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
        schema.nullable = None;
    }
}

/// Sets the default of a field.
pub(super) fn default(root: &mut JSONSchemaProps, path: &str, value: Value) {
    change(root, path, |schema| schema.default = Some(JSON(value)));
}

/// Demands these fields of an object.
pub(super) fn require(root: &mut JSONSchemaProps, path: &str, fields: &[&str]) {
    change(root, path, |schema| {
        schema.required = Some(fields.iter().map(|field| (*field).to_owned()).collect());
        for field in fields {
            let field = schema
                .properties
                .as_mut()
                .and_then(|fields| fields.get_mut(*field));
            if let Some(field) = field {
                field.default = None;
                field.min_length = Some(1);
            }
        }
    });
}

/// Makes a list one of distinct items: by the value of a field, or as a whole.
pub(super) fn distinct(root: &mut JSONSchemaProps, path: &str, by: Option<&str>) {
    change(root, path, |schema| {
        schema.x_kubernetes_list_type = Some(if by.is_some() { "map" } else { "set" }.to_owned());
        schema.x_kubernetes_list_map_keys = by.map(|key| vec![key.to_owned()]);
    });
}

/// Adds a rule.
pub(super) fn rule(root: &mut JSONSchemaProps, rule: &Rule) {
    change(root, rule.at, |schema| {
        schema
            .x_kubernetes_validations
            .get_or_insert_default()
            .push(ValidationRule {
                rule: rule.rule.to_owned(),
                message: Some(rule.message.to_owned()),
                ..ValidationRule::default()
            });
    });
}

/// Makes a string a duration of some least length.
pub(super) fn duration(root: &mut JSONSchemaProps, field: &DurationField) {
    let DurationField { at, least } = field;
    let name = at.trim_start_matches("spec.");
    change(root, at, |schema| {
        schema.max_length = Some(DURATION_LENGTH);
        schema.x_kubernetes_validations = Some(vec![ValidationRule {
            // What does not parse gets the one message too: the API server would report an error of the expression.
            rule: format!(
                "self.matches('{}') && duration(self) >= duration('{least}')",
                DURATION.replace('\\', r"\\")
            ),
            message: Some(format!(
                "{name} must be a duration of at least {least}, for instance 90s, 5m or 1h30m"
            )),
            ..ValidationRule::default()
        }]);
    });
}

/// Applies a change to a schema and to everything in it.
pub(super) fn everywhere(schema: &mut JSONSchemaProps, how: &impl Fn(&mut JSONSchemaProps)) {
    how(schema);
    for field in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        everywhere(field, how);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut schema.items {
        everywhere(item, how);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        everywhere(values, how);
    }
}
