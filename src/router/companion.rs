//! Objects that a route of Serin's needs beside it: they are written before the route, and go after it.

use kube::core::DynamicObject;
use serde_json::Value;

use crate::crd::canary::Canary;
use crate::objects::{Change, Labels, Live, ObjectKey, Seen};
use crate::router::RouterError;
use crate::router::owned::{self, is_to_end, put};

/// An object that a route needs.
pub(super) struct Companion {
    /// Which.
    pub(super) key: ObjectKey,
    /// What of its spec is Serin's; whatever else somebody sets stays.
    pub(super) spec: Value,
    /// A route that is left behind does not need it.
    pub(super) is_of_canary: bool,
}

impl Companion {
    fn is_right(&self, object: &DynamicObject) -> bool {
        holds(&object.data["spec"], &self.spec)
    }
}

/// Whether a value has all that is wanted of it.
fn holds(standing: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, wanted)| holds(&standing[name.as_str()], wanted)),
        wanted => standing == wanted,
    }
}

/// Whether all are there, as they should be.
pub(super) fn stand(companions: &[Companion], canary: &Canary, seen: &Seen) -> bool {
    let stands = |companion: &Companion| {
        let object = seen.routes.get(&companion.key).map(AsRef::as_ref);
        let is_right = |object: &DynamicObject| companion.is_right(object);
        matches!(
            owned::stands(canary, &companion.key, object, is_right),
            Ok(true)
        )
    };
    companions.iter().all(stands)
}

/// Writes those that are not there, or not as they should be.
pub(super) fn render(
    companions: &[Companion],
    canary: &Canary,
    live: &Live,
) -> Result<Vec<Change>, RouterError> {
    let mut changes = Vec::new();
    for companion in companions {
        let Companion { key, spec, .. } = companion;
        let object = live.get(key);
        if !owned::stands(canary, key, object, |object| companion.is_right(object))? {
            changes.push(put(canary, key, object, spec, Labels::new()));
        }
    }
    Ok(changes)
}

/// Takes them away; of a route that stays, only the canary's.
pub(super) fn finalize(
    companions: &[Companion],
    canary: &Canary,
    live: &Live,
    stays: bool,
) -> Vec<Change> {
    let end = |companion: &Companion| {
        let key = &companion.key;
        let object = live.get(key).filter(|object| is_to_end(canary, object))?;
        if stays && !companion.is_of_canary {
            return owned::release(canary, key, object, &companion.spec, Labels::new());
        }
        Some(owned::delete(key, object))
    };
    companions.iter().filter_map(end).collect()
}
