//! What all routers promise, and a small API server to hold them to it.

mod golden;
mod kubernetes;
mod law;
mod none;
pub(crate) mod world;

use expect_test::{Expect, expect};

use crate::router::{for_provider, unknown};

#[test]
fn every_provider_that_is_announced_has_a_router() {
    for provider in crate::crd::names::PROVIDERS {
        assert!(for_provider(provider).is_some(), "{provider}");
    }
    assert!(for_provider("gatewayapi").is_some());
}

fn check_unknown(provider: &str, expected: &Expect) {
    assert!(for_provider(provider).is_none(), "{provider}");
    let problem = unknown(provider);
    expected.assert_eq(&format!("{}: {}", problem.reason, problem.message));
}

#[test]
fn an_unknown_provider_is_never_another_one() {
    check_unknown(
        "istoi",
        &expect![
            "ProviderUnavailable: spec.provider: istoi is unknown; this version has: apisix, contour, gatewayapi:v1, gloo, istio, kubernetes, kuma, linkerd, nginx, none, skipper, smi:v1alpha1, smi:v1alpha2, smi:v1alpha3, traefik; later come: knative"
        ],
    );
    check_unknown(
        "knative",
        &expect![
            "ProviderUnavailable: spec.provider: knative comes in a later version; this one has: apisix, contour, gatewayapi:v1, gloo, istio, kubernetes, kuma, linkerd, nginx, none, skipper, smi:v1alpha1, smi:v1alpha2, smi:v1alpha3, traefik"
        ],
    );
    check_unknown(
        "appmesh:v1beta2",
        &expect![
            "ProviderRetired: spec.provider: appmesh:v1beta2 is retired by its makers; use gatewayapi:v1 or istio in its place (there are: apisix, contour, gatewayapi:v1, gloo, istio, kubernetes, kuma, linkerd, nginx, none, skipper, smi:v1alpha1, smi:v1alpha2, smi:v1alpha3, traefik)"
        ],
    );
    check_unknown(
        "",
        &expect![
            "ProviderUnavailable: spec.provider:  is unknown; this version has: apisix, contour, gatewayapi:v1, gloo, istio, kubernetes, kuma, linkerd, nginx, none, skipper, smi:v1alpha1, smi:v1alpha2, smi:v1alpha3, traefik; later come: knative"
        ],
    );
}
