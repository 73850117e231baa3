//! Values: JSON as it lies in memory, and what expressions make.

use std::borrow::Cow;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::sim::cel::authorizer::Ask;
use crate::sim::cel::moment;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn no_key(key: &str) -> Self {
        Self(format!("no such key: {key}"))
    }

    pub(super) fn no_overload() -> Self {
        Self("no such overload".to_owned())
    }

    /// What cel-go says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// What an evaluation ends with.
pub(super) type Outcome<'a> = Result<Val<'a>, Fault>;

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// Of JSON.
    Json(&'a [Value]),
    /// Made by an expression.
    Made(Rc<Vec<Val<'a>>>),
}

/// A map or an object.
#[derive(Clone, Debug)]
pub enum Dict<'a> {
    /// Of JSON.
    Json(&'a Map<String, Value>),
    /// Made by an expression.
    Made(Rc<Vec<(Val<'a>, Val<'a>)>>),
}

/// A value.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    /// `null`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `double`.
    Double(f64),
    /// `string`.
    Text(Cow<'a, str>),
    /// `bytes`.
    Bytes(Rc<[u8]>),
    /// `list`.
    List(List<'a>),
    /// `map`, and every object.
    Dict(Dict<'a>),
    /// `optional_type`.
    Optional(Option<Rc<Self>>),
    /// `type`.
    Type(&'static str),
    /// `google.protobuf.Duration`.
    Duration(SignedDuration),
    /// `google.protobuf.Timestamp`.
    Moment(Timestamp),
    /// The authorizer, with what was asked so far.
    Authorizer(Rc<Ask>),
    /// What the authorizer decided.
    Decision(bool),
    /// What `variables` is.
    Variables,
}

impl<'a> Val<'a> {
    /// JSON as a value, without a copy.
    #[must_use]
    pub fn of(json: &'a Value) -> Self {
        match json {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => number.as_i64().map_or_else(
                || Self::Double(number.as_f64().unwrap_or_default()),
                Self::Int,
            ),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(List::Json(items)),
            Value::Object(fields) => Self::Dict(Dict::Json(fields)),
        }
    }

    /// An optional without a value.
    #[must_use]
    pub fn none() -> Self {
        Self::Optional(None)
    }

    /// An optional with this value.
    #[must_use]
    pub fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(items)))
    }

    pub(super) fn dict(entries: Vec<(Self, Self)>) -> Self {
        Self::Dict(Dict::Made(Rc::new(entries)))
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Whether it is the truth, `true`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(super) fn truth(&self) -> Result<bool, Fault> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(Fault::no_overload()),
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its type, as `type()` names it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Dict(_) | Self::Variables => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Moment(_) => "google.protobuf.Timestamp",
            Self::Authorizer(_) => "kubernetes.authorization.Authorizer",
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// Whether it is what a variable of its type has when nothing was set.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(list) => list.len() == 0,
            Self::Dict(dict) => dict.len() == 0,
            Self::Optional(inner) => inner.is_none(),
            Self::Duration(value) => value.is_zero(),
            _ => false,
        }
    }

    /// The value as JSON.
    ///
    /// # Errors
    /// When JSON has no such value.
    pub fn json(&self) -> Result<Value, Fault> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::from(*value),
            Self::Int(value) => Value::from(*value),
            Self::Uint(value) => Value::from(*value),
            Self::Double(value) => Value::from(*value),
            Self::Text(text) => Value::from(text.as_ref()),
            Self::List(List::Json(items)) => Value::from(items.to_vec()),
            Self::List(list) => Value::from(
                list.iter()
                    .map(|item| item.json())
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Self::Dict(dict) => Value::Object(dict.json()?),
            Self::Duration(value) => Value::from(moment::spoken(*value)),
            Self::Moment(value) => Value::from(value.to_string()),
            Self::Optional(Some(inner)) => inner.json()?,
            other => return Err(Fault::new(format!("{} is no JSON", other.type_name()))),
        })
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items) => items.get(index).map(Val::of),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    /// Its values, in order.
    pub fn iter(&self) -> impl Iterator<Item = Val<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Dict<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(fields) => fields.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    pub(super) fn get(&self, key: &Val<'a>) -> Option<Val<'a>> {
        match self {
            Self::Json(_) => self.field(key.as_text()?),
            Self::Made(entries) => entries
                .iter()
                .find(|(found, _)| found == key)
                .map(|(_, value)| value.clone()),
        }
    }

    /// A field by its name, or by the name that stands for it in expressions.
    pub(super) fn field(&self, name: &str) -> Option<Val<'a>> {
        match self {
            Self::Json(fields) => fields.get(name).map(Val::of).or_else(|| {
                let plain = name.contains("__").then(|| unescape(name))?;
                fields.get(&plain).map(Val::of)
            }),
            Self::Made(entries) => entries
                .iter()
                .find(|(key, _)| key.as_text() == Some(name))
                .map(|(_, value)| value.clone()),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Val<'a>, Val<'a>)> {
        let entries: Vec<_> = match self {
            Self::Json(fields) => fields
                .iter()
                .map(|(key, value)| (Val::Text(Cow::Borrowed(key)), Val::of(value)))
                .collect(),
            Self::Made(entries) => entries.to_vec(),
        };
        entries.into_iter()
    }

    fn json(&self) -> Result<Map<String, Value>, Fault> {
        if let Self::Json(fields) = self {
            return Ok((*fields).clone());
        }
        self.iter()
            .map(|(key, value)| {
                let key = key
                    .as_text()
                    .ok_or_else(|| Fault::new("JSON has texts for keys"))?
                    .to_owned();
                Ok((key, value.json()?))
            })
            .collect()
    }
}

/// What the API server writes for names that CEL does not take: `__namespace__`, `a__dash__b`.
fn unescape(name: &str) -> String {
    let keyword = name
        .strip_prefix("__")
        .and_then(|rest| rest.strip_suffix("__"));
    if let Some(keyword) =
        keyword.filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
    {
        return keyword.to_owned();
    }
    [
        ("__dash__", "-"),
        ("__dot__", "."),
        ("__slash__", "/"),
        ("__underscores__", "__"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (escaped, plain)| {
        name.replace(escaped, plain)
    })
}

impl PartialEq for Val<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) | (Self::Decision(a), Self::Decision(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => a == b,
            (Self::Optional(a), Self::Optional(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Moment(a), Self::Moment(b)) => a == b,
            (a, b) => a.order_of_numbers(b) == Some(std::cmp::Ordering::Equal),
        }
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) if a == b => true,
            _ => self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a == b),
        }
    }
}

impl PartialEq for Dict<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) if std::ptr::eq(*a, *b) || a == b => true,
            _ => {
                self.len() == other.len()
                    && self
                        .iter()
                        .all(|(key, value)| other.get(&key).is_some_and(|found| found == value))
            }
        }
    }
}

impl Val<'_> {
    /// Which of two numbers is greater, whatever their types.
    pub(super) fn order_of_numbers(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Double(a), b) => a.partial_cmp(&b.double()?),
            (a, Self::Double(b)) => a.double()?.partial_cmp(b),
            (a, b) => Some(a.whole()?.cmp(&b.whole()?)),
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "CEL compares so")]
    fn double(&self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(*value),
            other => other.whole().map(|whole| whole as f64),
        }
    }
}
