//! A policy, read once.

use serde_json::Value;

use crate::sim::cel::Expression;
use crate::sim::refusal::Cause;

/// How a mutation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    JsonPatch,
    ApplyConfiguration,
}

/// What must hold, and what is said if it does not.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: Expression,
    pub(super) message: String,
    pub(super) message_expression: Option<Expression>,
    pub(super) reason: String,
}

/// A mutating or a validating policy.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) conditions: Vec<Expression>,
    pub(super) variables: Vec<(String, Expression)>,
    pub(super) mutations: Vec<(Form, Expression)>,
    pub(super) validations: Vec<Validation>,
    /// Failures count as consent.
    pub(super) fails_open: bool,
    /// It is asked again if others changed the object after it.
    pub(super) is_reinvoked: bool,
    /// What cannot be read of it.
    pub(super) wrong: Vec<Cause>,
}

/// What expressions can name, and after that what is a type and no value.
const NAMES: [&str; 7] = [
    "object",
    "oldObject",
    "request",
    "params",
    "namespaceObject",
    "authorizer",
    "variables",
];
const TYPES: [&str; 10] = [
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

impl Policy {
    /// Reads the object of a policy. What cannot be read is in `wrong`.
    pub(super) fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        let mut policy = Self {
            fails_open: spec["failurePolicy"] == "Ignore",
            is_reinvoked: spec["reinvocationPolicy"] == "IfNeeded",
            ..Self::default()
        };
        for (at, variable) in entries(spec, "variables") {
            let expression = policy.expression(&at, &variable["expression"]);
            policy
                .variables
                .extend(expression.map(|expression| (text(&variable["name"]), expression)));
        }
        for (at, condition) in entries(spec, "matchConditions") {
            let expression = policy.expression(&at, &condition["expression"]);
            policy.conditions.extend(expression);
        }
        for (at, mutation) in entries(spec, "mutations") {
            policy.read_mutation(&at, mutation);
        }
        for (at, validation) in entries(spec, "validations") {
            policy.read_validation(&at, validation);
        }
        policy
    }

    fn read_mutation(&mut self, at: &str, mutation: &Value) {
        let (form, field) = match mutation["patchType"].as_str() {
            Some("ApplyConfiguration") => (Form::ApplyConfiguration, "applyConfiguration"),
            _ => (Form::JsonPatch, "jsonPatch"),
        };
        let expression = self.expression(&format!("{at}.{field}"), &mutation[field]["expression"]);
        self.mutations
            .extend(expression.map(|expression| (form, expression)));
    }

    fn read_validation(&mut self, at: &str, validation: &Value) {
        let Some(expression) = self.expression(at, &validation["expression"]) else {
            return;
        };
        let made = validation.get("messageExpression");
        let message_expression =
            made.and_then(|made| self.expression(&format!("{at}.messageExpression"), made));
        self.validations.push(Validation {
            expression,
            message: text(&validation["message"]).trim().to_owned(),
            message_expression,
            reason: text(&validation["reason"]),
        });
    }

    fn expression(&mut self, at: &str, source: &Value) -> Option<Expression> {
        let source = source.as_str().unwrap_or_default();
        let read =
            Expression::parse(source).and_then(|expression| match self.unknown(&expression) {
                Some(unknown) => Err(unknown),
                None => Ok(expression),
            });
        let error = match read {
            Ok(expression) => return Some(expression),
            Err(error) => error,
        };
        let field = if at.ends_with("Expression") {
            at.to_owned()
        } else {
            format!("{at}.expression")
        };
        self.wrong.push(Cause {
            reason: "FieldValueInvalid".to_owned(),
            field,
            message: format!("Invalid value: {source:?}: compilation failed: ERROR: {error}"),
        });
        None
    }

    /// A name in an expression that stands for nothing. Variables are known from where they are defined.
    fn unknown(&self, expression: &Expression) -> Option<String> {
        let is_known = |name: &&str| NAMES.contains(name) || TYPES.contains(name);
        if let Some(name) = expression.names().find(|name| !is_known(name)) {
            return Some(format!(
                "undeclared reference to '{name}' (in container '')"
            ));
        }
        let is_defined = |name: &str| self.variables.iter().any(|(known, _)| known == name);
        let missing = expression.variables().find(|name| !is_defined(name))?;
        Some(format!("undefined field '{missing}'"))
    }
}

/// The entries of a list in the spec, each with its path.
fn entries<'a>(spec: &'a Value, field: &str) -> Vec<(String, &'a Value)> {
    let list = spec[field].as_array().into_iter().flatten().enumerate();
    list.map(|(index, entry)| (format!("spec.{field}[{index}]"), entry))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
