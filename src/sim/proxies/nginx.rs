//! ingress-nginx: an Ingress that is marked as a canary stands beside the one with the same host and path.

use serde_json::Value;

use crate::sim::field::annotation;
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::condition::anywhere;
use crate::sim::proxies::ingress::{INGRESSES, Place, class, places};
use crate::sim::proxies::objects::Named;
use crate::sim::proxies::{Asked, Sight, To};
use crate::sim::store::Key;
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// The class of its Ingresses.
const CLASS: &str = "nginx";

/// The main Ingress with the most exact path takes a request; its canary, if there is one, gets its part. Without an endpoint of the
/// main one nothing is answered, whatever the canary's part is; a canary without an endpoint gets nothing.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Host(host) = asked.to else {
        return None;
    };
    let ours = sight.objects.list(INGRESSES).iter();
    let ours = ours.filter(|(_, ingress)| class(ingress) == CLASS);
    let (canaries, mains): (Vec<&Named>, Vec<&Named>) =
        ours.partition(|(_, ingress)| says(ingress, "canary") == Some("true"));
    let found = best(&mains, host, asked.path)?;
    let (key, _, place) = found;
    let main = Name::new(&key.namespace, place.service);
    if !(sight.is_ready)(&main) {
        let mut main = Backend::new(main, 1);
        main.counted = counted(found, host, "");
        return Some(vec![main]);
    }
    let canary = canaries.iter().find_map(|named| {
        let (key, ingress) = named;
        let own = places(ingress, host, asked.path).into_iter();
        let mut same = own.filter(|own| (own.host, own.path) == (place.host, place.path));
        let service = Name::new(&key.namespace, same.next()?.service);
        (sight.is_ready)(&service).then_some((service, ingress))
    });
    let (total, weight) = canary.as_ref().map_or((100, 0), |(_, it)| share(it, asked));
    let shares = canary.map(|(service, _)| {
        let name = format!(
            "{}-{}-{}",
            service.namespace,
            service.name,
            shown(place.port)
        );
        (service, name, weight)
    });
    let stable = (main, String::new(), total - weight);
    let backends = std::iter::once(stable).chain(shares);
    let backends = backends.map(|(service, canary, weight)| Backend {
        counted: counted(found, host, &canary),
        ..Backend::new(service, weight)
    });
    Some(backends.collect())
}

/// A path that takes a request, with its Ingress.
type Found<'a> = (&'a Key, &'a Value, Place<'a>);

/// The Ingress with the most exact path; of equals the oldest.
fn best<'a>(mains: &[&'a Named], host: &str, path: &str) -> Option<Found<'a>> {
    let mut best: Option<Found<'a>> = None;
    for (key, ingress) in mains.iter().copied() {
        for place in places(ingress, host, path) {
            if best.is_none_or(|(_, _, known)| place.fit > known.fit) {
                best = Some((key, ingress, place));
            }
        }
    }
    best
}

fn says<'a>(ingress: &'a Value, word: &str) -> Option<&'a str> {
    let said = annotation(ingress, &format!("nginx.ingress.kubernetes.io/{word}"));
    said.filter(|said| !said.is_empty())
}

/// The canary's weight, after the whole: its header decides, else its cookie, else its share.
fn share(ingress: &Value, asked: Asked<'_>) -> (u32, u32) {
    let number = |word: &str| says(ingress, word).and_then(|said| said.parse::<u32>().ok());
    let total = number("canary-weight-total").unwrap_or(100).max(100);
    let decided = by_header(ingress, asked).or_else(|| by_cookie(ingress, asked));
    match decided {
        Some(true) => (total, total),
        Some(false) => (total, 0),
        None => (total, number("canary-weight").unwrap_or(0).min(total)),
    }
}

fn by_header(ingress: &Value, asked: Asked<'_>) -> Option<bool> {
    let value = asked.header(says(ingress, "canary-by-header")?)?;
    if let Some(wanted) = says(ingress, "canary-by-header-value") {
        return (value == wanted).then_some(true);
    }
    if let Some(expression) = says(ingress, "canary-by-header-pattern") {
        return anywhere(expression, value).then_some(true);
    }
    always_or_never(value)
}

fn by_cookie(ingress: &Value, asked: Asked<'_>) -> Option<bool> {
    always_or_never(asked.cookie(says(ingress, "canary-by-cookie")?)?)
}

fn always_or_never(value: &str) -> Option<bool> {
    match value {
        "always" => Some(true),
        "never" => Some(false),
        _ => None,
    }
}

/// Requests are counted for the main Ingress and its Service; `canary` names the other backend, if that answered.
fn counted((key, _, place): Found<'_>, host: &str, canary: &str) -> Labels {
    Labels::of([
        ("namespace", key.namespace.as_str()),
        ("ingress", &key.name),
        ("service", place.service),
        ("canary", canary),
        ("host", host),
        ("method", "GET"),
        ("path", place.path),
    ])
}

fn shown(port: &Value) -> String {
    match port {
        Value::String(name) => name.clone(),
        number => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const PAIR: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {kubernetes.io/ingress.class: nginx}}
spec:
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web-canary
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"
    nginx.ingress.kubernetes.io/canary-weight: "10"
    nginx.ingress.kubernetes.io/canary-by-header: X-Canary
    nginx.ingress.kubernetes.io/canary-by-header-value: insider
    nginx.ingress.kubernetes.io/canary-by-cookie: beta
spec:
  ingressClassName: nginx
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app-canary, port: {number: 80}}}}]}}]
"#;

    #[test]
    fn header_then_cookie_then_weight_decide() {
        let scene = Scene::new(Proxies::Nginx, PAIR);
        let rows = [
            (None, "app:90 app-canary:10"),
            (Some(("x-canary", "insider")), "app:0 app-canary:100"),
            (Some(("x-canary", "never")), "app:90 app-canary:10"),
            (Some(("cookie", "a=b; beta=always")), "app:0 app-canary:100"),
            (Some(("cookie", "beta=never")), "app:100 app-canary:0"),
            (Some(("cookie", "beta=yes")), "app:90 app-canary:10"),
        ];
        for (header, expected) in rows {
            let found = scene.shown(To::Host("shop.example"), "/", header);
            assert_eq!(found, expected, "{header:?}");
        }
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere() {
        let manifest = PAIR.replace("header-value: insider", "header-pattern: ins");
        let scene = Scene::new(Proxies::Nginx, &manifest);
        let found =
            |value: &str| scene.shown(To::Host("shop.example"), "/", Some(("x-canary", value)));
        assert_eq!(found("an-insider"), "app:0 app-canary:100");
        assert_eq!(found("other"), "app:90 app-canary:10");
    }

    #[test]
    fn a_canary_needs_endpoints_and_a_main_one_of_its_class() {
        let mut scene = Scene::new(Proxies::Nginx, PAIR);
        scene.empty.insert("app-canary".to_owned());
        let found = scene.shown(To::Host("shop.example"), "/", None);
        assert_eq!(found, "app:100");
        scene.empty.insert("app".to_owned());
        let found = scene.shown(To::Host("shop.example"), "/", Some(("x-canary", "insider")));
        assert_eq!(found, "app:1");
        let other = PAIR.replace("class: nginx", "class: other");
        let scene = Scene::new(Proxies::Nginx, &other);
        assert_eq!(scene.shown(To::Host("shop.example"), "/", None), "none");
        let other = PAIR.replace("ClassName: nginx", "ClassName: other");
        let scene = Scene::new(Proxies::Nginx, &other);
        assert_eq!(scene.shown(To::Host("shop.example"), "/", None), "app:100");
    }

    #[test]
    fn both_are_counted_for_the_main_ingress() {
        let scene = Scene::new(Proxies::Nginx, PAIR);
        let all = r#"host="shop.example", ingress="web", method="GET", namespace="shop", path="/", service="app"}"#;
        let expected = [
            format!("{{{all}"),
            format!(r#"{{canary="shop-app-canary-80", {all}"#),
        ];
        assert_eq!(scene.counted("shop.example"), expected);
    }
}
