//! Labels of series, and the conditions of selectors on them.

use std::fmt;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

/// The label that holds the metric's name.
pub const NAME: &str = "__name__";

/// The labels of one series, by name; a label without a value is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

impl Labels {
    /// Labels of these names and values.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let mut labels: Vec<_> = pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        labels.sort();
        labels.dedup_by(|later, first| later.0 == first.0);
        Self(labels)
    }

    /// The value of a label; empty if it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| &**own == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same with another value of one label; an empty one takes it away.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.0.binary_search_by(|(own, _)| (**own).cmp(name)) {
            Ok(at) if value.is_empty() => drop(self.0.remove(at)),
            Ok(at) => self.0[at].1 = value.into(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, (name.into(), value.into())),
        }
        self
    }

    /// Those of the labels whose names are kept.
    #[must_use]
    pub fn keep(mut self, kept: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(name, _)| kept(name));
        self
    }

    /// The same without the metric's name.
    #[must_use]
    pub fn nameless(self) -> Self {
        self.keep(|name| name != NAME)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The labels as the HTTP API gives them.
    #[must_use]
    pub fn json(&self) -> Value {
        self.iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self
            .iter()
            .filter(|(name, _)| *name != NAME)
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        write!(f, "{}{{{}}}", self.get(NAME), pairs.join(", "))
    }
}

/// How a selector compares a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `=~`: the whole value matches a pattern.
    Like,
    /// `!~`
    Unlike,
}

/// A condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub label: String,
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// The value is one of these.
    OneOf(Vec<String>),
    /// The value matches a pattern.
    Pattern(Regex),
}

impl Matcher {
    /// A condition as a selector writes it.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn new(label: &str, comparison: Comparison, value: &str) -> Result<Self, String> {
        let test = match comparison {
            Comparison::Equal | Comparison::Unequal => Test::OneOf(vec![value.to_owned()]),
            Comparison::Like | Comparison::Unlike => match alternatives(value) {
                Some(values) => Test::OneOf(values),
                None => Test::Pattern(anchored(value)?),
            },
        };
        Ok(Self {
            label: label.to_owned(),
            negated: matches!(comparison, Comparison::Unequal | Comparison::Unlike),
            test,
        })
    }

    /// Whether a series with these labels is selected, as far as this label goes.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.takes(labels.get(&self.label))
    }

    /// Whether it takes this value; a label that is not there is empty.
    #[must_use]
    pub fn takes(&self, value: &str) -> bool {
        let found = match &self.test {
            Test::OneOf(values) => values.iter().any(|one| one == value),
            Test::Pattern(pattern) => pattern.is_match(value),
        };
        found != self.negated
    }

    /// The only values that it takes, if they can be told and none of them is empty.
    #[must_use]
    pub fn values(&self) -> Option<&[String]> {
        match &self.test {
            Test::OneOf(values)
                if !self.negated && values.iter().all(|value| !value.is_empty()) =>
            {
                Some(values)
            }
            Test::OneOf(_) | Test::Pattern(_) => None,
        }
    }
}

/// A pattern that has to match a whole value, whose `.` matches line breaks too.
///
/// # Errors
/// If it is none, with the reason in one line.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?s:{pattern})$")).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

/// The texts that a pattern names, if it is nothing but texts between `|`.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let literal = match letter {
            '|' => {
                texts.push(String::new());
                continue;
            }
            '\\' => letters.next().filter(char::is_ascii_punctuation)?,
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            letter => letter,
        };
        texts.last_mut()?.push(literal);
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_values() {
        let rows = [
            (Comparison::Equal, "", "", true),
            (Comparison::Equal, "a", "", false),
            (Comparison::Unequal, "", "a", true),
            (Comparison::Like, "5..", "503", true),
            (Comparison::Like, "5..", "5030", false),
            (Comparison::Like, "5.*", "5", true),
            (Comparison::Like, ".+", "", false),
            (Comparison::Like, "", "", true),
            (Comparison::Like, "a|b", "b", true),
            (Comparison::Like, "a|b", "ab", false),
            (Comparison::Like, r"a-1|a\.2", "a.2", true),
            (Comparison::Like, r"a-1|a\.2", "ax2", false),
            (Comparison::Like, "(a|b)c", "bc", true),
            (Comparison::Like, ".*", "a\nb", true),
            (Comparison::Unlike, "a|b", "c", true),
            (Comparison::Unlike, ".+", "", true),
        ];
        for (comparison, pattern, value, expected) in rows {
            let matcher = Matcher::new("l", comparison, pattern).unwrap();
            let labels = Labels::of([("l", value)]);
            assert_eq!(
                matcher.matches(&labels),
                expected,
                "{comparison:?} {pattern} {value}"
            );
        }
        assert!(Matcher::new("l", Comparison::Like, "(").is_err());
    }

    #[test]
    fn values_that_can_be_told_are() {
        let values = |comparison, value| {
            let matcher = Matcher::new("l", comparison, value).unwrap();
            matcher.values().map(<[String]>::to_vec)
        };
        assert_eq!(
            values(Comparison::Like, r"a|b\.c"),
            Some(vec!["a".into(), "b.c".into()])
        );
        assert_eq!(values(Comparison::Like, r"\d"), None);
        assert_eq!(values(Comparison::Like, "a|"), None);
        assert_eq!(values(Comparison::Unlike, "a"), None);
    }

    #[test]
    fn labels_are_sorted_and_have_values() {
        let labels = Labels::of([("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="2"}"#);
        assert_eq!(labels.clone().with("a", "").to_string(), r#"{b="2"}"#);
        assert_eq!(labels.with(NAME, "up").to_string(), r#"up{a="1", b="2"}"#);
    }
}
