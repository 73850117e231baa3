//! Slack, and those that understand its form.

use serde_json::{Value, json};

use crate::alerts::{Message, colour, escaped};
use crate::crd::alert::Severity;
use crate::crd::alert_provider::AlertProviderSpec;

/// The name that messages are sent under if the provider says none.
const NAME: &str = "serin";

/// The form of Slack's `chat.postMessage` and of its incoming webhooks.
pub(super) fn slack(provider: &AlertProviderSpec, message: Message<'_>) -> Value {
    let colour = match message.alert.severity {
        Severity::Info => "good",
        Severity::Warn => "warning",
        Severity::Error => "danger",
    };
    form(provider, message, colour)
}

/// The same for Rocket.Chat, which has no names for colours.
pub(super) fn rocket(provider: &AlertProviderSpec, message: Message<'_>) -> Value {
    form(provider, message, colour(message.alert.severity))
}

fn form(provider: &AlertProviderSpec, message: Message<'_>, colour: &str) -> Value {
    let fields: Vec<Value> = message
        .facts()
        .into_iter()
        .map(|(title, value)| json!({"title": title, "value": escaped(&value), "short": value.len() <= 40}))
        .collect();
    let text = format!(
        "*{}*: {}",
        message.headline(),
        escaped(&message.alert.message)
    );
    let mut form = json!({
        "username": provider.username.as_deref().unwrap_or(NAME),
        "icon_emoji": ":bird:",
        "attachments": [{
            "color": colour,
            "author_name": message.subject(),
            "fallback": format!("{}: {}", message.subject(), message.headline()),
            "text": text,
            "mrkdwn_in": ["text"],
            "fields": fields,
            "ts": message.alert.at.timestamp().as_second(),
        }],
    });
    if let Some(channel) = &provider.channel {
        form["channel"] = json!(channel);
    }
    form
}
