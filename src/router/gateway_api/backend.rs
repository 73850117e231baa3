//! One entry of a rule's `backendRefs`, read with the defaults of the API filled in.

use kube::core::DynamicObject;
use serde_json::Value;

/// The greatest weight that the API admits.
pub(super) const MOST: i64 = 1_000_000;

/// A Service of the route's own namespace that a rule sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backend<'a> {
    /// Name of the Service.
    pub(super) name: &'a str,
    /// Its port.
    pub(super) port: i64,
    /// Its weight; 1 if the entry says none.
    pub(super) weight: i64,
}

impl<'a> Backend<'a> {
    /// Reads an entry of a route in namespace `home`; `None`: it is another kind of backend, or lies in another namespace.
    pub(super) fn read(entry: &'a Value, home: &str) -> Option<Self> {
        let is =
            |field: &str, default: &str| entry[field].as_str().is_none_or(|text| text == default);
        let core = is("group", "") || is("group", "core");
        let local = core && is("kind", "Service") && is("namespace", home);
        local.then_some(Self {
            name: entry["name"].as_str()?,
            port: entry["port"].as_i64().unwrap_or_default(),
            weight: entry["weight"].as_i64().unwrap_or(1).clamp(0, MOST),
        })
    }
}

/// The rules of a route.
pub(super) fn rules(route: &DynamicObject) -> &[Value] {
    elements(&route.data["spec"]["rules"])
}

/// The elements of a list; none if it is no list.
pub(super) fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
