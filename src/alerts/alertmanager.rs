//! Prometheus Alertmanager: an alert for what went wrong, and its end once a release goes well again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::alerts::Message;
use crate::crd::alert::Severity;
use crate::crd::moment::Moment;

/// The alert that something failed: one of its kind for each Canary, whatever the reason, so that a good release ends it.
const FAILED: &str = "SerinCanaryFailed";

/// How long a failure stands if nothing ends it.
const FAILURE: Duration = Duration::from_secs(24 * 3600);
/// How long something stands that people should look at.
const NOTICE: Duration = Duration::from_secs(3600);

/// The alerts of a message; `None`: it is no news to an Alertmanager. A new candidate or a promotion ends the failure before it.
pub(super) fn alerts(message: Message<'_>) -> Option<Value> {
    let alert = message.alert;
    let fires = |name: &str, severity, until| Some(json!([one(message, name, severity, until)]));
    match (alert.severity, alert.reason.as_str()) {
        (Severity::Error, _) => fires(FAILED, Severity::Error, alert.at.after(FAILURE)),
        (Severity::Warn, reason) => {
            let name = format!("Serin{reason}");
            fires(&name, Severity::Warn, alert.at.after(NOTICE))
        }
        (Severity::Info, "CandidateHeld" | "Promoted") => fires(FAILED, Severity::Error, alert.at),
        (Severity::Info, _) => None,
    }
}

/// The revision is no label: alerts of one Canary would not be one group then.
fn one(message: Message<'_>, name: &str, severity: Severity, until: Moment) -> Value {
    let severity = match severity {
        Severity::Error => "critical",
        Severity::Warn | Severity::Info => "warning",
    };
    let revision = message.alert.candidate.as_ref().map(|it| &it.revision);
    json!({
        "labels": {
            "alertname": name,
            "namespace": message.home(),
            "canary": message.name(),
            "severity": severity,
        },
        "annotations": {
            "summary": format!("{}: {}", message.subject(), message.headline()),
            "description": message.alert.message,
            "revision": revision.map_or("", String::as_str),
        },
        "startsAt": message.alert.at,
        "endsAt": until,
    })
}
