//! Cards: Microsoft Teams and Google Chat.

use serde_json::{Value, json};

use crate::alerts::{Address, Message, colour, escaped};
use crate::crd::alert::Severity;

/// An Adaptive Card, as a flow of Workflows takes it.
pub(super) fn adaptive(message: Message<'_>) -> Value {
    let colour = match message.alert.severity {
        Severity::Info => "good",
        Severity::Warn => "warning",
        Severity::Error => "attention",
    };
    let facts = pairs(message, "title", "value");
    let title = format!("{}: {}", message.subject(), message.headline());
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [
                    {"type": "TextBlock", "text": title, "weight": "bolder", "size": "medium", "color": colour, "wrap": true},
                    {"type": "TextBlock", "text": message.alert.message, "wrap": true},
                    {"type": "FactSet", "facts": facts},
                ],
            },
        }],
    })
}

/// The form of the old connectors.
pub(super) fn message_card(message: Message<'_>) -> Value {
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": colour(message.alert.severity).trim_start_matches('#'),
        "summary": format!("{}: {}", message.subject(), message.headline()),
        "sections": [{
            "activityTitle": message.headline(),
            "activitySubtitle": message.subject(),
            "text": message.alert.message,
            "facts": pairs(message, "name", "value"),
        }],
    })
}

/// A card of Google Chat's second form.
pub(super) fn gchat(message: Message<'_>) -> Value {
    let mut widgets = vec![json!({"textParagraph": {"text": escaped(&message.alert.message)}})];
    widgets.extend(message.facts().into_iter().map(
        |(label, text)| json!({"decoratedText": {"topLabel": label, "text": escaped(&text)}}),
    ));
    json!({
        "cardsV2": [{
            "cardId": message.id(),
            "card": {
                "header": {"title": message.headline(), "subtitle": message.subject()},
                "sections": [{"widgets": widgets}],
            },
        }],
        "thread": {"threadKey": message.subject()},
    })
}

/// The address of Google Chat, where all of a Canary is one thread.
pub(super) fn thread(address: &Address) -> String {
    let url = address.url.to_string();
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD")
}

fn pairs(message: Message<'_>, title: &str, value: &str) -> Vec<Value> {
    let facts = message.facts().into_iter();
    facts
        .map(|(name, text)| json!({title: name, value: text}))
        .collect()
}
