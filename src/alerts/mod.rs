//! Messages to people: what each system is sent, and what its answer means (PROVIDERS 5).

mod alertmanager;
mod cards;
mod chat;
mod event;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use serde::Deserialize;
use serde_json::Value;

use crate::crd::alert::{Alert, Severity, Version};
use crate::crd::alert_provider::{AlertProviderSpec, AlertType, TeamsFormat};
use crate::crd::bound::Keys;
use crate::crd::canary::Canary;

/// Why nothing can be sent. None of these names an address: addresses are secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// There is no address.
    #[error(
        "there is no address: write spec.address, or the key address into the Secret of spec.secretRef"
    )]
    NoAddress,
    /// The address is none.
    #[error("its address is not one of http or https")]
    BadAddress,
    /// Messages through a proxy come later.
    #[error(
        "spec.proxy comes with a later version; remove the field, or let the cluster's egress do it"
    )]
    Proxy,
    /// A token would go to an address that does not come from where the token comes from.
    #[error(
        "the Secret has a token and no address: both have to stand there, so that no token goes to another's address"
    )]
    Unbound,
}

/// Where a message goes, and what proves that it may. It is never printed.
pub struct Address {
    url: http::Uri,
    token: Option<String>,
}

impl Address {
    /// The address of a provider, and the token of its Secret: the keys `address` and `token`.
    ///
    /// # Errors
    ///
    /// If there is none, or none that may be used.
    pub fn new(provider: &AlertProviderSpec, secret: Option<Keys<'_>>) -> Result<Self, AlertError> {
        if provider.proxy.is_some() {
            return Err(AlertError::Proxy);
        }
        let key = |name: &str| secret.and_then(|secret| secret(name));
        let (bound, token) = (key("address"), key("token"));
        if token.is_some() && bound.is_none() {
            return Err(AlertError::Unbound);
        }
        let text = bound.or_else(|| provider.address.clone());
        let text = text.ok_or(AlertError::NoAddress)?;
        let url: http::Uri = text.trim().parse().map_err(|_| AlertError::BadAddress)?;
        let http = matches!(url.scheme_str(), Some("http" | "https"));
        let host = url.host().is_some_and(|host| !host.is_empty());
        if !http || !host {
            return Err(AlertError::BadAddress);
        }
        let token = token.map(|token| token.trim().to_owned());
        Ok(Self { url, token })
    }

    /// The address with this path behind it, unless it ends so.
    fn at(&self, path: &str) -> String {
        let url = self.url.to_string();
        let (address, query) = url.split_once('?').unwrap_or((&url, ""));
        let address = address.trim_end_matches('/');
        let mark = if query.is_empty() { "" } else { "?" };
        if address.ends_with(path) {
            return format!("{address}{mark}{query}");
        }
        format!("{address}{path}{mark}{query}")
    }
}

/// A message, with whom it is about.
#[derive(Clone, Copy)]
struct Message<'a> {
    canary: &'a Canary,
    alert: &'a Alert,
}

impl Message<'_> {
    fn home(&self) -> String {
        self.canary.home()
    }

    fn name(&self) -> &str {
        self.canary.metadata.name.as_deref().unwrap_or_default()
    }

    /// `podinfo.shop`.
    fn subject(&self) -> String {
        format!("{}.{}", self.name(), self.home())
    }

    /// What happened, in words: `Gate waiting`.
    fn headline(&self) -> String {
        let mut words = String::new();
        for (index, letter) in self.alert.reason.chars().enumerate() {
            match letter {
                'A'..='Z' if index > 0 => {
                    words.push(' ');
                    words.push(letter.to_ascii_lowercase());
                }
                _ => words.push(letter),
            }
        }
        words
    }

    /// `<uid>/<attempt>/<transition>`: the same for each try and after a restart.
    fn id(&self) -> String {
        let Alert {
            reason,
            attempt,
            at,
            ..
        } = self.alert;
        let at = at.timestamp().as_microsecond();
        format!("{}/{attempt}/{reason}/{at}", self.canary.identity())
    }

    /// What people want to know beside the sentence: titles and values.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let alert = self.alert;
        let target = &self.canary.spec.target_ref;
        let mut facts = vec![("Target", format!("{} {}", target.kind, target.name))];
        let arms = [("Candidate", &alert.candidate), ("Stable", &alert.stable)];
        for (title, arm) in arms {
            facts.extend(arm.as_ref().map(|arm| (title, version(arm))));
        }
        if alert.attempt > 0 {
            facts.push(("Attempt", alert.attempt.to_string()));
        }
        if let Some(step) = &alert.step {
            facts.push(("Step", step.clone()));
            facts.push(("Weight", format!("{} %", alert.weight)));
        }
        facts
    }
}

/// `app:1.2.3 (5c4cdc8ff)`.
fn version(version: &Version) -> String {
    if version.images.is_empty() {
        return version.revision.clone();
    }
    format!("{} ({})", version.images.join(", "), version.revision)
}

/// The request that sends a message; `None`: this system is not told of such.
///
/// # Errors
///
/// If the parts make no request.
pub fn request(
    provider: &AlertProviderSpec,
    address: &Address,
    canary: &Canary,
    alert: &Alert,
) -> Result<Option<Request<Bytes>>, http::Error> {
    let message = Message { canary, alert };
    let plain = "application/json";
    let (url, kind, body) = match provider.type_ {
        AlertType::Slack => (
            address.url.to_string(),
            plain,
            chat::slack(provider, message),
        ),
        AlertType::Discord => (address.at("/slack"), plain, chat::slack(provider, message)),
        AlertType::Rocket => (
            address.url.to_string(),
            plain,
            chat::rocket(provider, message),
        ),
        AlertType::Msteams => {
            let card = match provider.format {
                Some(TeamsFormat::MessageCard) => cards::message_card(message),
                Some(TeamsFormat::AdaptiveCard) | None => cards::adaptive(message),
            };
            (address.url.to_string(), plain, card)
        }
        AlertType::Gchat => (cards::thread(address), plain, cards::gchat(message)),
        AlertType::Alertmanager => {
            let Some(body) = alertmanager::alerts(message) else {
                return Ok(None);
            };
            (address.at("/api/v2/alerts"), plain, body)
        }
        AlertType::Webhook => {
            let kind = "application/cloudevents+json";
            (address.url.to_string(), kind, event::cloud(message))
        }
    };
    post(&url, kind, address.token.as_deref(), &message.id(), &body).map(Some)
}

fn post(
    url: &str,
    kind: &str,
    token: Option<&str>,
    id: &str,
    body: &Value,
) -> Result<Request<Bytes>, http::Error> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, kind)
        .header("idempotency-key", id);
    if let Some(token) = token {
        let mut value = header::HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(Bytes::from(body.to_string()))
}

/// What an answer of Slack's own methods says.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    error: String,
}

/// Why a message did not get through by this answer; `None`: it did. Nothing of an answer is quoted but Slack's own short words.
#[must_use]
pub fn refusal(type_: AlertType, answer: &Response<Bytes>) -> Option<String> {
    let status = answer.status();
    if !status.is_success() {
        return Some(format!("it answered {}", status.as_u16()));
    }
    if type_ != AlertType::Slack {
        return None;
    }
    let said: Said = serde_json::from_slice(answer.body()).ok()?;
    let is_word = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let word = Some(said.error).filter(|word| word.len() <= 64 && word.chars().all(is_word));
    (!said.ok).then(|| format!("Slack refused it: {}", word.unwrap_or_default()))
}

/// Text in which the three letters that begin a tag, or a link, are no such beginning.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The colour of a severity, as `#rrggbb`.
fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "#2eb67d",
        Severity::Warn => "#ecb22e",
        Severity::Error => "#e01e5a",
    }
}
