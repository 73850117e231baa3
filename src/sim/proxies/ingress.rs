//! Ingresses, as every controller of them reads hosts and paths.

use serde_json::Value;

use crate::sim::field::{annotation, list, text};
use crate::sim::proxies::KindName;
use crate::sim::proxies::condition::is_below;

/// Ingresses.
pub(super) const INGRESSES: KindName = ("networking.k8s.io", "ingresses");

/// How exactly host and path of an Ingress fit a request: the host itself, a whole path, the length of the path.
pub(super) type Fit = (bool, bool, usize);

/// A path of an Ingress that takes a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// How exactly.
    pub(super) fit: Fit,
    /// The host of the rule; empty: any.
    pub(super) host: &'a str,
    /// The path.
    pub(super) path: &'a str,
    /// Where it leads.
    pub(super) service: &'a str,
    /// The port there, by number or name.
    pub(super) port: &'a Value,
}

/// The class that an Ingress names.
pub(super) fn class(ingress: &Value) -> &str {
    let named = annotation(ingress, "kubernetes.io/ingress.class");
    named.unwrap_or_else(|| text(ingress, "/spec/ingressClassName"))
}

/// The paths that take a request, in the order of the Ingress.
pub(super) fn places<'a>(ingress: &'a Value, host: &str, path: &str) -> Vec<Place<'a>> {
    let rules = list(ingress, "/spec/rules").iter();
    let fits = rules.filter_map(|rule| Some((fits_host(text(rule, "/host"), host)?, rule)));
    let places = fits.flat_map(|(exact_host, rule)| {
        let paths = list(rule, "/http/paths").iter();
        paths.filter_map(move |entry| {
            let (exact, length) = path_fit(entry, path)?;
            Some(Place {
                fit: (exact_host, exact, length),
                host: text(rule, "/host"),
                path: text(entry, "/path"),
                service: text(entry, "/backend/service/name"),
                port: port(entry),
            })
        })
    });
    places.collect()
}

fn port(entry: &Value) -> &Value {
    let port = "/backend/service/port";
    let number = entry.pointer(&format!("{port}/number"));
    let name = || entry.pointer(&format!("{port}/name"));
    number.or_else(name).unwrap_or(&Value::Null)
}

/// Whether a host is taken, and whether by its own name. A star stands for one part.
fn fits_host(name: &str, host: &str) -> Option<bool> {
    let rest = host.split_once('.').map(|(_, rest)| rest);
    let starred = name.strip_prefix("*.").is_some_and(|end| rest == Some(end));
    (name.is_empty() || name == host || starred).then_some(name == host)
}

fn path_fit(entry: &Value, path: &str) -> Option<(bool, usize)> {
    let own = text(entry, "/path");
    match text(entry, "/pathType") {
        "Exact" => (own == path).then_some((true, own.len())),
        _ => is_below(path, own).then_some((false, own.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_fit_by_their_type() {
        let backend = |name: &str| json!({"service": {"name": name, "port": {"number": 80}}});
        let rule = |host: &str| {
            json!({"host": host, "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend("all")},
                {"path": "/a", "pathType": "Exact", "backend": backend("exact")},
                {"path": "/a", "pathType": "ImplementationSpecific", "backend": backend("below")},
            ]}})
        };
        let ingress = json!({"spec": {"ingressClassName": "web", "rules": [rule("x.example"), rule("*.example")]}});
        let found = |host: &str, path: &str| {
            let places = places(&ingress, host, path);
            let names = places
                .iter()
                .map(|it| format!("{} {}", it.host, it.service));
            names.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(found("y.example", "/"), "*.example all");
        assert_eq!(
            found("y.example", "/a"),
            "*.example all, *.example exact, *.example below"
        );
        assert_eq!(found("y.example", "/a/b"), "*.example all, *.example below");
        assert_eq!(found("x.example", "/"), "x.example all, *.example all");
        assert_eq!(found("z.y.example", "/"), "");
        assert_eq!(class(&ingress), "web");
    }
}
