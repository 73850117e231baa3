//! A CloudEvent (specification 1.0, structured mode) to any address.

use serde_json::{Value, json};

use crate::alerts::Message;

/// The event of a message.
pub(super) fn cloud(message: Message<'_>) -> Value {
    let alert = message.alert;
    let arms = [&alert.candidate, &alert.stable];
    let revision = arms.into_iter().flatten().map(|arm| &arm.revision).next();
    let name = message.name();
    json!({
        "specversion": "1.0",
        "id": message.id(),
        "source": format!("/namespaces/{}/canaries/{name}", message.home()),
        "type": format!("dev.serin.canary.{}.v1", alert.reason.to_lowercase()),
        "subject": revision.map_or_else(|| name.to_owned(), |revision| format!("{name}@{revision}")),
        "time": alert.at,
        "datacontenttype": "application/json",
        "data": {
            "namespace": message.home(),
            "name": name,
            "uid": message.canary.identity(),
            "target": message.canary.target_name(),
            "reason": alert.reason,
            "severity": alert.severity,
            "message": alert.message,
            "attempt": alert.attempt,
            "step": alert.step,
            "weight": alert.weight,
            "candidate": alert.candidate,
            "stable": alert.stable,
        },
    })
}
