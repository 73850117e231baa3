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
        &expect![[
            r#"ProviderUnavailable: spec.provider: istoi is unknown; this version has: contour, gatewayapi:v1, istio, kubernetes, linkerd, nginx, none, skipper, traefik; later come: smi, gloo, kuma, apisix, knative"#
        ]],
    );
    check_unknown(
        "smi:v1alpha2",
        &expect![[
            r#"ProviderUnavailable: spec.provider: smi:v1alpha2 comes in a later version; this one has: contour, gatewayapi:v1, istio, kubernetes, linkerd, nginx, none, skipper, traefik"#
        ]],
    );
    check_unknown(
        "appmesh:v1beta2",
        &expect![[
            r#"ProviderRetired: spec.provider: appmesh:v1beta2 is retired by its makers; use gatewayapi:v1 or istio in its place (there are: contour, gatewayapi:v1, istio, kubernetes, linkerd, nginx, none, skipper, traefik)"#
        ]],
    );
    check_unknown(
        "",
        &expect![[
            r#"ProviderUnavailable: spec.provider:  is unknown; this version has: contour, gatewayapi:v1, istio, kubernetes, linkerd, nginx, none, skipper, traefik; later come: smi, gloo, kuma, apisix, knative"#
        ]],
    );
}
