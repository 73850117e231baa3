//! Writes that are refused when somebody else wrote in between.

use std::sync::Arc;

use serde_json::Value;

use crate::sim::api::{Api, Part, Who};
use crate::sim::refusal::Refusal;
use crate::sim::store::Key;

/// Writes an object that was made from what was read; its `resourceVersion` says from what.
///
/// # Errors
/// `Conflict` when the object has changed since, and whatever the API server refuses.
pub fn replace(
    api: &Api,
    who: &Who,
    key: &Key,
    part: Part,
    object: Value,
) -> Result<Arc<Value>, Refusal> {
    let mut stale = false;
    let written = api.update(who, key, part, |current| {
        stale = current["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"];
        if !stale {
            *current = object;
        }
    })?;
    if stale {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Refusal::conflict(key, why));
    }
    Ok(written)
}
