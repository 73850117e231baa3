//! Skipper: every path of an Ingress is a route; weights of backends are an annotation.

use serde_json::Value;

use crate::sim::field::annotation;
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::condition::anywhere;
use crate::sim::proxies::ingress::{Fit, INGRESSES, Place, class, places};
use crate::sim::proxies::words;
use crate::sim::proxies::{Asked, Sight, To};
use crate::sim::store::Key;
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// The class of its Ingresses; those without one are its own, too.
const CLASSES: [&str; 2] = ["", "skipper"];

/// Weights of backends.
const WEIGHTS: &str = "zalando.org/backend-weights";
/// What requests have to say besides.
const PREDICATE: &str = "zalando.org/skipper-predicate";

/// The most exact path takes a request; of equals that with the most predicates, by number and `Weight(…)`. Its backends share by weight.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Host(host) = asked.to else {
        return None;
    };
    let mut best: Option<((Fit, u32), &Key, &Value)> = None;
    for (key, ingress) in sight.objects.list(INGRESSES) {
        let Some(predicates) = predicates(ingress, asked) else {
            continue;
        };
        for place in places(ingress, host, asked.path) {
            let rank = (place.fit, predicates);
            if CLASSES.contains(&class(ingress)) && best.is_none_or(|(known, ..)| rank > known) {
                best = Some((rank, key, ingress));
            }
        }
    }
    let ((fit, _), key, ingress) = best?;
    let same: Vec<_> = places(ingress, host, asked.path)
        .into_iter()
        .filter(|place| place.fit == fit)
        .collect();
    Some(shared(key, ingress, &same))
}

/// How many predicates an Ingress has, if a request fulfils them.
fn predicates(ingress: &Value, asked: Asked<'_>) -> Option<u32> {
    let said = annotation(ingress, PREDICATE).unwrap_or_default();
    let mut count = 0;
    for predicate in said.split("&&").map(str::trim).filter(|it| !it.is_empty()) {
        let (name, arguments) = words::call(predicate)?;
        let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
        let value = match name {
            "Header" | "HeaderRegexp" => asked.header(argument(0)),
            "Cookie" => asked.cookie(argument(0)),
            _ => None,
        };
        count += 1;
        match name {
            "Weight" => count += argument(0).parse::<u32>().unwrap_or(0),
            "True" => {}
            "Header" if value == Some(argument(1)) => {}
            "Cookie" | "HeaderRegexp" if value.is_some_and(|it| anywhere(argument(1), it)) => {}
            _ => return None,
        }
    }
    Some(count)
}

/// The backends of one path. Without any weight all have the same, and so they have if nothing is left to share; else who has none
/// gets nothing.
fn shared(key: &Key, ingress: &Value, places: &[Place<'_>]) -> Vec<Backend> {
    let said = annotation(ingress, WEIGHTS).unwrap_or("null");
    let weights: Value = serde_json::from_str(said).unwrap_or_default();
    let weight = |place: &Place<'_>| weights[place.service].as_f64().unwrap_or(0.0);
    let none = places.iter().all(|place| weight(place) <= 0.0);
    let backends = places.iter().map(|place| {
        // Weights may have decimals.
        let weight = if none { 1.0 } else { weight(place) * 1000.0 };
        Backend {
            counted: counted(key, place),
            ..Backend::new(Name::new(&key.namespace, place.service), weight as u32)
        }
    });
    backends.collect()
}

/// Requests are counted by the names of routes.
fn counted(key: &Key, place: &Place<'_>) -> Labels {
    let word = |text: &str| text.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    let route = format!(
        "kube_{}__{}__{}__{}__{}",
        word(&key.namespace),
        word(&key.name),
        word(place.host),
        word(place.path),
        word(place.service)
    );
    Labels::of([("method", "GET"), ("route", route.as_str())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const PAIR: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web-canary
  annotations: {zalando.org/backend-weights: '{"app":90,"app-canary":10.5}', zalando.org/skipper-predicate: Weight(100)}
spec:
  rules: [{host: shop.example, http: {paths: [
    {path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}},
    {path: /, pathType: Prefix, backend: {service: {name: app-canary, port: {number: 80}}}}]}}]
"#;

    #[test]
    fn the_route_with_more_predicates_goes_first() {
        let scene = Scene::new(Proxies::Skipper, PAIR);
        let found = |manifest: &str| {
            Scene::new(Proxies::Skipper, manifest).shown(To::Host("shop.example"), "/", None)
        };
        assert_eq!(found(PAIR), "app:90000 app-canary:10500");
        assert_eq!(found(&PAIR.replace("Weight(100)", "''")), "app:1");
        let none = PAIR.replace(r#"{"app":90,"app-canary":10.5}"#, "{}");
        assert_eq!(found(&none), "app:1 app-canary:1");
        let counted = scene.counted("shop.example");
        assert_eq!(
            counted[1],
            r#"{method="GET", route="kube_shop__web_canary__shop_example_____app_canary"}"#
        );
    }

    #[test]
    fn predicates_have_to_be_fulfilled() {
        let manifest = PAIR.replace(
            "Weight(100)",
            r#"'Header("X-Canary", "insider") && Cookie("group", "^b")'"#,
        );
        let scene = Scene::new(Proxies::Skipper, &manifest);
        let found = scene.shown(To::Host("shop.example"), "/", Some(("x-canary", "insider")));
        assert_eq!(found, "app:1");
        let manifest = PAIR.replace("Weight(100)", r#"'Header("X-Canary", "insider")'"#);
        let scene = Scene::new(Proxies::Skipper, &manifest);
        let found = scene.shown(To::Host("shop.example"), "/", Some(("x-canary", "insider")));
        assert_eq!(found, "app:90000 app-canary:10500");
    }
}
