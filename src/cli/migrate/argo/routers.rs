//! Who routes in a Rollout, and the user's routes that are written.

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::fields::Fields;
use crate::cli::migrate::flagger::{hold_back, is_retired, not_routed};

/// The plugin that writes routes of the Gateway API.
const GATEWAY_PLUGIN: &str = "argoproj-labs/gatewayAPI";

/// Other routers of Argo and what Serin calls them; the empty ones it does not know.
const OTHERS: [(&str, &str); 3] = [("appMesh", "appmesh"), ("alb", ""), ("ambassador", "")];

/// Who routes, and what of the user's is written.
pub(super) fn router(
    mut routing: Fields,
    apex: &str,
    canary: &mut Map<String, Value>,
    account: &mut Account,
) {
    routing.hand_over(
        &[
            (
                "managedRoutes",
                "routes in routeRefs get weights alone, no rules by header and no copies",
            ),
            ("maxTrafficWeight", "weights are percentages"),
        ],
        account,
    );
    let plugin = routing.below("plugins").and_then(|mut plugins| {
        let gateway = plugins.below(GATEWAY_PLUGIN);
        plugins.close(account);
        gateway
    });
    if let Some(plugin) = plugin {
        canary.insert("provider".to_owned(), json!("gatewayapi:v1"));
        let routes = routes(plugin, apex, account);
        canary.insert("routeRefs".to_owned(), json!(routes));
    }
    istio(&mut routing, apex, canary, account);
    nginx(&mut routing, canary, account);
    traefik(&mut routing, apex, canary, account);
    apisix(&mut routing, apex, canary, account);
    smi(&mut routing, apex, canary, account);
    for (router, provider) in OTHERS {
        let field = routing.path(router);
        let Some(settings) = routing.take(router) else {
            continue;
        };
        if provider.is_empty() {
            let text = format!(
                "{router} has no provider in Serin: write gatewayapi:v1 with routeRefs where it takes the Gateway API"
            );
            account.ask(&field, &text);
            continue;
        }
        let text = format!("{} (its settings were {settings})", not_routed(provider));
        account.ask(&field, &text);
        if is_retired(provider) {
            hold_back(canary, account);
        } else {
            canary.insert("provider".to_owned(), json!(provider));
        }
    }
    routing.close(account);
}

/// VirtualServices, with the rules that were named.
fn istio(routing: &mut Fields, apex: &str, canary: &mut Map<String, Value>, account: &mut Account) {
    let Some(mut istio) = routing.below("istio") else {
        return;
    };
    let one = istio.below("virtualService").into_iter();
    let several = istio.list("virtualServices").into_iter();
    let several = several.map(|(path, row)| Fields::new(&path, Some(row)));
    let mut routes = Vec::new();
    for mut service in one.chain(several) {
        let field = service.path("name");
        let name = service.text("name").unwrap_or_default();
        let text = format!(
            "is now VirtualService {name} in routeRefs: its destinations have to be the hosts {apex} and {apex}-canary, and no subsets"
        );
        account.ask(&field, &text);
        let route =
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "name": name});
        routes.extend(with_rules(&route, &mut service, "routes", account));
        service.close(account);
    }
    istio.hand_over(
        &[(
            "destinationRule",
            "subsets are not written: the two versions are told apart by their Services",
        )],
        account,
    );
    istio.close(account);
    canary.insert("provider".to_owned(), json!("istio"));
    canary.insert("routeRefs".to_owned(), json!(routes));
}

/// The Ingress whose traffic is split; Serin takes one.
fn nginx(routing: &mut Fields, canary: &mut Map<String, Value>, account: &mut Account) {
    let Some(mut nginx) = routing.below("nginx") else {
        return;
    };
    let field = nginx.path("stableIngress");
    let single = nginx.text("stableIngress").map(|name| (field, name));
    let listed = nginx.list("stableIngresses").into_iter();
    let listed = listed.filter_map(|(path, name)| Some((path, name.as_str()?.to_owned())));
    let mut ingresses = single.into_iter().chain(listed);
    if let Some((field, name)) = ingresses.next() {
        account.change(&field, "is now spec.ingressRef");
        canary.insert(
            "ingressRef".to_owned(),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": name}),
        );
    }
    for (field, name) in ingresses {
        let text = format!(
            "Ingress {name} is a second one, and Serin splits one: put its rules into the first"
        );
        account.ask(&field, &text);
    }
    let why = "annotations are taken from the Ingress itself by ingress-nginx";
    nginx.forget(
        &[
            ("annotationPrefix", why),
            ("additionalIngressAnnotations", why),
            ("canaryIngressAnnotations", why),
        ],
        account,
    );
    nginx.close(account);
    canary.insert("provider".to_owned(), json!("nginx"));
}

/// The TraefikService in which the weights stand.
fn traefik(
    routing: &mut Fields,
    apex: &str,
    canary: &mut Map<String, Value>,
    account: &mut Account,
) {
    let Some(mut traefik) = routing.below("traefik") else {
        return;
    };
    let field = traefik.path("weightedTraefikServiceName");
    if let Some(name) = traefik.text("weightedTraefikServiceName") {
        let text = format!(
            "is now TraefikService {name} in routeRefs: its services have to be {apex} and {apex}-canary"
        );
        account.change(&field, &text);
        let route =
            json!({"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "name": name});
        canary.insert("routeRefs".to_owned(), json!([route]));
    }
    traefik.close(account);
    canary.insert("provider".to_owned(), json!("traefik"));
}

/// The ApisixRoute in which the weights stand, with the rules that were named.
fn apisix(
    routing: &mut Fields,
    apex: &str,
    canary: &mut Map<String, Value>,
    account: &mut Account,
) {
    let Some(mut apisix) = routing.below("apisix") else {
        return;
    };
    if let Some(mut named) = apisix.below("route") {
        let field = named.path("name");
        let name = named.text("name").unwrap_or_default();
        let text = format!(
            "is now ApisixRoute {name} in routeRefs: its backends have to be {apex} and {apex}-canary"
        );
        account.change(&field, &text);
        let route =
            json!({"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": name});
        let routes = with_rules(&route, &mut named, "rules", account);
        named.close(account);
        canary.insert("routeRefs".to_owned(), json!(routes));
    }
    apisix.close(account);
    canary.insert("provider".to_owned(), json!("apisix"));
}

/// A route once for each of its rules that are named, or once for all.
fn with_rules(route: &Value, of: &mut Fields, list: &str, account: &mut Account) -> Vec<Value> {
    let rules = of.list(list);
    if rules.is_empty() {
        return vec![route.clone()];
    }
    let of_rule = |(path, rule): (String, Value)| {
        account.keep(&path);
        let mut route = route.clone();
        route["rule"] = rule;
        route
    };
    rules.into_iter().map(of_rule).collect()
}

/// A TrafficSplit that Serin makes, as Argo did.
fn smi(routing: &mut Fields, apex: &str, canary: &mut Map<String, Value>, account: &mut Account) {
    let field = routing.path("smi");
    let Some(mut smi) = routing.below("smi") else {
        return;
    };
    let text = format!(
        "is now provider smi:v1alpha1, which was Argo's default: if Argo had another --traffic-split-api-version, write that; clients have to call {apex}"
    );
    account.ask(&field, &text);
    let root = format!("the root of the TrafficSplit is {apex} itself, and so is its name");
    smi.forget(
        &[
            ("rootService", root.as_str()),
            ("trafficSplitName", root.as_str()),
        ],
        account,
    );
    smi.close(account);
    canary.insert("provider".to_owned(), json!("smi:v1alpha1"));
}

/// The routes that the plugin of the Gateway API writes.
fn routes(mut plugin: Fields, apex: &str, account: &mut Account) -> Vec<Value> {
    let mut routes = Vec::new();
    for (single, several, kind) in [
        ("httpRoute", "httpRoutes", "HTTPRoute"),
        ("grpcRoute", "grpcRoutes", "GRPCRoute"),
    ] {
        let field = plugin.path(single);
        let one = plugin.text(single).map(|name| (field, name));
        let listed = plugin.list(several).into_iter();
        let listed =
            listed.filter_map(|(path, row)| Some((path, row["name"].as_str()?.to_owned())));
        for (field, name) in one.into_iter().chain(listed) {
            let text = format!(
                "is now {kind} {name} in routeRefs: its backends have to be {apex} and {apex}-canary"
            );
            account.change(&field, &text);
            routes.push(json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "name": name,
            }));
        }
    }
    plugin.forget(
        &[("namespace", "routes are those of the Canary's namespace")],
        account,
    );
    plugin.close(account);
    routes
}
