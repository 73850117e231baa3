//! Events as people read them with `kubectl describe`: the same one again is counted, not written anew.

use serde_json::{Value, json};

use crate::sim::api::{Api, Part, Who};
use crate::sim::field::{count, stamp, text, uid};
use crate::sim::seed::{digest, letters};
use crate::sim::store::Key;

/// What an Event says.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// `Warning`, or `Normal`.
    pub warning: bool,
    /// Reason, in CamelCase.
    pub reason: &'a str,
    /// For people.
    pub message: &'a str,
}

impl<'a> Said<'a> {
    /// Something that is as it should be.
    #[must_use]
    pub fn normal(reason: &'a str, message: &'a str) -> Self {
        Self {
            warning: false,
            reason,
            message,
        }
    }

    /// Something that is not as it should be.
    #[must_use]
    pub fn warning(reason: &'a str, message: &'a str) -> Self {
        Self {
            warning: true,
            reason,
            message,
        }
    }
}

/// Writes an Event about an object of a kind, such as `("apps/v1", "Deployment")`. That it could not be written is nobody's
/// concern, as in a real cluster.
pub fn report(api: &Api, who: &Who, kind: (&str, &str), about: &Value, said: Said<'_>) {
    let sum = digest(&format!("{} {} {}", uid(about), said.reason, said.message));
    let name = format!("{}.{}", text(about, "/metadata/name"), letters(sum, 13));
    let namespace = match text(about, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    };
    let key = Key::new("", "events", namespace, &name);
    let now = stamp(api.now());
    let written = if api.get(&key).is_some() {
        api.update(who, &key, Part::Main, |event| {
            event["count"] = json!(count(event, "/count") + 1);
            event["lastTimestamp"] = now;
        })
    } else {
        api.create(who, &key, event(who, kind, about, said, &now))
    };
    drop(written);
}

fn event(who: &Who, kind: (&str, &str), about: &Value, said: Said<'_>, now: &Value) -> Value {
    let component = match who.user.rsplit_once(':') {
        _ if who.manager == "kubelet" => "kubelet",
        Some((_, name)) if who.manager == "kube-controller-manager" => name,
        _ => match who.manager.as_str() {
            "kube-scheduler" => "default-scheduler",
            manager => manager,
        },
    };
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {},
        "involvedObject": {
            "apiVersion": kind.0, "kind": kind.1, "name": text(about, "/metadata/name"),
            "namespace": text(about, "/metadata/namespace"), "uid": uid(about),
            "resourceVersion": text(about, "/metadata/resourceVersion"),
        },
        "type": if said.warning { "Warning" } else { "Normal" },
        "reason": said.reason, "message": said.message,
        "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
        "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": null,
    })
}
