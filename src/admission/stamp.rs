//! The policy `serin-stamp`: who asked a Canary for a verb stands in an annotation, whatever the writer says there.

use serde_json::{Value, json};

use crate::admission::review::{Request, escaped, marks};
use crate::objects::mark;

/// The change to a write, as operations of a JSON patch; none if the author is right already. `own` is the name of Serin's account,
/// which alone is believed: its HTTP API has asked the API server who somebody is.
#[must_use]
pub fn stamp(request: &Request, own: Option<&str>) -> Vec<Value> {
    let by = author(request, own);
    if annotation(&request.object, mark::REQUESTED_BY) == by.as_ref() {
        return Vec::new();
    }
    let path = format!("/metadata/annotations/{}", escaped(mark::REQUESTED_BY));
    vec![match by {
        Some(by) => json!({"op": "add", "path": path, "value": by}),
        None => json!({"op": "remove", "path": path}),
    }]
}

/// The author of the request that is there now; none of a request that is gone.
fn author(request: &Request, own: Option<&str>) -> Option<Value> {
    let asked = annotation(&request.object, mark::REQUEST)?;
    if annotation(&request.old_object, mark::REQUEST) == Some(asked) {
        return annotation(&request.old_object, mark::REQUESTED_BY).cloned();
    }
    let writer = request.user_info.username.as_str();
    let named = annotation(&request.object, mark::REQUESTED_BY).filter(|_| own == Some(writer));
    Some(named.cloned().unwrap_or_else(|| json!(writer)))
}

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    marks(object, "annotations")?.get(name)
}
