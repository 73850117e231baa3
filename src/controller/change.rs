//! Which Canaries a change concerns.

use std::time::Duration;

use crate::cluster::{Changed, Place};
use crate::controller::Context;
use crate::crd::canary::Canary;
use crate::objects::{Kind, ObjectKey};

/// Changes that come together are looked at together.
const SOON: Duration = Duration::from_millis(10);

/// Calls the Canaries that a change concerns.
pub(crate) fn file(context: &Context, change: &Changed) {
    match change {
        Changed::Canary(place) => context.queue.call(place, SOON),
        Changed::Templates(namespace) => call(context, Some(namespace), |_| true),
        Changed::Policies => call(context, None, |_| true),
        Changed::Object(key, owner) if key.kind == Kind::Gateway => {
            let _ = owner;
            call(context, None, |canary| names_gateway(canary, key));
        }
        Changed::Object(key, owner) => call(context, Some(&key.namespace), |canary| {
            concerns(canary, key, owner.as_deref())
        }),
    }
}

/// A new leader looks at everything once.
pub(crate) fn lead(context: &Context, leads: bool) {
    context.telemetry.leader(leads);
    if leads {
        call(context, None, |_| true);
    }
}

fn call(context: &Context, namespace: Option<&str>, concerns: impl Fn(&Canary) -> bool) {
    for (place, canary) in context.shelves.canaries.list(namespace) {
        if concerns(&canary) {
            let place: &Place = &place;
            context.queue.call(place, SOON);
        }
    }
}

fn names_gateway(canary: &Canary, key: &ObjectKey) -> bool {
    let parents = canary
        .spec
        .service
        .iter()
        .flat_map(|service| &service.gateway_refs);
    !canary.spec.route_refs.is_empty() || parents.into_iter().any(|parent| parent.name == key.name)
}

fn concerns(canary: &Canary, key: &ObjectKey, owner: Option<&str>) -> bool {
    let (target, clone) = (canary.target_name(), canary.canary_name());
    let services = [
        canary.service_name().to_owned(),
        canary.canary_service_name(),
    ];
    match key.kind {
        Kind::Deployment => key.name == target || key.name == clone,
        Kind::ReplicaSet => owner.is_some_and(|owner| owner == target || owner == clone),
        Kind::Pod => owner.is_some_and(|owner| {
            owner
                .rsplit_once('-')
                .is_some_and(|(name, _)| name == clone)
        }),
        Kind::Service => services.contains(&key.name),
        Kind::EndpointSlice => {
            owner.is_some_and(|owner| services.iter().any(|service| service == owner))
        }
        Kind::HorizontalPodAutoscaler => true,
        kind if kind.is_route() => names_route(canary, key),
        _ => false,
    }
}

/// The route that Serin makes, one of the user's, one and the one beside it, or an Upstream of Gloo for a Service.
fn names_route(canary: &Canary, key: &ObjectKey) -> bool {
    let mut routes = canary.spec.route_refs.iter();
    let (name, service) = (key.name.as_str(), canary.service_name());
    let ingress = canary.spec.ingress_ref.as_ref();
    let route = canary.spec.route_ref.as_ref();
    let of_service = format!("{}-{service}-", key.namespace);
    name == service
        || routes.any(|route| route.name == name)
        || ingress.is_some_and(|it| name.strip_suffix("-canary").unwrap_or(name) == it.name)
        || route.is_some_and(|it| it.name == name)
        || canary.route_copy_name().is_some_and(|copy| copy == name)
        || key.kind == Kind::Upstream && name.starts_with(&of_service)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_concerns_the_canary_that_names_it_or_has_it_made() {
        let canary: Canary = serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "service": {"port": 80, "name": "pages"}, "routeRef": {"name": "outer"},
                "ingressRef": {"name": "door"}, "routeRefs": [{"apiVersion": "a/v1", "kind": "A", "name": "mine"}],
            },
        }))
        .expect("a Canary");
        let rows = [
            (Kind::HttpRoute, "pages", true),
            (Kind::HttpRoute, "mine", true),
            (Kind::Ingress, "door", true),
            (Kind::Ingress, "door-canary", true),
            (Kind::ApisixRoute, "outer", true),
            (Kind::ApisixRoute, "outer-pages-canary", true),
            (Kind::ApisixRoute, "outer-canary", false),
            (Kind::Upstream, "shop-pages-canaryupstream-80", true),
            (Kind::Upstream, "shop-other-80", false),
            (Kind::RouteTable, "shop-pages-canaryupstream-80", false),
        ];
        for (kind, name, expected) in rows {
            let key = ObjectKey::new(kind, "shop", name);
            assert_eq!(concerns(&canary, &key, None), expected, "{key}");
        }
    }
}
