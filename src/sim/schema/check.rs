//! Types, limits and forms of values.

use serde_json::{Map, Value};

use crate::sim::cel::function::go_number;
use crate::sim::refusal::Cause;
use crate::sim::schema::shape::below;
use crate::sim::schema::{Additional, Node, compose, said};

/// Finds what is wrong with a value and with everything in it.
pub(super) fn check(node: &Node, value: &Value, path: &str, found: &mut Vec<Cause>) {
    found.extend(mistyped(node, value, path));
    if !node.values.is_empty() && !value.is_null() && !node.values.contains(value) {
        found.push(said::unsupported(path, value, &node.values));
    }
    compose::check(node, value, path, found);
    match value {
        Value::String(text) => check_text(node, text, path, found),
        Value::Number(_) => check_number(node, value, path, found),
        Value::Array(items) => check_items(node, items, path, found),
        Value::Object(fields) => check_fields(node, fields, path, found),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The types that a value may have; none if it may have all.
fn types(node: &Node) -> Vec<&str> {
    match &node.kind {
        _ if node.int_or_string => vec!["integer", "string"],
        Some(kind) => vec![kind],
        None => Vec::new(),
    }
}

/// Type and format of a value, as the schema language has them.
fn kind(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "double"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

fn mistyped(node: &Node, value: &Value, path: &str) -> Option<Cause> {
    let types = types(node);
    let (kind, format) = kind(value);
    if value.is_null() {
        let refused = !types.is_empty() && !node.nullable;
        return refused.then(|| said::mistyped(path, &types.join(","), "null"));
    }
    let has = |kind: &str| types.contains(&kind);
    let is_whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = has(kind)
        || (kind == "number" && is_whole && has("integer"))
        || (kind == "integer" && has("number"));
    let is_sequence = matches!(value, Value::String(_) | Value::Array(_));
    if !is_sequence && !node.format.is_empty() && !fits && node.format != format {
        return Some(said::mistyped(path, &node.format, format));
    }
    if is_sequence && !node.format.is_empty() && !has("number") && !has("integer") {
        return None;
    }
    (!types.is_empty() && !fits).then(|| said::mistyped(path, &types.join(","), kind))
}

fn name(path: &str) -> &str {
    path.trim_start_matches('.')
}

fn check_text(node: &Node, text: &str, path: &str, found: &mut Vec<Cause>) {
    let length = text.chars().count();
    let limits = &node.limits;
    if let Some(most) = limits.max_length.filter(|most| length > *most) {
        found.push(said::too_long(path, most));
    }
    let value = Value::from(text);
    if let Some(least) = limits.min_length.filter(|least| length < *least) {
        let why = format!(
            "{} in body should be at least {least} chars long",
            name(path)
        );
        found.push(said::invalid(path, &value, &why));
    }
    if let Some(pattern) = node
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.regex.is_match(text))
    {
        let why = format!("{} in body should match '{}'", name(path), pattern.text);
        found.push(said::invalid(path, &value, &why));
    }
    if !is_formed(&node.format, text) {
        found.push(said::mistyped(path, &node.format, text));
    }
}

/// Whether a text has the form that its format asks for. Formats that are not known ask for nothing.
fn is_formed(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uri" => text.parse::<http::Uri>().is_ok(),
        _ => true,
    }
}

fn check_number(node: &Node, value: &Value, path: &str, found: &mut Vec<Cause>) {
    let number = value.as_f64().unwrap_or_default();
    if node.format == "int32"
        && value
            .as_i64()
            .is_some_and(|whole| i32::try_from(whole).is_err())
    {
        let why = format!(
            "Checked value must be of type integer with format int32 in {}",
            name(path)
        );
        found.push(said::invalid("", &Value::from(""), &why));
    }
    let limits = &node.limits;
    let mut refuse = |what: &str, limit: f64| {
        let why = format!(
            "{} in body should be {what} {}",
            name(path),
            go_number(limit)
        );
        found.push(said::invalid(path, value, &why));
    };
    match limits.multiple_of {
        Some(part) if (number / part).fract() != 0.0 => refuse("a multiple of", part),
        _ => {}
    }
    match limits.minimum {
        Some(least) if limits.exclusive_minimum && number <= least => refuse("greater than", least),
        Some(least) if number < least => refuse("greater than or equal to", least),
        _ => {}
    }
    match limits.maximum {
        Some(most) if limits.exclusive_maximum && number >= most => refuse("less than", most),
        Some(most) if number > most => refuse("less than or equal to", most),
        _ => {}
    }
}

fn check_items(node: &Node, items: &[Value], path: &str, found: &mut Vec<Cause>) {
    if let Some(node) = &node.items {
        for (index, item) in items.iter().enumerate() {
            check(node, item, &format!("{path}[{index}]"), found);
        }
    }
    let count = items.len();
    if let Some(least) = node.limits.min_items.filter(|least| count < *least) {
        let why = format!("{} in body should have at least {least} items", name(path));
        found.push(said::invalid(path, &Value::from(count), &why));
    }
    if let Some(most) = node.limits.max_items.filter(|most| count > *most) {
        found.push(said::too_many(path, count, most));
    }
}

fn check_fields(node: &Node, fields: &Map<String, Value>, path: &str, found: &mut Vec<Cause>) {
    let count = fields.len();
    if let Some(least) = node.limits.min_properties.filter(|least| count < *least) {
        let why = format!(
            "{} in body should have at least {least} properties",
            name(path)
        );
        found.push(said::invalid(path, &Value::from(count), &why));
    }
    if let Some(most) = node.limits.max_properties.filter(|most| count > *most) {
        found.push(said::too_many(path, count, most));
    }
    for (name, value) in fields {
        let path = below(path, name);
        match (node.field(name), &node.additional_properties) {
            (Some(node), _) => check(node, value, &path, found),
            (None, Some(Additional::May(false))) => {
                let why = format!("{path} in body is a forbidden property");
                found.push(said::invalid(&path, &Value::from(name.as_str()), &why));
            }
            (None, _) => {}
        }
    }
    let missing = node
        .required
        .iter()
        .filter(|name| !fields.contains_key(*name));
    found.extend(missing.map(|name| said::required(&below(path, name), "")));
}
