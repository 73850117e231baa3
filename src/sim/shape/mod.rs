//! What the fields of a kind are: which lists are known by keys, what is one leaf, what is always written, what goes when it is empty.

mod definition;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use crate::sim::kinds::Served;

/// A kind, as apply, patches and emptiness see it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name.
    pub kind: String,
    /// It has types of Go behind it: fields are written or left out as those say. Kinds of CRDs keep what they are given.
    pub typed: bool,
    /// `status` is a subresource.
    pub status: bool,
    root: Arc<Node>,
}

/// The fields below one.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct Node {
    /// One leaf for managers of fields.
    pub atomic: bool,
    /// One leaf for strategic merge patches.
    pub replaced: bool,
    pub holds: Holds,
}

/// What a field holds.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) enum Holds {
    /// A scalar, an object with such fields, or a list that is one leaf.
    #[default]
    Plain,
    /// Anything: as `Plain`, but an object is a map.
    Free,
    /// Fields, of which those that are not plain are listed; `free` if others may be anything.
    Fields {
        listed: BTreeMap<String, Field>,
        free: bool,
    },
    /// A map of which each value is the same.
    Map(Arc<Node>),
    /// A list.
    List(Arc<Listed>),
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Field {
    pub node: Arc<Node>,
    pub presence: Presence,
}

/// When a field is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Presence {
    /// When it was given.
    Given,
    /// Always; as this, when it was not given.
    Always(Value),
    /// Unless it is the empty value of its type.
    UnlessEmpty,
}

/// How the items of a list are told apart, and what they are.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Listed {
    /// By managers of fields.
    pub known_by: KnownBy,
    /// By strategic merge patches: the key, or nothing for values that are their own key; without it the list is replaced.
    pub merged_by: Option<Option<String>>,
    pub item: Arc<Node>,
}

/// How managers of fields tell items apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) enum KnownBy {
    /// Not at all: the list is one leaf.
    Nothing,
    /// By their values.
    Value,
    /// By some fields, which may have defaults.
    Keys(Vec<(String, Option<Value>)>),
}

/// A value with its shape: what managers of fields see of it.
pub(in crate::sim) enum Seen<'a> {
    Leaf,
    Map,
    List(&'a Listed),
}

static PLAIN: Node = Node {
    atomic: false,
    replaced: false,
    holds: Holds::Plain,
};
static FREE: Node = Node {
    atomic: false,
    replaced: false,
    holds: Holds::Free,
};
static BUILT_IN: LazyLock<BTreeMap<String, Shape>> = LazyLock::new(table::read);

impl Shape {
    /// The shape of a kind that is served.
    #[must_use]
    pub fn of(served: &Served) -> Self {
        match &served.definition {
            Some(crd) => definition::read(crd, served),
            None => Self::built_in(&served.group, &served.kind),
        }
    }

    /// The shape of a kind of Kubernetes or of Gateway API; a kind that is unknown has plain fields.
    #[must_use]
    pub fn built_in(group: &str, kind: &str) -> Self {
        let name = match (group, kind) {
            ("events.k8s.io", "Event") => "EventOfEvents",
            (_, kind) => kind,
        };
        let known = BUILT_IN.get(name).cloned();
        known.unwrap_or_else(|| Self::new(kind, Arc::default()))
    }

    fn new(kind: &str, root: Arc<Node>) -> Self {
        Self {
            kind: kind.to_owned(),
            typed: false,
            status: true,
            root,
        }
    }

    pub(in crate::sim) fn root(&self) -> &Node {
        &self.root
    }

    /// Writes what is always written, and takes out what is empty, as the Go types do. Nothing happens to kinds of CRDs but to
    /// their metadata.
    pub fn tidy(&self, object: &mut Value) {
        if self.typed {
            self.root.tidy(object);
        } else if let Some(metadata) = object.get_mut("metadata") {
            self.root.child("metadata").0.tidy(metadata);
        }
    }

    /// What an object is before it exists.
    #[must_use]
    pub fn nothing(&self) -> Value {
        let mut nothing = json!({});
        if self.typed {
            self.root.tidy(&mut nothing);
        }
        nothing
    }
}

impl Node {
    /// The node of a field, and whether the field is one by name rather than a key of a map.
    pub(in crate::sim) fn child(&self, name: &str) -> (&Self, bool) {
        match &self.holds {
            Holds::Fields { listed, free } => match listed.get(name) {
                Some(field) => (&field.node, true),
                None if *free => (&FREE, false),
                None => (&PLAIN, true),
            },
            Holds::Map(item) => (item, false),
            Holds::Free => (&FREE, false),
            Holds::Plain | Holds::List(_) => (&PLAIN, true),
        }
    }

    /// The node of an item of this list.
    pub(in crate::sim) fn item(&self) -> &Self {
        match &self.holds {
            Holds::List(listed) => &listed.item,
            _ => &PLAIN,
        }
    }

    /// What managers of fields see when a value is here.
    pub(in crate::sim) fn see(&self, value: &Value) -> Seen<'_> {
        if self.atomic {
            return Seen::Leaf;
        }
        match (&self.holds, value) {
            (Holds::List(listed), Value::Array(_) | Value::Null)
                if listed.known_by != KnownBy::Nothing =>
            {
                Seen::List(listed)
            }
            (Holds::List(_), _) => Seen::Leaf,
            (_, Value::Object(_)) | (Holds::Fields { .. } | Holds::Map(_), Value::Null) => {
                Seen::Map
            }
            _ => Seen::Leaf,
        }
    }

    fn tidy(&self, value: &mut Value) {
        match (&self.holds, value) {
            (Holds::Fields { listed, .. }, Value::Object(object)) => {
                for (name, field) in listed {
                    field.tidy(name, object);
                }
                object.retain(|name, value| {
                    !value.is_null() || listed.get(name).is_some_and(Field::is_always)
                });
            }
            (Holds::Plain, Value::Object(object)) => object.retain(|_, value| !value.is_null()),
            (Holds::Map(item), Value::Object(object)) => {
                object.values_mut().for_each(|value| item.tidy(value))
            }
            (Holds::List(listed), Value::Array(items)) => {
                items.iter_mut().for_each(|value| listed.item.tidy(value))
            }
            _ => {}
        }
    }
}

impl Field {
    fn is_always(&self) -> bool {
        matches!(self.presence, Presence::Always(_))
    }

    fn tidy(&self, name: &str, object: &mut Map<String, Value>) {
        let is_empty_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if let Presence::Always(zero) = &self.presence
            && object
                .get(name)
                .is_none_or(|value| value.is_null() || is_empty_list(value))
        {
            object.insert(name.to_owned(), zero.clone());
        }
        let Some(value) = object.get_mut(name) else {
            return;
        };
        self.node.tidy(value);
        if self.presence == Presence::UnlessEmpty && is_empty(value) {
            object.remove(name);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
