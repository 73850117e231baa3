//! The fields of an object, taken out one after the other: what nobody took is left over, and is told.

use serde_json::{Map, Value};

use crate::cli::migrate::account::Account;

/// Fields below a path.
#[derive(Clone, Debug)]
pub struct Fields {
    path: String,
    left: Map<String, Value>,
}

impl Fields {
    /// The fields of a value; a value without fields has none.
    #[must_use]
    pub fn new(path: &str, value: Option<Value>) -> Self {
        let left = match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Self {
            path: path.to_owned(),
            left,
        }
    }

    /// The path of a field.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// Whether a field is left.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|value| !value.is_null())
    }

    /// Takes a field; `null` means that it is missing.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field that has fields; of another form it stays, as with all that follow.
    pub fn below(&mut self, name: &str) -> Option<Self> {
        let path = self.path(name);
        self.read(name, |value| value.is_object().then(|| value.clone()))
            .map(|value| Self::new(&path, Some(value)))
    }

    /// Takes a text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, |value| value.as_str().map(str::to_owned))
    }

    /// Takes a whole number; a text may hold it.
    pub fn number(&mut self, name: &str) -> Option<i64> {
        self.read(name, |value| {
            value.as_i64().or_else(|| value.as_str()?.parse().ok())
        })
    }

    /// Takes a truth value.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, Value::as_bool)
    }

    /// Takes a list, each item with its path.
    pub fn list(&mut self, name: &str) -> Vec<(String, Value)> {
        let path = self.path(name);
        let items = self.read(name, |value| value.as_array().cloned());
        let numbered = items.unwrap_or_default().into_iter().enumerate();
        numbered
            .map(|(index, item)| (format!("{path}[{index}]"), item))
            .collect()
    }

    fn read<T>(&mut self, name: &str, as_wanted: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let found = self.left.get(name).and_then(as_wanted)?;
        self.left.remove(name);
        Some(found)
    }

    /// Takes these fields over as they are.
    pub fn keep(&mut self, names: &[&str], into: &mut Map<String, Value>, account: &mut Account) {
        for name in names {
            if let Some(value) = self.take(name) {
                into.insert((*name).to_owned(), value);
                account.keep(&self.path(name));
            }
        }
    }

    /// Takes these fields out; they have no meaning any more.
    pub fn forget(&mut self, rows: &[(&str, &str)], account: &mut Account) {
        for (name, why) in rows {
            if self.take(name).is_some() {
                account.drop(&self.path(name), why);
            }
        }
    }

    /// Takes these fields out; a person has to see to what they did.
    pub fn hand_over(&mut self, rows: &[(&str, &str)], account: &mut Account) {
        for (name, why) in rows {
            if self.take(name).is_some_and(|value| !says_nothing(&value)) {
                account.ask(&self.path(name), why);
            }
        }
    }

    /// Says of all that is left that nothing was made of it.
    pub fn close(self, account: &mut Account) {
        for (name, value) in &self.left {
            if !says_nothing(value) {
                let path = self.path(name);
                account.ask(&path, "is not known here, and is left out: see what it did");
            }
        }
    }

    /// Takes out everything: it has been told as a whole.
    pub fn clear(&mut self) {
        self.left.clear();
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.left
    }
}

/// Whether a value says what its absence says, too.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
    }
}

/// Says what of the metadata is not taken over.
pub fn tell_metadata(object: &Value, account: &mut Account) {
    for name in ["ownerReferences", "finalizers"] {
        if object["metadata"].get(name).is_some() {
            let field = format!("metadata.{name}");
            account.drop(&field, "belongs to the old object");
        }
    }
    let notes = object["metadata"]["annotations"].as_object();
    let sends = notes.is_some_and(|notes| {
        notes
            .keys()
            .any(|key| key.starts_with("notifications.argoproj.io/"))
    });
    if sends {
        account.ask(
            "metadata.annotations",
            "notifications.argoproj.io: write an AlertProvider and analysis.alerts (docs/alerts.md)",
        );
    }
}

/// The metadata of a new object: what people wrote, and not what the API server added.
#[must_use]
pub fn metadata(object: &Value) -> Map<String, Value> {
    let mut fields = Fields::new("metadata", object.get("metadata").cloned());
    let mut kept = Map::new();
    for name in ["name", "namespace", "labels"] {
        if let Some(value) = fields.take(name) {
            kept.insert(name.to_owned(), value);
        }
    }
    if let Some(Value::Object(mut notes)) = fields.take("annotations") {
        notes.retain(|key, _| !is_of_tools(key));
        if !notes.is_empty() {
            kept.insert("annotations".to_owned(), Value::Object(notes));
        }
    }
    kept
}

/// Annotations that belong to the old controller or to the last apply.
fn is_of_tools(key: &str) -> bool {
    key == "kubectl.kubernetes.io/last-applied-configuration"
        || key.starts_with("rollout.argoproj.io/")
        || key.starts_with("notifications.argoproj.io/")
}
