//! The text of a request: the annotation that asks the controller for a verb.

use serde::Serialize;

/// Characters that a reason may have: admission takes 2048 for the whole request.
pub const LONGEST_REASON: usize = 1000;

/// What a person asks for. The order of the members is that in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The verb.
    pub verb: &'static str,
    /// Its identity.
    pub id: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only if this is the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The revision to put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Request {
    /// A request of this identity for a verb, and nothing else.
    #[must_use]
    pub fn new(verb: &'static str, id: String) -> Self {
        Self {
            verb,
            id,
            reason: None,
            revision: None,
            to: None,
        }
    }

    /// The text of the annotation.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| self.verb.to_owned())
    }
}

/// A value without what admission refuses: quotation marks, backslashes and control characters.
#[must_use]
pub fn clean(text: &str) -> String {
    let plain = |sign: char| match sign {
        '"' => '\'',
        '\\' => '/',
        sign if sign.is_control() => ' ',
        sign => sign,
    };
    text.trim()
        .chars()
        .map(plain)
        .take(LONGEST_REASON)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_nothing_that_admission_refuses() {
        let rows = [
            ("looks good", "looks good"),
            (r#"the "new" one"#, "the 'new' one"),
            ("C:\\temp\n\tand more\u{1b}[0m", "C:/temp  and more [0m"),
        ];
        for (text, expected) in rows {
            assert_eq!(clean(text), expected);
        }
        assert_eq!(clean(&"x".repeat(5000)).len(), 1000);
    }

    #[test]
    fn the_text_is_flat_json() {
        let request = Request {
            reason: Some(clean(r#"a "b" \c"#)),
            to: Some("6dd7b68f5".to_owned()),
            ..Request::new("rollback", "0011223344556677".to_owned())
        };
        let expected =
            r#"{"verb":"rollback","id":"0011223344556677","reason":"a 'b' /c","to":"6dd7b68f5"}"#;
        assert_eq!(request.text(), expected);
    }
}
