//! Regular expressions as RE2 reads them.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;

use crate::sim::cel::value::Fault;

/// What was compiled before: an expression puts the same pattern together again and again.
static KNOWN: LazyLock<Mutex<BTreeMap<String, Regex>>> = LazyLock::new(Mutex::default);

/// Patterns that are remembered; a program that makes more of them starts anew.
const REMEMBERED: usize = 1000;

/// A pattern.
pub(in crate::sim) fn pattern(text: &str) -> Result<Regex, Fault> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(text) {
        return Ok(found.clone());
    }
    let made = Regex::new(&translate(text))
        .map_err(|error| Fault::new(format!("error parsing regexp: {error}")))?;
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(text.to_owned(), made.clone());
    Ok(made)
}

/// In RE2 the classes `\d`, `\s` and `\w` are of ASCII, and a bracket or `&&` in a class is nothing special.
fn translate(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut in_class = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => result.push_str(&escape(letters.next(), in_class)),
            '[' if in_class && letters.peek() != Some(&':') => result.push_str("\\["),
            '[' if !in_class => {
                in_class = true;
                result.push('[');
                // A bracket that comes first is a letter.
                if letters.next_if_eq(&'^').is_some() {
                    result.push('^');
                }
                if letters.next_if_eq(&']').is_some() {
                    result.push_str("\\]");
                }
            }
            '[' => {
                result.push('[');
                for part in letters.by_ref() {
                    result.push(part);
                    if part == ']' {
                        break;
                    }
                }
            }
            ']' => {
                in_class = false;
                result.push(']');
            }
            '&' | '~' if in_class => result.extend(['\\', letter]),
            other => result.push(other),
        }
    }
    result
}

fn escape(letter: Option<char>, in_class: bool) -> String {
    let class = match letter {
        Some('d' | 'D') => "0-9",
        Some('s' | 'S') => "\\t\\n\\f\\r ",
        Some('w' | 'W') => "0-9A-Za-z_",
        Some(other) => return format!("\\{other}"),
        None => return "\\".to_owned(),
    };
    match (in_class, letter.is_some_and(char::is_uppercase)) {
        (true, false) => class.to_owned(),
        (_, true) => format!("[^{class}]"),
        (false, false) => format!("[{class}]"),
    }
}
