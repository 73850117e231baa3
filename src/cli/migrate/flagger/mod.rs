//! From Flagger's kinds: `Canary`, `MetricTemplate` and `AlertProvider`.

mod analysis;
mod hooks;
mod template;

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::fields::{Fields, metadata};
use crate::cli::simulate::files::Manifest;
use crate::crd::names::{BY_INGRESS, BY_ROUTE, PROVIDERS};

/// Fields of the route that Serin's own route cannot have. They stay, so that the Canary is refused: a route without them
/// would take other requests, or treat them in another way.
const OF_THE_ROUTE: [&str; 8] = [
    "match",
    "rewrite",
    "headers",
    "retries",
    "corsPolicy",
    "trafficPolicy",
    "trafficDistribution",
    "mirror",
];

/// Serin's Canary.
#[must_use]
pub fn canary(manifest: &Manifest, home: &str, account: &mut Account) -> Value {
    let mut spec = Fields::new("spec", manifest.object.get("spec").cloned());
    let mut out = Map::new();
    target(&mut spec, &mut out, account);
    spec.keep(
        &[
            "metricsServer",
            "progressDeadlineSeconds",
            "skipAnalysis",
            "suspend",
        ],
        &mut out,
        account,
    );
    if !out.contains_key("metricsServer") {
        account.change(
            "spec.metricsServer",
            "is not there: Flagger asked the server of its flag -metrics-server, Serin asks that of its flag --metrics-server",
        );
    }
    provider(&mut spec, &mut out, account);
    autoscaler(&mut spec, &mut out, account);
    service(&mut spec, &mut out, account);
    references(&mut spec, &mut out, account);
    deletion(&mut spec, &mut out, account);
    analysis::convert(&mut spec, home, &mut out, account);
    spec.close(account);
    made("Canary", manifest, &out, account)
}

/// Serin's MetricTemplate, whose fields are Flagger's.
#[must_use]
pub fn metric_template(manifest: &Manifest, account: &mut Account) -> Value {
    let mut spec = Fields::new("spec", manifest.object.get("spec").cloned());
    let mut out = Map::new();
    spec.keep(&["query"], &mut out, account);
    if let Some(mut provider) = spec.below("provider") {
        let mut kept = Map::new();
        provider.keep(
            &[
                "type",
                "address",
                "secretRef",
                "region",
                "insecureSkipVerify",
                "headers",
            ],
            &mut kept,
            account,
        );
        provider.close(account);
        template::adapt(&mut kept, &mut out, account);
        out.insert("provider".to_owned(), Value::Object(kept));
    }
    spec.close(account);
    made("MetricTemplate", manifest, &out, account)
}

/// Serin's AlertProvider, whose fields are Flagger's.
#[must_use]
pub fn alert_provider(manifest: &Manifest, account: &mut Account) -> Value {
    let mut spec = Fields::new("spec", manifest.object.get("spec").cloned());
    let mut out = Map::new();
    let names = ["type", "channel", "username", "address", "secretRef"];
    spec.keep(&names, &mut out, account);
    if spec.take("proxy").is_some() {
        account.ask(
            "spec.proxy",
            "is not used yet: let the cluster's egress lead through the proxy",
        );
    }
    spec.close(account);
    if out.contains_key("secretRef") {
        account.ask(
            "spec.secretRef",
            "label the Secret serin.dev/credentials=true, and let Serin read it: a RoleBinding to ClusterRole serin-secrets (docs/alerts.md)",
        );
    }
    made("AlertProvider", manifest, &out, account)
}

fn made(
    kind: &str,
    manifest: &Manifest,
    spec: &Map<String, Value>,
    account: &mut Account,
) -> Value {
    account
        .made
        .push((kind.to_owned(), manifest.name().to_owned()));
    let metadata = metadata(&manifest.object);
    json!({"apiVersion": "serin.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn target(spec: &mut Fields, out: &mut Map<String, Value>, account: &mut Account) {
    let Some(mut target) = spec.below("targetRef") else {
        account.ask("spec.targetRef", "is missing: name the Deployment");
        return;
    };
    let mut kept = Map::new();
    let field = "spec.targetRef.apiVersion";
    let kind = target.clone().text("kind");
    let is_deployment = kind.is_none_or(|kind| kind == "Deployment");
    match target.text("apiVersion") {
        Some(version) if version == "apps/v1" || !is_deployment => {
            account.keep(field);
            kept.insert("apiVersion".to_owned(), json!(version));
        }
        written => {
            let text = match written {
                Some(other) => format!(
                    "is now apps/v1: Flagger did not read it, and {other} has no Deployments"
                ),
                None => "is written out: apps/v1".to_owned(),
            };
            account.change(field, &text);
            kept.insert("apiVersion".to_owned(), json!("apps/v1"));
        }
    }
    target.keep(&["kind", "name"], &mut kept, account);
    let kind = kept.get("kind").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| *kind != "Deployment") {
        let text = format!("{kind} is not taken: Serin releases Deployments");
        account.ask("spec.targetRef.kind", &text);
    }
    target.close(account);
    out.insert("targetRef".to_owned(), Value::Object(kept));
}

fn provider(spec: &mut Fields, out: &mut Map<String, Value>, account: &mut Account) {
    let has_gateways = spec
        .clone()
        .below("service")
        .is_some_and(|mut service| !service.list("gatewayRefs").is_empty());
    let field = "spec.provider";
    let written = spec.text("provider");
    let provider = match written.as_deref() {
        Some("gatewayapi:v1") => {
            account.keep(field);
            "gatewayapi:v1"
        }
        Some(older @ ("gatewayapi" | "gatewayapi:v1beta1")) => {
            let text = format!(
                "{older} is now gatewayapi:v1: the same routes in the API's stable version"
            );
            account.change(field, &text);
            "gatewayapi:v1"
        }
        Some(known) if PROVIDERS.contains(&known) => {
            account.keep(field);
            known
        }
        Some(other) => {
            account.ask(field, &not_routed(other));
            if is_retired(other) {
                hold_back(out, account);
                return;
            }
            other
        }
        None if has_gateways => {
            account.change(
                field,
                "was that of Flagger's flag -mesh-provider; service.gatewayRefs say gatewayapi:v1",
            );
            "gatewayapi:v1"
        }
        None => {
            account.ask(
                field,
                "was that of Flagger's flag -mesh-provider, which no file tells: write gatewayapi:v1 or kubernetes",
            );
            return;
        }
    };
    out.insert("provider".to_owned(), json!(provider));
}

/// Whether nobody makes a router any more. The API server refuses such a provider.
pub(super) fn is_retired(provider: &str) -> bool {
    provider.starts_with("appmesh") || provider.starts_with("osm")
}

/// Lets the new Canary do nothing until somebody has chosen a provider.
pub(super) fn hold_back(out: &mut Map<String, Value>, account: &mut Account) {
    out.insert("suspend".to_owned(), json!(true));
    account.change(
        "spec.suspend",
        "is true, so that nothing happens before a provider is chosen: take it out then",
    );
}

/// What to do about a provider that is not there.
pub(super) fn not_routed(provider: &str) -> String {
    if is_retired(provider) {
        return format!(
            "{provider} is retired by its makers, and left out: move the traffic to the Gateway API (gatewayapi:v1)"
        );
    }
    format!(
        "{provider} is not written by Serin yet, which refuses the Canary until then: where your router takes the Gateway API, write \
        provider gatewayapi:v1 with service.gatewayRefs, or with routeRefs for routes of yours"
    )
}

fn autoscaler(spec: &mut Fields, out: &mut Map<String, Value>, account: &mut Account) {
    let Some(mut scaler) = spec.below("autoscalerRef") else {
        return;
    };
    let mut kept = Map::new();
    scaler.keep(&["apiVersion", "kind", "name"], &mut kept, account);
    let why = "there is no copy for a primary: the target keeps its own autoscaler";
    scaler.forget(
        &[
            ("primaryScalerQueries", why),
            ("primaryScalerReplicas", why),
        ],
        account,
    );
    scaler.close(account);
    if kept.get("kind") == Some(&json!("ScaledObject")) {
        account.ask(
            "spec.autoscalerRef.kind",
            "a ScaledObject of KEDA is not handled yet, and the Canary is refused until then: scale with a HorizontalPodAutoscaler",
        );
    }
    out.insert("autoscalerRef".to_owned(), Value::Object(kept));
}

fn service(spec: &mut Fields, out: &mut Map<String, Value>, account: &mut Account) {
    let Some(mut service) = spec.below("service") else {
        return;
    };
    let mut kept = Map::new();
    let names = [
        "name",
        "port",
        "portName",
        "targetPort",
        "appProtocol",
        "portDiscovery",
        "timeout",
        "gatewayRefs",
        "hosts",
        "gateways",
        "delegation",
        "apex",
        "canary",
    ];
    service.keep(&names, &mut kept, account);
    service.forget(
        &[
            (
                "primary",
                "there is no Service NAME-primary: the apex Service leads to stable",
            ),
            ("meshName", "App Mesh is retired by its makers"),
            ("backends", "App Mesh is retired by its makers"),
        ],
        account,
    );
    for (name, value) in service.rest() {
        let field = format!("spec.service.{name}");
        let text = if OF_THE_ROUTE.contains(&name.as_str()) {
            "is not written into a route yet, and stays, so that the Canary is refused until you decide: take it out, or write the \
            route yourself and name it in routeRefs (then without gatewayRefs and hosts)"
        } else {
            "is not handled yet, and stays, so that the Canary is refused until you decide: take it out, or make the Service yourself"
        };
        account.ask(&field, text);
        kept.insert(name, value);
    }
    out.insert("service".to_owned(), Value::Object(kept));
}

fn references(spec: &mut Fields, out: &mut Map<String, Value>, account: &mut Account) {
    let provider = out.get("provider").and_then(Value::as_str);
    let is_of = |providers: &[&str]| provider.is_some_and(|it| providers.contains(&it));
    let wrong = "it stays, so that the Canary is refused until you";
    let rows = [
        (
            "ingressRef",
            (!is_of(&BY_INGRESS)).then(|| {
                format!("is for the providers nginx and skipper alone; {wrong} take it out or choose one of them")
            }),
        ),
        (
            "routeRef",
            (!is_of(&[BY_ROUTE])).then(|| {
                format!("is for the provider apisix alone; {wrong} take it out or choose that")
            }),
        ),
        (
            "upstreamRef",
            Some(format!(
                "settings of an Upstream are not copied yet; {wrong} take it out and write them into the Upstreams that Serin makes"
            )),
        ),
    ];
    for (name, wrong) in rows {
        let path = spec.path(name);
        let Some(mut reference) = spec.below(name) else {
            continue;
        };
        if let Some(wrong) = wrong {
            account.ask(&path, &wrong);
        }
        let mut kept = Map::new();
        reference.keep(&["apiVersion", "kind", "name"], &mut kept, account);
        let elsewhere = "is left out: what is named has to be in the Canary's own namespace";
        reference.hand_over(&[("namespace", elsewhere)], account);
        reference.close(account);
        out.insert(name.to_owned(), Value::Object(kept));
    }
}

fn deletion(spec: &mut Fields, out: &mut Map<String, Value>, account: &mut Account) {
    let field = "spec.revertOnDeletion";
    match spec.flag("revertOnDeletion") {
        Some(true) => {
            out.insert("deletionPolicy".to_owned(), json!("Revert"));
            account.change(
                field,
                "is now deletionPolicy: Revert, which puts stable's template back",
            );
        }
        Some(false) => account.drop(
            field,
            "the target is the main release itself, so nothing has to be scaled back",
        ),
        None => {}
    }
}
