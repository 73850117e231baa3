//! Users who stay where they are: what a Canary says of the cookie that keeps them there, and what its status keeps of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cookie keeps each user on stable, or on the canary, until the canary's share reaches him.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAffinity {
    /// Name of the cookie: letters, digits, `-` and `_`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub cookie_name: String,
    /// Seconds that the cookie lives; a day if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 34_560_000))]
    pub max_age: Option<i32>,
    /// Paths for which the cookie is sent; all if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/[!-:<-~]*$"))]
    pub path: Option<String>,
    /// Hosts for which the cookie is sent; the one that was asked, if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9.-]+$"))]
    pub domain: Option<String>,
    /// The cookie is sent over TLS alone; not so if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    /// Scripts do not see the cookie; so if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    /// Which requests of other sites carry the cookie; those that lead a user here, if not set (`Lax`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_site: Option<SameSite>,
    /// The cookie is kept apart for each site that embeds this one; not so if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioned: Option<bool>,
    /// A second cookie for stable. Refused: one cookie keeps users on either arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_cookie_name: Option<String>,
}

/// The attribute `SameSite` of a cookie (RFC 6265bis).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SameSite {
    /// None of them.
    Strict,
    /// Those that lead a user here.
    Lax,
    /// All of them; browsers ask for `secure`, too.
    None,
}

impl SessionAffinity {
    /// What a `Set-Cookie` says after name and value.
    #[must_use]
    pub fn attributes(&self) -> String {
        let same_site = self.same_site.unwrap_or(SameSite::Lax);
        let parts = [
            Some(format!("Max-Age={}", self.max_age.unwrap_or(DAY))),
            Some(format!("Path={}", self.path.as_deref().unwrap_or("/"))),
            self.domain
                .as_ref()
                .map(|domain| format!("Domain={domain}")),
            self.secure.unwrap_or(false).then(|| "Secure".to_owned()),
            self.http_only
                .unwrap_or(true)
                .then(|| "HttpOnly".to_owned()),
            Some(format!("SameSite={same_site:?}")),
            self.partitioned
                .unwrap_or(false)
                .then(|| "Partitioned".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join("; ")
    }
}

/// A day, in seconds.
const DAY: i32 = 86_400;

/// The cookie of one attempt, as it was when users first came to the canary. Nothing that is edited meanwhile moves them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// How its values begin: no other attempt's begin so.
    pub attempt: String,
    /// What is said after name and value.
    pub attributes: String,
    /// The canary's shares of the plan below 100, in percent and rising. A user belongs to the first that is to reach him.
    pub shares: Vec<u8>,
}
