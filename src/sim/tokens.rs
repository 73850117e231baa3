//! Tokens: whom they belong to, whom they are meant for, and until when. `TokenReview` tells.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::api::Who;

/// The audience of the API server itself.
pub const OWN_AUDIENCE: &str = "https://kubernetes.default.svc";

/// A token that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its owner.
    pub who: Who,
    /// Whom it is meant for.
    pub audiences: Vec<String>,
    /// When it expires, if it does.
    pub until: Option<Timestamp>,
}

impl Token {
    /// A token for the API server that does not expire.
    #[must_use]
    pub fn of(who: Who) -> Self {
        Self {
            who,
            audiences: vec![OWN_AUDIENCE.to_owned()],
            until: None,
        }
    }

    /// The audiences among these that it is good for now.
    fn good_for(&self, asked: &[String], now: Timestamp) -> Vec<String> {
        if self.until.is_some_and(|until| until <= now) {
            return Vec::new();
        }
        let meant = self.audiences.iter().filter(|one| asked.contains(one));
        meant.cloned().collect()
    }

    /// Whether the API server takes it now.
    #[must_use]
    pub fn is_for_server(&self, now: Timestamp) -> bool {
        !self.good_for(&[OWN_AUDIENCE.to_owned()], now).is_empty()
    }
}

/// The status of a `TokenReview`.
pub(crate) fn reviewed(token: Option<&Token>, spec: &Value, now: Timestamp) -> Value {
    let asked = spec["audiences"].as_array().into_iter().flatten();
    let mut asked: Vec<String> = asked
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect();
    if asked.is_empty() {
        asked.push(OWN_AUDIENCE.to_owned());
    }
    let good = token.map_or_else(Vec::new, |token| token.good_for(&asked, now));
    match token.filter(|_| !good.is_empty()) {
        None => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
        Some(token) => json!({
            "authenticated": true,
            "user": {"username": token.who.user, "groups": token.who.groups},
            "audiences": good,
        }),
    }
}
