//! Tables: objects as the rows that kubectl shows, by the columns of their kind.

mod age;
mod cells;
mod path;
mod pod;

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::field::{list, text};
use crate::sim::kinds::Served;

/// A column of a CRD: name, type, priority and path.
type Column = (&'static str, &'static str, i64, &'static str);

/// Kinds of Gateway API, whose columns are those of their CRDs.
const GATEWAY: &[(&str, &[Column])] = &[
    (
        "GatewayClass",
        &[
            ("Controller", "string", 0, ".spec.controllerName"),
            (
                "Accepted",
                "string",
                0,
                ".status.conditions[?(@.type==\"Accepted\")].status",
            ),
            ("Age", "date", 0, ".metadata.creationTimestamp"),
            ("Description", "string", 1, ".spec.description"),
        ],
    ),
    (
        "Gateway",
        &[
            ("Class", "string", 0, ".spec.gatewayClassName"),
            ("Address", "string", 0, ".status.addresses[*].value"),
            (
                "Programmed",
                "string",
                0,
                ".status.conditions[?(@.type==\"Programmed\")].status",
            ),
            ("Age", "date", 0, ".metadata.creationTimestamp"),
        ],
    ),
    ("HTTPRoute", ROUTE),
    ("GRPCRoute", ROUTE),
];
const ROUTE: &[Column] = &[
    ("Hostnames", "string", 0, ".spec.hostnames"),
    ("Age", "date", 0, ".metadata.creationTimestamp"),
];

/// Whether a client asks for a table.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.split(',').any(|one| one.contains("as=Table")))
}

/// How a table is made.
pub(crate) struct Table<'a> {
    pub(crate) kind: &'a Served,
    pub(crate) now: Timestamp,
    /// `None`, `Metadata` or `Object`: what a row brings of its object.
    pub(crate) include: &'a str,
}

impl Table<'_> {
    /// A table of these objects.
    pub(crate) fn of(&self, items: &[&Value], metadata: &Value) -> Value {
        let rows: Vec<_> = items.iter().map(|item| self.row(item)).collect();
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": self.definitions(), "rows": rows,
        })
    }

    fn row(&self, item: &Value) -> Value {
        let object = match self.include {
            "None" => Value::Null,
            "Object" => item.clone(),
            _ => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"],
            }),
        };
        json!({"cells": self.cells(item), "object": object})
    }

    fn definitions(&self) -> Vec<Value> {
        if let Some(columns) = self.built_in() {
            return columns
                .split('|')
                .map(|name| definition(name, "string", 0))
                .collect();
        }
        let mut all = vec![definition("Name", "string", 0)];
        all.extend(
            self.paths()
                .iter()
                .map(|(name, kind, priority, _)| definition(name, kind, *priority)),
        );
        all
    }

    fn cells(&self, item: &Value) -> Vec<Value> {
        if self.built_in().is_some() {
            return cells::cells(&self.kind.kind, item, self.now);
        }
        let mut all = vec![json!(text(item, "/metadata/name"))];
        all.extend(self.paths().iter().map(|(_, kind, _, path)| {
            let found = path::find(item, path);
            found
                .first()
                .map_or(Value::Null, |value| self.cell(kind, value))
        }));
        all
    }

    fn built_in(&self) -> Option<&'static str> {
        let ours = self.kind.definition.is_none();
        cells::columns(&self.kind.kind).filter(|_| ours)
    }

    fn cell(&self, kind: &str, value: &Value) -> Value {
        match kind {
            "string" => json!(path::plain(value)),
            "integer" => json!(value.as_i64()),
            "number" => json!(value.as_f64()),
            "boolean" => json!(value.as_bool()),
            "date" if value.is_string() => json!(age::since(value, self.now)),
            _ => Value::Null,
        }
    }

    /// The columns behind the name: name, type, priority and path.
    fn paths(&self) -> Vec<(String, String, i64, String)> {
        let gateway = GATEWAY.iter().find(|(kind, _)| *kind == self.kind.kind);
        let own = |name: &str, kind: &str, priority, path: &str| {
            (name.to_owned(), kind.to_owned(), priority, path.to_owned())
        };
        let mut all = Vec::new();
        if let Some(definition) = &self.kind.definition {
            let versions = list(definition, "/spec/versions");
            let version = versions
                .iter()
                .find(|one| one["name"] == self.kind.version.as_str());
            let columns = version.map_or(&[][..], |one| list(one, "/additionalPrinterColumns"));
            all.extend(columns.iter().map(|column| {
                let (name, kind) = (text(column, "/name"), text(column, "/type"));
                let priority = column["priority"].as_i64().unwrap_or(0);
                own(name, kind, priority, text(column, "/jsonPath"))
            }));
        } else if let Some((_, columns)) = gateway {
            all.extend(
                columns
                    .iter()
                    .map(|(name, kind, priority, path)| own(name, kind, *priority, path)),
            );
        }
        if all.is_empty() {
            all.push(own("Age", "date", 0, ".metadata.creationTimestamp"));
        }
        all
    }
}

fn definition(name: &str, kind: &str, priority: i64) -> Value {
    let wide = name.strip_prefix('+');
    let name = wide.unwrap_or(name);
    let format = if name == "Name" { "name" } else { "" };
    let priority = if wide.is_some() { 1 } else { priority };
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
}

#[cfg(test)]
mod tests;
