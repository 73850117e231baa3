//! Sets of fields, as `managedFields` writes them (`FieldsV1`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sim::shape::{KnownBy, Listed, Node, Seen};

/// A set of fields: a tree of path elements in the form in which they are written, `f:name`, `k:{"name":"app"}`, `v:"value"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(pub(super) BTreeMap<String, Branch>);

/// What a set holds of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Branch {
    /// The field itself is in the set.
    pub member: bool,
    /// Fields below it that are.
    pub below: Fields,
}

impl Branch {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl Fields {
    /// Whether no field is in it.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A set of paths of names.
    #[must_use]
    pub(super) fn of_names(paths: &[&[&str]]) -> Self {
        let mut fields = Self::default();
        for path in paths {
            let path: Vec<_> = path.iter().map(|name| named(name)).collect();
            fields.insert(&path);
        }
        fields
    }

    pub(super) fn insert(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let branch = self.0.entry(first.clone()).or_default();
        if rest.is_empty() {
            branch.member = true;
        } else {
            branch.below.insert(rest);
        }
    }

    pub(super) fn below(&self, element: &str) -> Option<&Self> {
        let below = &self.0.get(element)?.below;
        (!below.is_empty()).then_some(below)
    }

    pub(super) fn has(&self, element: &str) -> bool {
        self.0.get(element).is_some_and(|branch| branch.member)
    }

    /// Fields of one or of both.
    #[must_use]
    pub(super) fn union(mut self, other: &Self) -> Self {
        for (element, theirs) in &other.0 {
            let branch = self.0.entry(element.clone()).or_default();
            branch.member |= theirs.member;
            branch.below = std::mem::take(&mut branch.below).union(&theirs.below);
        }
        self
    }

    /// Fields of both.
    #[must_use]
    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.combine(|element, ours| {
            let theirs = other.0.get(element)?;
            Some(Branch {
                member: ours.member && theirs.member,
                below: ours.below.intersection(&theirs.below),
            })
        })
    }

    /// Fields that are not in the other.
    #[must_use]
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.combine(|element, ours| match other.0.get(element) {
            Some(theirs) => Some(Branch {
                member: ours.member && !theirs.member,
                below: ours.below.difference(&theirs.below),
            }),
            None => Some(ours.clone()),
        })
    }

    /// Fields that are neither in the other nor below one that is.
    #[must_use]
    pub(super) fn without(&self, other: &Self) -> Self {
        self.combine(|element, ours| match other.0.get(element) {
            Some(theirs) if theirs.member => None,
            Some(theirs) => Some(Branch {
                member: ours.member,
                below: ours.below.without(&theirs.below),
            }),
            None => Some(ours.clone()),
        })
    }

    fn combine(&self, with: impl Fn(&str, &Branch) -> Option<Branch>) -> Self {
        let kept = self.0.iter().filter_map(|(element, ours)| {
            let branch = with(element, ours).filter(|branch| !branch.is_empty())?;
            Some((element.clone(), branch))
        });
        Self(kept.collect())
    }

    /// The set with every named field of which it has something below.
    pub(super) fn with_named(&self, node: &Node) -> Self {
        let branches = self.0.iter().map(|(element, ours)| {
            let (child, named) = descend(node, element);
            let branch = Branch {
                member: ours.member || named && !ours.below.is_empty(),
                below: ours.below.with_named(child),
            };
            (element.clone(), branch)
        });
        Self(branches.collect())
    }

    /// Paths as messages have them, `.spec.replicas`: on each level first the members, then what is below.
    #[must_use]
    pub(super) fn paths(&self) -> Vec<String> {
        let members = self.0.iter().filter(|(_, branch)| branch.member);
        let mut paths: Vec<_> = members.map(|(element, _)| spoken(element)).collect();
        for (element, branch) in &self.0 {
            let first = spoken(element);
            paths.extend(
                branch
                    .below
                    .paths()
                    .into_iter()
                    .map(|rest| format!("{first}{rest}")),
            );
        }
        paths
    }

    /// The set in `FieldsV1`.
    #[must_use]
    pub(super) fn encode(&self) -> Value {
        let branches = self.0.iter().map(|(element, branch)| {
            let mut below = branch.below.encode();
            if branch.member && !branch.below.is_empty() {
                below["."] = json!({});
            }
            (element.clone(), below)
        });
        Value::Object(branches.collect::<Map<_, _>>())
    }

    /// The set that `FieldsV1` says; elements of unknown types are left out.
    ///
    /// # Errors
    /// When it is no object, or an element has no type.
    pub(super) fn decode(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("fields must be an object")?;
        let mut fields = Self::default();
        for (element, below) in object.iter().filter(|(element, _)| *element != ".") {
            if element.as_bytes().get(1) != Some(&b':') {
                return Err(format!("missing colon: {element}"));
            }
            if !element.starts_with(['f', 'k', 'v', 'i']) {
                continue;
            }
            let inner = Self::decode(below)?;
            let branch = Branch {
                member: inner.is_empty() || below.get(".").is_some(),
                below: inner,
            };
            fields.0.insert(element.clone(), branch);
        }
        Ok(fields)
    }

    /// Every field that an object sets: what who applies it owns.
    pub(super) fn set_by(node: &Node, object: &Value) -> Self {
        let mut branch = Branch::default();
        set_by(node, object, &mut branch);
        branch.below
    }
}

fn set_by(node: &Node, value: &Value, branch: &mut Branch) {
    match node.see(value) {
        Seen::Leaf => branch.member = true,
        Seen::Map => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let (child, is_named) = node.child(name);
                let inner = branch.below.0.entry(named(name)).or_default();
                set_by(child, value, inner);
                inner.member |=
                    !is_named || value.is_null() || value.as_object().is_some_and(Map::is_empty);
            }
            branch.below.0.retain(|_, inner| !inner.is_empty());
        }
        Seen::List(listed) => {
            for (element, items) in group(listed, value) {
                let inner = branch.below.0.entry(element).or_default();
                inner.member = true;
                if let [item] = items.as_slice() {
                    set_by(&listed.item, item, inner);
                }
            }
        }
    }
}

/// The items of a list by their path elements; items that have none are left out.
pub(super) fn group<'a>(listed: &Listed, value: &'a Value) -> BTreeMap<String, Vec<&'a Value>> {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for item in value.as_array().into_iter().flatten() {
        if let Ok(element) = element(listed, item) {
            groups.entry(element).or_default().push(item);
        }
    }
    groups
}

/// The path element of an item.
///
/// # Errors
/// When the item cannot be told apart from others.
pub(super) fn element(listed: &Listed, item: &Value) -> Result<String, String> {
    let KnownBy::Keys(keys) = &listed.known_by else {
        return match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => {
                Err("not supported: associative list with lists as elements".to_owned())
            }
            Value::Null => Err(
                "associative list without keys has an element that's an explicit null".to_owned(),
            ),
            value => Ok(format!("v:{value}")),
        };
    };
    let Value::Object(fields) = item else {
        return Err("associative list with keys may not have non-map elements".to_owned());
    };
    let mut found = BTreeMap::new();
    for (name, default) in keys {
        if let Some(value) = fields.get(name).or(default.as_ref()) {
            found.insert(name.as_str(), value);
        }
    }
    if found.is_empty() {
        let names: Vec<_> = keys.iter().map(|(name, _)| format!("{name:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any \
             key fields)",
            names.join(" ")
        ));
    }
    let pairs: Vec<_> = found
        .iter()
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    Ok(format!("k:{{{}}}", pairs.join(",")))
}

/// The path element of a field.
pub(super) fn named(name: &str) -> String {
    format!("f:{name}")
}

/// The node below, and whether the element is a field by name.
fn descend<'a>(node: &'a Node, element: &str) -> (&'a Node, bool) {
    match element.strip_prefix("f:") {
        Some(name) => node.child(name),
        None => (node.item(), false),
    }
}

/// A path element as messages have it.
pub(super) fn spoken(element: &str) -> String {
    let (kind, rest) = element.split_at(2.min(element.len()));
    match kind {
        "f:" => format!(".{rest}"),
        "v:" => format!("[={rest}]"),
        "k:" => {
            let keys: Map<_, _> = serde_json::from_str(rest).unwrap_or_default();
            let keys: BTreeMap<_, _> = keys.into_iter().collect();
            let pairs: Vec<_> = keys
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("[{}]", pairs.join(","))
        }
        _ => format!("[{rest}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Fields {
        Fields::decode(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn a_set_is_written_as_it_was_read() {
        let text =
            r#"{"f:a":{".":{},"k:{\"name\":\"x\",\"port\":1}":{"f:b":{}},"v:\"y\"":{}},"f:c":{}}"#;
        assert_eq!(set(text).encode().to_string(), text);
    }

    #[test]
    fn members_are_named_before_what_is_below_others() {
        let fields = set(
            r#"{"f:a":{"k:{\"name\":\"x\",\"port\":1}":{".":{},"f:b":{}},"v:\"y\"":{}},"f:c":{}}"#,
        );
        let wanted = [
            ".c",
            ".a[name=\"x\",port=1]",
            ".a[=\"y\"]",
            ".a[name=\"x\",port=1].b",
        ];
        assert_eq!(fields.paths(), wanted);
    }

    #[test]
    fn only_what_is_below_goes_with_its_parent() {
        let fields = set(r#"{"f:a":{".":{},"f:b":{}},"f:c":{}}"#);
        let parent = set(r#"{"f:a":{}}"#);
        assert_eq!(
            fields.difference(&parent),
            set(r#"{"f:a":{"f:b":{}},"f:c":{}}"#)
        );
        assert_eq!(fields.without(&parent), set(r#"{"f:c":{}}"#));
        assert_eq!(fields.intersection(&parent), parent);
        assert_eq!(parent.clone().union(&fields), fields);
    }

    #[test]
    fn an_element_without_a_type_is_an_error_and_one_of_an_unknown_type_is_left_out() {
        assert!(Fields::decode(&json!({"name": {}})).is_err());
        assert!(Fields::decode(&json!([])).is_err());
        assert_eq!(set(r#"{"x:a":{},"f:b":{}}"#), set(r#"{"f:b":{}}"#));
    }
}
