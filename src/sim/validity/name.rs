//! Names and labels.

use serde_json::{Value, json};

use crate::sim::validity::{Change, Found};

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
    an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
    and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Checks what every object has.
pub(super) fn metadata(kind: &str, (new, old): Change<'_>, found: &mut Found) {
    let metadata = &new["metadata"];
    name(kind, &metadata["name"], found);
    labels(&metadata["labels"], "metadata.labels", found);
    annotations(&metadata["annotations"], found);
    let Some(old) = old else {
        return;
    };
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let (was, is) = (&old["metadata"][field], &metadata[field]);
        if was != is && !is.is_null() {
            found.invalid(&format!("metadata.{field}"), is, "field is immutable");
        }
    }
}

fn name(kind: &str, value: &Value, found: &mut Found) {
    let name = value.as_str().unwrap_or_default();
    let field = "metadata.name";
    if name.is_empty() {
        found.required(field, "name or generateName is required");
        return;
    }
    match kind {
        "Service" | "Namespace" => label(name, field, found),
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            path_segment(name, field, found)
        }
        _ => subdomain(name, field, found),
    }
}

fn path_segment(name: &str, field: &str, found: &mut Found) {
    if name == "." || name == ".." {
        found.invalid(field, &json!(name), &format!("may not be '{name}'"));
    }
    for letter in ["/", "%"].iter().filter(|letter| name.contains(**letter)) {
        found.invalid(field, &json!(name), &format!("may not contain '{letter}'"));
    }
}

/// A label of a DNS name.
pub(super) fn label(name: &str, field: &str, found: &mut Found) {
    too_long(name, 63, field, found);
    if !is_label(name) {
        let has_dots = name.split('.').all(is_label);
        found.invalid(
            field,
            &json!(name),
            if has_dots {
                "must not contain dots"
            } else {
                LABEL
            },
        );
    }
}

fn subdomain(name: &str, field: &str, found: &mut Found) {
    too_long(name, 253, field, found);
    if !name.split('.').all(is_label) {
        found.invalid(field, &json!(name), SUBDOMAIN);
    }
}

fn too_long(name: &str, most: usize, field: &str, found: &mut Found) {
    if name.len() > most {
        found.invalid(
            field,
            &json!(name),
            &format!("must be no more than {most} characters"),
        );
    }
}

/// Whether a text is a label in lower case, of any length.
fn is_label(text: &str) -> bool {
    let inner = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    encloses(text, inner, |letter| inner(letter) || letter == b'-')
}

/// The first and the last letter fit `outer`, all between them `inner`.
fn encloses(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter()
        .all(|end| end.is_some_and(|letter| outer(*letter)))
        && bytes.iter().all(|letter| inner(*letter))
}

/// Keys and values of labels.
pub(super) fn labels(labels: &Value, field: &str, found: &mut Found) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        label_key(key, field, found);
        let text = value.as_str().unwrap_or_default();
        too_long(text, 63, field, found);
        if !text.is_empty() && !is_qualified(text) {
            found.invalid(field, value, LABEL_VALUE);
        }
    }
}

fn label_key(key: &str, field: &str, found: &mut Found) {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !prefix.split('.').all(is_label)) {
        found.invalid(field, &json!(key), &format!("prefix part {SUBDOMAIN}"));
    }
    if name.len() > 63 {
        found.invalid(
            field,
            &json!(key),
            "name part must be no more than 63 characters",
        );
    }
    if !is_qualified(name) {
        found.invalid(field, &json!(key), LABEL_NAME);
    }
}

fn is_qualified(text: &str) -> bool {
    let outer = |letter: u8| letter.is_ascii_alphanumeric();
    encloses(text, outer, |letter| {
        outer(letter) || matches!(letter, b'-' | b'_' | b'.')
    })
}

fn annotations(annotations: &Value, found: &mut Found) {
    for key in annotations
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
    {
        label_key(key, "metadata.annotations", found);
    }
}
