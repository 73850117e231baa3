//! Providers `gatewayapi:v1` and `linkerd`: weights in the routes of the Gateway API, below a Gateway or a Service of a mesh.

pub(super) mod acceptance;
mod owned;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::router::form::{Backend, GATEWAY_API};
use crate::router::weighted::{Own, Weighted};

/// The router of provider `gatewayapi:v1`. A change needs 5 s to reach every proxy once the route is accepted (PROVIDERS 0.3).
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: 5,
    forms: &GATEWAY_API,
    own: Own::Made(&owned::HttpRoutes { of_mesh: false }),
};

/// The router of provider `linkerd`: the same routes, below a Service.
pub(super) const LINKERD: Weighted = Weighted {
    own: Own::Made(&owned::HttpRoutes { of_mesh: true }),
    ..ROUTER
};

/// The backends of a list that are Services of namespace `home`.
fn backends<'a>(entries: &'a [Value], home: &str) -> impl Iterator<Item = Backend<'a>> {
    entries
        .iter()
        .filter_map(move |entry| GATEWAY_API[0].read(entries, entry, home))
}

/// One entry of a list, if it is a Service of namespace `home`.
fn backend<'a>(entry: &'a Value, home: &str) -> Option<Backend<'a>> {
    GATEWAY_API[0].read(&[], entry, home)
}
