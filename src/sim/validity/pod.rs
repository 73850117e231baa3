//! Templates and Pods.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::sim::validity::{Found, is_blank, items, name};

pub(super) const PORT: &str =
    "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";

/// Checks the spec of a Pod.
pub(super) fn spec(spec: &Value, at: &str, found: &mut Found) {
    let volumes = volumes(spec, at, found);
    if items(&spec["containers"]).is_empty() {
        found.required(&format!("{at}.containers"), "");
    }
    let mut names = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in items(&spec[list]).iter().enumerate() {
            let at = format!("{at}.{list}[{index}]");
            known_by_name(container, &at, &mut names, found);
            self::container(container, &at, &volumes, found);
        }
    }
}

fn volumes<'a>(spec: &'a Value, at: &str, found: &mut Found) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in items(&spec["volumes"]).iter().enumerate() {
        known_by_name(volume, &format!("{at}.volumes[{index}]"), &mut names, found);
    }
    names
}

/// Names are there, are labels, and differ.
fn known_by_name<'a>(item: &'a Value, at: &str, names: &mut BTreeSet<&'a str>, found: &mut Found) {
    let field = format!("{at}.name");
    let text = item["name"].as_str().unwrap_or_default();
    if text.is_empty() {
        found.required(&field, "");
        return;
    }
    name::label(text, &field, found);
    if !names.insert(text) {
        found.duplicate(&field, &item["name"]);
    }
}

fn container(container: &Value, at: &str, volumes: &BTreeSet<&str>, found: &mut Found) {
    image(&container["image"], &format!("{at}.image"), found);
    for (index, port) in items(&container["ports"]).iter().enumerate() {
        self::port(port, &format!("{at}.ports[{index}]"), found);
    }
    for (index, variable) in items(&container["env"]).iter().enumerate() {
        if is_blank(&variable["name"]) {
            found.required(&format!("{at}.env[{index}].name"), "");
        }
    }
    for (index, mount) in items(&container["volumeMounts"]).iter().enumerate() {
        let at = format!("{at}.volumeMounts[{index}]");
        self::mount(mount, &at, volumes, found);
    }
}

/// In templates an image may be anything.
fn image(image: &Value, field: &str, found: &mut Found) {
    let text = image.as_str().unwrap_or_default();
    if text.is_empty() {
        found.required(field, "");
    } else if text.trim() != text && field.starts_with("spec.containers") {
        found.invalid(field, image, "must not have leading or trailing whitespace");
    }
}

fn port(port: &Value, at: &str, found: &mut Found) {
    let number = &port["containerPort"];
    let field = format!("{at}.containerPort");
    match number.as_i64() {
        None | Some(0) => found.required(&field, ""),
        Some(1..=65_535) => {}
        Some(_) => found.invalid(&field, number, "must be between 1 and 65535, inclusive"),
    }
    let fits =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    if port["name"]
        .as_str()
        .is_some_and(|name| !name.bytes().all(fits))
    {
        found.invalid(&format!("{at}.name"), &port["name"], PORT);
    }
    let protocol = &port["protocol"];
    if !["TCP", "UDP", "SCTP"].iter().any(|known| protocol == known) {
        found.unsupported(&format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    }
}

fn mount(mount: &Value, at: &str, volumes: &BTreeSet<&str>, found: &mut Found) {
    let field = format!("{at}.name");
    match mount["name"].as_str().unwrap_or_default() {
        "" => found.required(&field, ""),
        name if volumes.contains(name) => {}
        _ => found.add(
            "FieldValueNotFound",
            &field,
            format!("Not found: {}", mount["name"]),
        ),
    }
    if is_blank(&mount["mountPath"]) {
        found.required(&format!("{at}.mountPath"), "");
    }
}
