//! YAML as it was typed: every value knows its line, so that whoever finds something wrong can point at it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

use crate::cli::simulate::problem::{Place, Problem};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub tree: Tree,
}

/// A value without its place.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Nothing, a truth value, a number or a text.
    Plain(Value),
    /// A list.
    List(Vec<Node>),
    /// Fields, in the order in which they stand, with the places of their names.
    Map(Vec<(String, Place, Node)>),
}

/// The documents of a text; empty ones are left out.
///
/// # Errors
/// When it is no YAML.
pub fn documents(text: &str, file: &str) -> Result<Vec<Node>, Problem> {
    // As kubectl reads it: the mode 0440 is 288, not 440.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let found = serde_saphyr::from_multiple_with_options::<Spanned<Tree>>(text, options);
    let found = found.map_err(|error| {
        let place = error.location().map(place).unwrap_or_default();
        let message = error.without_snippet().to_string();
        // The place is said before the message.
        let message = message.split(" at line ").next().unwrap_or_default();
        // What the library offers to programmers is no advice for people.
        let message = message.split(", set ").next().unwrap_or_default();
        Problem::new(file, place, "", message)
    })?;
    Ok(found.into_iter().map(node).collect())
}

fn node(spanned: Spanned<Tree>) -> Node {
    Node {
        place: place(spanned.referenced),
        tree: spanned.value,
    }
}

fn place(location: Location) -> Place {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: number(location.line()),
        column: number(location.column()),
    }
}

impl Node {
    /// The value alone.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.tree {
            Tree::Plain(value) => value.clone(),
            Tree::List(items) => items.iter().map(Self::value).collect(),
            Tree::Map(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, _, it)| (name.clone(), it.value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// A field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.field(name).map(|(_, node)| node)
    }

    fn field(&self, name: &str) -> Option<(Place, &Self)> {
        let Tree::Map(fields) = &self.tree else {
            return None;
        };
        let found = fields.iter().find(|(known, ..)| known == name);
        found.map(|(_, place, node)| (*place, node))
    }

    /// Where a field stands, by a path such as `spec.analysis.steps[0].setWeight`; of one that is missing, the last of its
    /// parents that is there.
    #[must_use]
    pub fn find(&self, path: &str) -> Place {
        let (mut place, mut at) = (self.place, self);
        for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
            let index = part
                .strip_suffix(']')
                .and_then(|it| it.parse::<usize>().ok());
            let next = match (index, &at.tree) {
                (Some(index), Tree::List(items)) => items.get(index).map(|it| (it.place, it)),
                _ => at.field(part.trim_matches(['"', ']'])),
            };
            let Some(next) = next else {
                return place;
            };
            (place, at) = next;
        }
        place
    }

    /// What people call a value of this kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.tree {
            Tree::Plain(Value::Null) => "nothing",
            Tree::Plain(Value::Bool(_)) => "true or false",
            Tree::Plain(Value::Number(_)) => "a number",
            Tree::Plain(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "fields",
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Plain(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        self.visit_unit()
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Plain(Value::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("is not a finite number"))?;
        Ok(Tree::Plain(Value::Number(number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Tree>>()? {
            items.push(node(item));
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<Spanned<String>, Spanned<Tree>>()? {
            fields.push((name.value, place(name.referenced), node(value)));
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# first\na: 1\nb:\n  c: [x, {d: w}]\n  e.f: z\n---\n---\nb: 2.5\nc: null\n";

    #[test]
    fn values_know_where_they_stand() {
        let found = documents(TEXT, "it.yaml").unwrap();
        let values: Vec<_> = found.iter().map(Node::value).collect();
        let expected = [
            serde_json::json!({"a": 1, "b": {"c": ["x", {"d": "w"}], "e.f": "z"}}),
            serde_json::json!({"b": 2.5, "c": null}),
        ];
        assert_eq!(values, expected);
        let rows = [
            ("", 2, 1),
            ("a", 2, 1),
            ("b.c", 4, 3),
            ("b.c[1].d", 4, 11),
            ("b.c[7]", 4, 3),
            ("b.nothing.here", 3, 1),
        ];
        for (path, line, column) in rows {
            assert_eq!(found[0].find(path), Place { line, column }, "{path}");
        }
        assert_eq!(found[1].find("b").line, 8);
    }

    #[test]
    fn numbers_and_truth_are_read_as_kubectl_does() {
        let text = "[0440, 0o440, 440, \"0440\", yes, off, 1e3, 1.10]";
        let found = documents(text, "it.yaml").unwrap();
        let expected = serde_json::json!([288, 288, 440, "0440", true, false, 1000.0, 1.1]);
        assert_eq!(found[0].value(), expected);
    }

    #[test]
    fn what_is_no_yaml_is_pointed_at() {
        let problem = documents("a: 1\nb: [1, 2\nc: 3\n", "it.yaml").unwrap_err();
        assert!(problem.to_string().starts_with("it.yaml:"), "{problem}");
        let problem = documents("a: 1\na: 2\n", "it.yaml").unwrap_err();
        assert_eq!(problem.to_string(), "it.yaml:2:1: duplicate mapping key: a");
    }
}
