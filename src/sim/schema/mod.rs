//! What a CRD says of its objects: which fields there are, what they are when nobody sets them, and which values pass.

mod check;
mod compose;
mod lists;
mod rules;
mod said;
mod shape;

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::sim::cel::Expression;
use crate::sim::cel::pattern::pattern;
use crate::sim::refusal::Cause;

/// The schema of a version of a CRD, read once.
#[derive(Debug)]
pub struct Schema {
    root: Node,
}

impl Schema {
    /// Reads an `openAPIV3Schema`.
    ///
    /// # Errors
    /// Says what is wrong with it: a pattern or a rule that cannot be read, a field of the wrong type.
    pub fn read(schema: &Value) -> Result<Self, String> {
        let root = Node::deserialize(schema).map_err(|error| error.to_string())?;
        // The root has a type and metadata, like any object that is embedded.
        Ok(Self {
            root: Node {
                embedded: true,
                ..root
            },
        })
    }

    /// Takes out the fields that nobody knows, and returns their paths; under strict validation they are refused.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        shape::prune(&self.root, object)
    }

    /// Sets what has a default and is missing.
    pub fn default(&self, object: &mut Value) {
        shape::prune_nulls(&self.root, object);
        shape::default(&self.root, object);
    }

    /// What is wrong with an object; with the object before it, rules about changes are checked too.
    #[must_use]
    pub fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut found = Vec::new();
        check::check(&self.root, object, "", &mut found);
        lists::check(&self.root, object, "", &mut found);
        if found.iter().any(said::blocks) {
            found.push(said::not_all());
        } else {
            rules::check(&self.root, (object, old), "", &mut found);
        }
        found
    }
}

/// A schema within a schema.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Node {
    #[serde(rename = "type")]
    kind: Option<String>,
    format: String,
    nullable: bool,
    default: Option<Value>,
    #[serde(rename = "enum")]
    values: Vec<Value>,
    pattern: Option<Pattern>,
    properties: BTreeMap<String, Self>,
    additional_properties: Option<Additional>,
    items: Option<Box<Self>>,
    required: Vec<String>,
    #[serde(flatten)]
    limits: Limits,
    #[serde(flatten)]
    parts: Parts,
    #[serde(rename = "x-kubernetes-int-or-string")]
    int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    preserve: bool,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    embedded: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: String,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    list_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-validations")]
    rules: Vec<Rule>,
}

/// Limits of numbers, lengths and counts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limits {
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    min_properties: Option<usize>,
    max_properties: Option<usize>,
}

/// Schemas that a value has to match besides.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parts {
    all_of: Vec<Node>,
    any_of: Vec<Node>,
    one_of: Vec<Node>,
    not: Option<Box<Node>>,
}

/// What the fields without a name of their own are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Additional {
    /// Whether there may be any.
    May(bool),
    /// All of this schema.
    Are(Box<Node>),
}

impl Node {
    /// The schema of a field, if it has one.
    fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or_else(|| self.additional())
    }

    /// The schema of the fields without a name of their own.
    fn additional(&self) -> Option<&Self> {
        match &self.additional_properties {
            Some(Additional::Are(node)) => Some(node),
            _ => None,
        }
    }

    /// Whether a value is `null` where that means nothing.
    fn is_missing(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }
}

/// A rule in CEL.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    rule: Text,
    #[serde(default)]
    message: String,
    message_expression: Option<Text>,
    #[serde(default)]
    field_path: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    optional_old_self: bool,
}

/// An expression, read with the schema.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Text(Expression);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Expression::parse(&text)
            .map(Self)
            .map_err(|error| format!("compilation failed: {error}: {text}"))
    }
}

/// A pattern, as it is written and compiled.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pattern {
    text: String,
    regex: Regex,
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let regex = pattern(&text).map_err(|fault| fault.text().to_owned())?;
        Ok(Self { text, regex })
    }
}

#[cfg(test)]
mod tests;
