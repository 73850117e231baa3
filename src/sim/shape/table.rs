//! The table of the kinds that are there without any CRD.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::shape::{Field, Holds, KnownBy, Listed, Node, Presence, Shape};

const TABLE: &str = include_str!("fields.txt");

/// Rows by type.
type Rows<'a> = BTreeMap<&'a str, &'a str>;

/// Every type of the table as a kind; those that are parts of others do no harm.
pub(super) fn read() -> BTreeMap<String, Shape> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows: Rows<'_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let kinds = rows
        .iter()
        .filter(|(_, fields)| fields.starts_with("metadata"));
    kinds
        .map(|(name, fields)| kind(name, fields, &rows))
        .collect()
}

fn kind(name: &str, fields: &str, rows: &Rows<'_>) -> (String, Shape) {
    let typed = !name.starts_with('*');
    let name = name.trim_start_matches('*');
    let shape = Shape {
        typed,
        status: !typed || fields.contains(" status"),
        ..Shape::new(name, Arc::new(fields_of(fields, rows)))
    };
    (name.to_owned(), shape)
}

fn fields_of(fields: &str, rows: &Rows<'_>) -> Node {
    let listed = fields
        .split_whitespace()
        .map(|text| field(text, rows))
        .collect();
    Node {
        holds: Holds::Fields {
            listed,
            free: false,
        },
        ..Node::default()
    }
}

fn field(text: &str, rows: &Rows<'_>) -> (String, Field) {
    let end = text.find(['?', '!', '=']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let always = rest.starts_with('!');
    let meaning = rest.trim_start_matches('!');
    let field = match meaning.strip_prefix('=') {
        Some(what) => Field {
            presence: presence(what.trim_start_matches(['~', '/']), always),
            node: Arc::new(node(what, rows)),
        },
        None => Field {
            presence: if always {
                Presence::Always(zero(meaning))
            } else {
                Presence::UnlessEmpty
            },
            node: Arc::default(),
        },
    };
    (name.to_owned(), field)
}

fn presence(what: &str, always: bool) -> Presence {
    let holds_many = what.starts_with(['{', '[']);
    match (holds_many, always) {
        (true, true) => Presence::Always(Value::Null),
        (true, false) => Presence::UnlessEmpty,
        (false, true) => Presence::Always(json!({})),
        (false, false) => Presence::Given,
    }
}

fn zero(text: &str) -> Value {
    match text {
        "''" => json!(""),
        "'0'" => json!("0"),
        "0" => json!(0),
        "f" => json!(false),
        _ => Value::Null,
    }
}

fn node(what: &str, rows: &Rows<'_>) -> Node {
    if let Some(what) = what.strip_prefix('~') {
        return Node {
            atomic: true,
            ..node(what, rows)
        };
    }
    if let Some(what) = what.strip_prefix('/') {
        return Node {
            replaced: true,
            ..node(what, rows)
        };
    }
    let holds = if let Some(item) = what.strip_prefix("{}") {
        Holds::Map(Arc::new(node(item, rows)))
    } else if let Some((how, item)) = what.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Holds::List(Arc::new(list(how, node(item, rows))))
    } else {
        return named(what, rows);
    };
    Node {
        holds,
        ..Node::default()
    }
}

fn named(name: &str, rows: &Rows<'_>) -> Node {
    match rows.get(name) {
        Some(fields) => fields_of(fields, rows),
        None => Node {
            atomic: name == "any",
            ..Node::default()
        },
    }
}

fn list(how: &str, item: Node) -> Listed {
    let (keys, merged_by) = match how.split_once(';') {
        Some((keys, "+")) => (keys, Some(None)),
        Some((keys, key)) => (keys, Some(Some(key.to_owned()))),
        None => (how, None),
    };
    let known_by = match keys {
        "" => KnownBy::Nothing,
        "set" => KnownBy::Value,
        keys => KnownBy::Keys(keys.split(',').map(key).collect()),
    };
    Listed {
        known_by,
        merged_by,
        item: Arc::new(item),
    }
}

/// A key that is left out counts as empty.
fn key(text: &str) -> (String, Option<Value>) {
    let (name, default) = text.split_once(':').unwrap_or((text, ""));
    let is_number = name.to_lowercase().ends_with("port");
    let default = if is_number { json!(0) } else { json!(default) };
    (name.to_owned(), Some(default))
}
