//! Reads fields of JSON objects: what is absent has a default, what has another type than its API promises is an error.

use jiff::Timestamp;
use serde_json::Value;

use crate::digest::Malformed;
use crate::objects::Labels;

/// One object, or a part of one. Paths are JSON pointers.
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a Value);

impl<'a> View<'a> {
    /// The value at this path; `null` is as good as absent.
    pub(crate) fn at(self, path: &str) -> Option<&'a Value> {
        self.0.pointer(path).filter(|value| !value.is_null())
    }

    /// The part at this path.
    pub(crate) fn part(self, path: &str) -> Option<Self> {
        self.at(path).map(Self)
    }

    pub(crate) fn has(self, path: &str) -> bool {
        self.at(path).is_some()
    }

    fn typed<T>(
        self,
        path: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Malformed> {
        let Some(value) = self.at(path) else {
            return Ok(None);
        };
        let wrong = || Malformed {
            path: path.to_owned(),
            expected,
        };
        read(value).map(Some).ok_or_else(wrong)
    }

    /// A text, or nothing.
    pub(crate) fn option(self, path: &str) -> Result<Option<&'a str>, Malformed> {
        self.typed(path, "a text", Value::as_str)
    }

    /// A text; empty if absent.
    pub(crate) fn text(self, path: &str) -> Result<String, Malformed> {
        Ok(self.option(path)?.unwrap_or_default().to_owned())
    }

    /// A text that has to be there.
    pub(crate) fn name(self, path: &str) -> Result<String, Malformed> {
        let text = self.text(path)?;
        if text.is_empty() {
            return Err(Malformed {
                path: path.to_owned(),
                expected: "a name",
            });
        }
        Ok(text)
    }

    pub(crate) fn long(self, path: &str, default: i64) -> Result<i64, Malformed> {
        let found = self.typed(path, "a whole number", Value::as_i64)?;
        Ok(found.unwrap_or(default))
    }

    pub(crate) fn number(self, path: &str, default: i32) -> Result<i32, Malformed> {
        let small = |value: &Value| value.as_i64().and_then(|wide| i32::try_from(wide).ok());
        let found = self.typed(path, "a whole number of 32 bits", small)?;
        Ok(found.unwrap_or(default))
    }

    /// False if absent.
    pub(crate) fn flag(self, path: &str) -> Result<bool, Malformed> {
        let found = self.typed(path, "true or false", Value::as_bool)?;
        Ok(found.unwrap_or_default())
    }

    pub(crate) fn labels(self, path: &str) -> Result<Labels, Malformed> {
        let texts = |value: &Value| {
            let pair = |(key, value): (&String, &Value)| Some((key.clone(), text_of(value)?));
            value.as_object()?.iter().map(pair).collect()
        };
        let found = self.typed(path, "a map of texts", texts)?;
        Ok(found.unwrap_or_default())
    }

    /// The elements of a list; none if absent.
    pub(crate) fn items(self, path: &str) -> Result<impl Iterator<Item = Self> + 'a, Malformed> {
        let found = self.typed(path, "a list", Value::as_array)?;
        Ok(found.into_iter().flatten().map(View))
    }

    /// A time; one that cannot be read is none.
    pub(crate) fn time(self, path: &str) -> Option<Timestamp> {
        self.at(path)?.as_str()?.parse().ok()
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        value => value.as_str().map(str::to_owned),
    }
}
