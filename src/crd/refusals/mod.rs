//! What is wrong with a Canary by its own words: what this version does not do yet, and what can never be done.
//!
//! The API server refuses most of the latter when a Canary is written. It is said here again for objects that were stored
//! before a rule existed, and for `serin lint`, which has no API server.

mod affinity;
mod alerts;
mod analysis;
mod hooks;
mod matching;

use std::fmt;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::crd::canary::{Canary, CanaryService, CanarySpec};
use crate::crd::names::{BY_INGRESS, BY_ROUTE, PROVIDERS};

/// Longest name of an apex Service: `<name>-canary` has to fit 63 characters.
const SERVICE_NAME: usize = 56;

/// Longest name of a target: `<name>-canary` has to fit 253 characters.
const TARGET_NAME: usize = 246;

/// Providers whose makers have given them up.
const RETIRED: [&str; 2] = ["appmesh", "osm"];

/// A field that stops a Canary, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Path of the field, for instance `spec.analysis.webhooks`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that stops this Canary by its own words, in the order of the spec. Empty: nothing does.
///
/// Never part of it is what only the cluster knows, such as a missing MetricTemplate.
#[must_use]
pub fn refusals(canary: &Canary) -> Vec<Refusal> {
    let mut found = Findings::default();
    let spec = &canary.spec;
    target(spec, &mut found);
    provider(spec, &mut found);
    references(spec, &mut found);
    numbers(spec, &mut found);
    service(canary, &mut found);
    analysis::check(spec, &mut found);
    alerts::check(canary, &mut found);
    found.0
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Refusal>);

impl Findings {
    fn refuse(&mut self, field: &str, message: &str) {
        self.0.push(Refusal {
            field: format!("spec.{field}"),
            message: message.to_owned(),
        });
    }

    fn refuse_if(&mut self, wrong: bool, field: &str, message: &str) {
        if wrong {
            self.refuse(field, message);
        }
    }

    /// Refuses a field that is set and whose behaviour comes later.
    fn later(&mut self, set: bool, field: &str, what: &str) {
        if set {
            let message = format!(
                "{what} with a later version; remove the field, or keep the Canary suspended"
            );
            self.refuse(field, &message);
        }
    }
}

fn target(spec: &CanarySpec, found: &mut Findings) {
    let target = &spec.target_ref;
    match target.kind.as_str() {
        "Deployment" => {}
        "DaemonSet" => found.refuse(
            "targetRef.kind",
            "a DaemonSet cannot be held: a node that joins gets the new template at once; only Deployments are handled",
        ),
        "StatefulSet" => found.refuse(
            "targetRef.kind",
            "StatefulSets come with a later version; only Deployments are handled",
        ),
        _ => found.refuse("targetRef.kind", "only the rollout of a Deployment can be held; name a Deployment"),
    }
    found.refuse_if(
        target.api_version != "apps/v1",
        "targetRef.apiVersion",
        "must be apps/v1",
    );
    found.refuse_if(
        target.name.is_empty(),
        "targetRef.name",
        "is empty; name the Deployment",
    );
    found.refuse_if(
        target.name.len() > TARGET_NAME,
        "targetRef.name",
        "is longer than 246 characters, and NAME-canary would not fit; give the workload a shorter name",
    );
}

fn provider(spec: &CanarySpec, found: &mut Findings) {
    let Some(provider) = spec.provider.as_deref() else {
        return;
    };
    if PROVIDERS.contains(&provider) || provider == "gatewayapi" {
        return;
    }
    let there = PROVIDERS.join(", ");
    let message = if RETIRED.iter().any(|retired| provider.starts_with(retired)) {
        format!("{provider} is retired by its makers; choose one of {there}")
    } else if provider == "gatewayapi:v1beta1" {
        "gatewayapi:v1beta1 comes with a later version; choose gatewayapi:v1, which the Gateway API serves since its 1.0".to_owned()
    } else if crate::crd::rules::PROVIDERS.contains(&provider) {
        format!("{provider} comes with a later version; choose one of {there}")
    } else {
        format!("{provider:?} is unknown; choose one of {there}")
    };
    found.refuse("provider", &message);
}

fn references(spec: &CanarySpec, found: &mut Findings) {
    if let Some(server) = &spec.metrics_server {
        found.refuse_if(
            !is_server(server),
            "metricsServer",
            "is not the URL of a server, without credentials and query; write for instance http://prometheus.monitoring:9090",
        );
    }
    if let Some(scaler) = &spec.autoscaler_ref {
        found.later(
            scaler.kind == "ScaledObject",
            "autoscalerRef",
            "ScaledObjects come",
        );
        found.refuse_if(
            scaler.kind != "ScaledObject" && scaler.kind != "HorizontalPodAutoscaler",
            "autoscalerRef.kind",
            "must be HorizontalPodAutoscaler or ScaledObject",
        );
    }
    let unrouted = matches!(spec.provider.as_deref(), Some("none" | "kubernetes"));
    found.refuse_if(
        unrouted && !spec.route_refs.is_empty(),
        "routeRefs",
        "the providers none and kubernetes write no routes; take routeRefs out, or choose provider gatewayapi:v1",
    );
    ingress(spec, found);
    route(spec, found);
    found.later(
        spec.upstream_ref.is_some(),
        "upstreamRef",
        "settings of an Upstream come",
    );
}

/// APISIX splits the requests of one route that is named, or writes weights into routes that are.
fn route(spec: &CanarySpec, found: &mut Findings) {
    let Some(provider) = spec.provider.as_deref() else {
        return;
    };
    let is_named = spec.route_ref.is_some();
    if provider != BY_ROUTE {
        found.refuse_if(
            is_named,
            "routeRef",
            "is for the provider apisix; take it out, or choose that",
        );
        return;
    }
    found.refuse_if(
        !is_named && spec.route_refs.is_empty(),
        "routeRef",
        "is missing; name the ApisixRoute whose requests are shared, for instance {apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: shop}, or those of which the weights are changed in routeRefs",
    );
    found.refuse_if(
        is_named && !spec.route_refs.is_empty(),
        "routeRefs",
        "excludes routeRef; keep routeRef for a route that Serin goes before, or routeRefs for routes whose weights it changes",
    );
}

/// An Ingress is named for those providers that split its traffic, and for no other.
fn ingress(spec: &CanarySpec, found: &mut Findings) {
    let Some(provider) = spec.provider.as_deref() else {
        return;
    };
    if !BY_INGRESS.contains(&provider) {
        found.refuse_if(
            spec.ingress_ref.is_some(),
            "ingressRef",
            "is for the providers nginx and skipper; take it out, or choose one of them",
        );
        return;
    }
    found.refuse_if(
        spec.ingress_ref.is_none(),
        "ingressRef",
        "is missing; name the Ingress whose traffic is split, for instance {apiVersion: networking.k8s.io/v1, kind: Ingress, name: shop}",
    );
    found.refuse_if(
        !spec.route_refs.is_empty(),
        "routeRefs",
        "the providers nginx and skipper split the Ingress of ingressRef; take routeRefs out",
    );
}

/// Whether this is the URL of an HTTP server, without credentials and query.
fn is_server(address: &str) -> bool {
    let rest = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && !address.contains(['?', '#'])
}

fn numbers(spec: &CanarySpec, found: &mut Findings) {
    let analysis = &spec.analysis;
    let ranges = [
        (
            "progressDeadlineSeconds",
            spec.progress_deadline_seconds,
            1,
            86_400,
        ),
        ("rollbackWindow", spec.rollback_window, 0, 50),
        ("historyLimit", spec.history_limit, 0, 50),
        (
            "analysis.canaryReadyThreshold",
            analysis.canary_ready_threshold,
            1,
            100,
        ),
        (
            "analysis.primaryReadyThreshold",
            analysis.primary_ready_threshold,
            1,
            100,
        ),
    ];
    for (field, value, least, most) in ranges {
        let message = format!("must be {least} to {most}");
        found.refuse_if(!(least..=most).contains(&value), field, &message);
    }
    let size_is_right = match &spec.canary.replicas {
        None => true,
        Some(IntOrString::Int(count)) => *count >= 1,
        Some(IntOrString::String(text)) => {
            let percent = text
                .strip_suffix('%')
                .and_then(|percent| percent.parse::<u8>().ok());
            percent.is_some_and(|percent| (1..=100).contains(&percent))
        }
    };
    found.refuse_if(
        !size_is_right,
        "canary.replicas",
        "must be a number from 1, or a percentage from 1% to 100%; leave it out for the share of the weight",
    );
}

fn service(canary: &Canary, found: &mut Findings) {
    let spec = &canary.spec;
    let workers = spec.provider.as_deref() == Some("none");
    let Some(service) = &spec.service else {
        found.refuse_if(
            !workers,
            "service",
            "is missing; write service.port, or provider: none for a workload without a Service",
        );
        return;
    };
    found.refuse_if(
        workers,
        "service",
        "provider none is for workers without a Service; take service out, or choose another provider",
    );
    names(canary.service_name(), service, found);
    for (index, host) in service.hosts.iter().enumerate() {
        found.refuse_if(
            !is_host(host),
            &format!("service.hosts[{index}]"),
            "is not a host name; write for instance shop.example.com or *.example.com, without scheme, port and path",
        );
    }
    let patched = !spec.route_refs.is_empty();
    let owned = !service.gateway_refs.is_empty();
    found.refuse_if(
        patched && owned,
        "routeRefs",
        "excludes service.gatewayRefs; keep routeRefs for routes that are yours, or gatewayRefs for a route that Serin makes",
    );
    let gateway = spec
        .provider
        .as_deref()
        .is_some_and(|provider| provider.starts_with("gatewayapi"));
    found.refuse_if(
        gateway && !patched && !owned,
        "service.gatewayRefs",
        "is missing; name the Gateway that the route hangs on, or your own routes in routeRefs",
    );
    for name in service.others.keys() {
        found.later(true, &format!("service.{name}"), "it comes");
    }
}

fn names(name: &str, service: &CanaryService, found: &mut Findings) {
    found.refuse_if(
        name.len() > SERVICE_NAME,
        "service.name",
        "(the target's name if not set) is longer than 56 characters, and NAME-canary would not fit a Service; write a shorter one",
    );
    found.refuse_if(
        !is_label(name),
        "service.name",
        "(the target's name if not set) cannot be the name of a Service; write lower case letters, digits and '-'",
    );
    found.refuse_if(
        !(1..=65_535).contains(&service.port),
        "service.port",
        "must be 1 to 65535",
    );
}

fn is_host(host: &str) -> bool {
    let labels = host.strip_prefix("*.").unwrap_or(host);
    host == "*" || labels.split('.').all(is_label)
}

/// Whether this is a DNS label.
fn is_label(text: &str) -> bool {
    let fits =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !text.is_empty() && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}
