//! The text of a request: the annotation that asks the controller for a verb.

use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;

/// Characters that a reason may have: admission takes 2048 for the whole request.
const REASON: usize = 1000;

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
    /// A request of its own identity.
    #[must_use]
    pub fn new(verb: &'static str) -> Self {
        Self {
            verb,
            id: identity(),
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

fn identity() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness the time would still tell two requests of one person apart.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        bytes = crate::clock::Clock::System
            .now()
            .as_microsecond()
            .to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    text.trim().chars().map(plain).take(REASON).collect()
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
            id: "0011223344556677".to_owned(),
            reason: Some(clean(r#"a "b" \c"#)),
            to: Some("6dd7b68f5".to_owned()),
            ..Request::new("rollback")
        };
        let expected =
            r#"{"verb":"rollback","id":"0011223344556677","reason":"a 'b' /c","to":"6dd7b68f5"}"#;
        assert_eq!(request.text(), expected);
    }

    #[test]
    fn every_request_is_its_own() {
        assert_ne!(Request::new("abort").id, Request::new("abort").id);
    }
}
