//! What an address and its query mean.

use std::collections::BTreeMap;

use crate::sim::store::Key;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Version of the group.
    pub version: String,
    /// The object, or with an empty name all of its kind.
    pub key: Key,
    /// `status`, `scale`, `eviction`; empty for the object itself.
    pub subresource: String,
    /// All namespaces of a kind that has them are meant.
    pub everywhere: bool,
}

impl Address {
    /// Reads a path such as `/apis/apps/v1/namespaces/shop/deployments/web/scale`.
    #[must_use]
    pub fn read(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?.to_owned();
        let rest: Vec<_> = parts.map(plain).collect();
        let rest: Vec<_> = rest.iter().map(String::as_str).collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, plural, rest @ ..]
                if !matches!(*plural, "status" | "finalize") =>
            {
                (*namespace, (*plural, rest))
            }
            [plural, rest @ ..] => ("", (*plural, rest)),
            [] => return None,
        };
        let (plural, rest) = rest;
        let (name, subresource) = match rest {
            [] => ("", ""),
            [name] => (*name, ""),
            [name, subresource] => (*name, *subresource),
            _ => return None,
        };
        Some(Self {
            version,
            key: Key::new(group, plural, namespace, name),
            subresource: subresource.to_owned(),
            everywhere: namespace.is_empty() && name.is_empty(),
        })
    }
}

/// The parameters of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=1&b=2`.
    #[must_use]
    pub fn read(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// One parameter; empty if it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A parameter that says yes.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }

    /// A parameter that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }
}

/// A part of a path with its `%3A` read.
fn plain(part: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(part);
    bytes.decode_utf8_lossy().into_owned()
}

/// Which objects a list or a watch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    #[must_use]
    pub fn read(query: &Query) -> Self {
        let labels = clauses(query.text("labelSelector"));
        let fields = clauses(query.text("fieldSelector"));
        Self {
            labels: labels.iter().filter_map(|one| requirement(one)).collect(),
            fields: fields.iter().filter_map(|one| comparison(one)).collect(),
        }
    }

    /// Whether it means this object.
    #[must_use]
    pub fn fits(&self, object: &serde_json::Value) -> bool {
        let label = |name: &str| object["metadata"]["labels"][name].as_str();
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(name, values) => {
                label(name).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(name, values) => {
                label(name).is_none_or(|value| values.iter().all(|one| one != value))
            }
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Absent(name) => label(name).is_none(),
        });
        let fields = self.fields.iter().all(|(path, value, equal)| {
            let pointer = format!("/{}", path.replace('.', "/"));
            let real = object.pointer(&pointer).and_then(serde_json::Value::as_str);
            (real.unwrap_or_default() == value) == *equal
        });
        labels && fields
    }
}

/// Parts between commas that are not within brackets.
fn clauses(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut all = vec![String::new()];
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(letter);
        }
    }
    all.retain(|clause| !clause.trim().is_empty());
    all
}

fn comparison(clause: &str) -> Option<(String, String, bool)> {
    let (name, value, equal) = if let Some((name, value)) = clause.split_once("!=") {
        (name, value, false)
    } else if let Some((name, value)) = clause.split_once("==") {
        (name, value, true)
    } else {
        let (name, value) = clause.split_once('=')?;
        (name, value, true)
    };
    Some((name.trim().to_owned(), value.trim().to_owned(), equal))
}

fn requirement(clause: &str) -> Option<Requirement> {
    let clause = clause.trim();
    if let Some((name, value, equal)) = comparison(clause) {
        return Some(if equal {
            Requirement::In(name, vec![value])
        } else {
            Requirement::NotIn(name, vec![value])
        });
    }
    if let Some(name) = clause.strip_prefix('!') {
        return Some(Requirement::Absent(name.trim().to_owned()));
    }
    let Some((head, values)) = clause.split_once('(') else {
        return Some(Requirement::Exists(clause.to_owned()));
    };
    let values = values.trim_end_matches(')').split(',');
    let values = values.map(|value| value.trim().to_owned()).collect();
    let (name, word) = head.trim().rsplit_once(' ')?;
    match word {
        "in" => Some(Requirement::In(name.trim().to_owned(), values)),
        "notin" => Some(Requirement::NotIn(name.trim().to_owned(), values)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_name_kinds_objects_and_subresources() {
        let read = |path: &str| {
            Address::read(path).map(|it| {
                let Key {
                    group,
                    plural,
                    namespace,
                    name,
                } = it.key;
                format!(
                    "{group}|{}|{plural}|{namespace}|{name}|{}|{}",
                    it.version, it.subresource, it.everywhere
                )
            })
        };
        for (path, want) in [
            ("/api/v1/pods", "|v1|pods||||true"),
            ("/api/v1/namespaces/shop", "|v1|namespaces||shop||false"),
            (
                "/api/v1/namespaces/shop/status",
                "|v1|namespaces||shop|status|false",
            ),
            ("/api/v1/namespaces/shop/pods", "|v1|pods|shop|||false"),
            (
                "/apis/apps/v1/namespaces/shop/deployments/web/scale",
                "apps|v1|deployments|shop|web|scale|false",
            ),
            (
                "/apis/serin.dev/v1beta1/canaries",
                "serin.dev|v1beta1|canaries||||true",
            ),
        ] {
            assert_eq!(read(path).as_deref(), Some(want), "{path}");
        }
        assert_eq!(read("/healthz"), None);
        assert_eq!(read("/apis/apps/v1"), None);
    }

    #[test]
    fn selectors_choose_objects() {
        let object = json!({"metadata": {"name": "web", "labels": {"app": "web", "tier": "a"}}});
        for (labels, fields, fits) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,tier!=b", "", true),
            ("app=shop", "", false),
            ("app in (shop, web),tier", "", true),
            ("app notin (web)", "", false),
            ("!app", "", false),
            ("!other", "metadata.name=web", true),
            ("", "metadata.name!=web", false),
        ] {
            let query = Query::read(&format!("labelSelector={labels}&fieldSelector={fields}"));
            assert_eq!(
                Selector::read(&query).fits(&object),
                fits,
                "{labels} {fields}"
            );
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::read("labelSelector=app%3Dweb&watch=true&limit=100&x");
        assert_eq!(query.text("labelSelector"), "app=web");
        assert!(query.is_set("watch"));
        assert_eq!(query.number("limit"), Some(100));
        assert_eq!(query.text("nothing"), "");
    }
}
