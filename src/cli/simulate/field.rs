//! Reads the fields of a file one by one; what is wrong with each is kept, with what would be right.

use std::time::Duration;

use serde_json::Value;

use crate::cli::simulate::problem::{Broken, Place, Problem, meant};
use crate::cli::simulate::yaml::{Node, Tree};

/// Reads fields, and keeps what is wrong with them.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a str,
    found: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader of a file with nothing wrong so far.
    #[must_use]
    pub fn new(file: &'a str) -> Self {
        Self {
            file,
            found: Vec::new(),
        }
    }

    /// What was read, if nothing was wrong.
    ///
    /// # Errors
    /// With everything that was.
    pub fn done<T>(self, read: T) -> Result<T, Broken> {
        if self.found.is_empty() {
            Ok(read)
        } else {
            Err(Broken(self.found))
        }
    }

    /// The file as a whole is wrong.
    pub fn refuse_all(&mut self, message: &str) {
        let problem = Problem::new(self.file, Place::default(), "", message);
        self.found.push(problem);
    }

    /// A value is wrong.
    pub fn refuse(&mut self, node: &Node, path: &str, message: &str) {
        let problem = Problem::new(self.file, node.place, path, message);
        self.found.push(problem);
    }

    /// The fields of a value have names among these.
    pub fn only(&mut self, node: &Node, path: &str, known: &[&str]) {
        let Tree::Map(fields) = &node.tree else {
            let message = format!("is {}, and has to be fields: {}", node.kind(), all(known));
            return self.refuse(node, path, &message);
        };
        for (name, place, _) in fields {
            if known.contains(&name.as_str()) {
                continue;
            }
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let message = match meant(name, known.iter().copied()) {
                Some(other) => format!("is not known here; did you mean {other}?"),
                None => format!("is not known here; known are {}", all(known)),
            };
            let problem = Problem::new(self.file, *place, &path, &message);
            self.found.push(problem);
        }
    }

    fn wrong<T>(&mut self, node: &Node, path: &str, right: &str) -> Option<T> {
        let found = match node.value() {
            Value::String(text) => format!("{text:?}"),
            Value::Number(number) => number.to_string(),
            _ => node.kind().to_owned(),
        };
        self.refuse(node, path, &format!("is {found}, and has to be {right}"));
        None
    }

    /// A list.
    pub fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        match &node.tree {
            Tree::List(items) => items,
            Tree::Plain(Value::Null) => &[],
            _ => {
                let right = "a list of rows, such as - {at: 0s, …}";
                self.wrong::<()>(node, path, right);
                &[]
            }
        }
    }

    /// A text.
    pub fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.tree {
            Tree::Plain(Value::String(text)) => Some(text.clone()),
            _ => self.wrong(node, path, "a text"),
        }
    }

    /// True or false.
    pub fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.tree {
            Tree::Plain(Value::Bool(flag)) => Some(flag),
            _ => self.wrong(node, path, "true or false"),
        }
    }

    /// One of some words.
    pub fn word(&mut self, node: &Node, path: &str, words: &[&str]) -> Option<String> {
        match &node.tree {
            Tree::Plain(Value::String(text)) if words.contains(&text.as_str()) => {
                Some(text.clone())
            }
            _ => self.wrong(node, path, &words.join(" or ")),
        }
    }

    /// A number from 0 to a most.
    pub fn number(&mut self, node: &Node, path: &str, most: f64) -> Option<f64> {
        let number = match &node.tree {
            Tree::Plain(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        let number = number.filter(|number| (0.0..=most).contains(number));
        number.or_else(|| self.wrong(node, path, &format!("a number from 0 to {most}")))
    }

    /// A part, from 0 to 1, of a percentage such as `5%`.
    pub fn share(&mut self, node: &Node, path: &str) -> Option<f64> {
        let percent = match &node.tree {
            Tree::Plain(Value::Number(number)) => number.as_f64(),
            Tree::Plain(Value::String(text)) => text
                .strip_suffix('%')
                .and_then(|number| number.trim().parse().ok()),
            _ => None,
        };
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        let part = percent.map(|percent| percent / 100.0);
        part.or_else(|| self.wrong(node, path, "a percentage from 0% to 100%, such as 0.5%"))
    }

    /// A length of time, such as `40ms`.
    pub fn duration(&mut self, node: &Node, path: &str) -> Option<Duration> {
        let duration = match &node.tree {
            Tree::Plain(Value::String(text)) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        duration.or_else(|| {
            self.wrong(
                node,
                path,
                "a duration with its unit, such as 40ms, 8s or 5m",
            )
        })
    }

    /// An age, or `never`.
    pub fn age(&mut self, node: &Node, path: &str) -> Option<Option<Duration>> {
        if matches!(&node.tree, Tree::Plain(Value::String(text)) if text == "never") {
            return Some(None);
        }
        let duration = match &node.tree {
            Tree::Plain(Value::String(text)) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        let right = "the age of a process with its unit, such as 20s, or never";
        duration.map_or_else(|| self.wrong(node, path, right), |age| Some(Some(age)))
    }
}

fn all(known: &[&str]) -> String {
    known.join(", ")
}
