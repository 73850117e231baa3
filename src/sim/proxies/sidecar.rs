//! The proxy in a Pod of a mesh, and the names by which it counts what comes in.

use serde_json::Value;

use crate::sim::field::{list, pairs, text};
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::Proxies;
use crate::sim::store::Key;
use crate::sim::traffic::families::{ENVOY, ISTIO, LINKERD};
use crate::sim::traffic::{Name, Sidecar};

/// The sidecar of a Pod, in a namespace with these Services; `None`: this mesh has none there.
#[must_use]
pub fn sidecar<'a>(
    proxies: Proxies,
    (key, pod): (&Key, &Value),
    services: impl IntoIterator<Item = &'a Value>,
) -> Option<Sidecar> {
    let (namespace, workload) = (key.namespace.as_str(), workload(pod));
    let address = format!("{}:15090", text(pod, "/status/podIP"));
    let target = Labels::of([
        ("instance", address.as_str()),
        ("job", "sidecars"),
        ("namespace", namespace),
        ("pod", &key.name),
    ]);
    let (family, target, labels) = match proxies {
        Proxies::Istio => {
            let labels = [
                ("reporter", "destination"),
                ("destination_workload", &workload),
                ("destination_workload_namespace", namespace),
                ("response_flags", "-"),
            ];
            (&ISTIO, target, Labels::of(labels))
        }
        Proxies::Linkerd | Proxies::Smi => {
            let target = target.with("deployment", &workload);
            (&LINKERD, target, Labels::of([("direction", "inbound")]))
        }
        Proxies::Kuma => {
            let service = service(namespace, pod, services)?;
            let target = target.with("service", &service).with("mesh", "default");
            let inbound = [("envoy_cluster_name", "localhost_8080")];
            (&ENVOY, target, Labels::of(inbound))
        }
        _ => return None,
    };
    Some(Sidecar {
        family,
        target,
        labels,
    })
}

/// The Deployment of a Pod: its ReplicaSet's name without the hash.
fn workload(pod: &Value) -> String {
    let set = text(pod, "/metadata/ownerReferences/0/name");
    let hash = text(pod, "/metadata/labels/pod-template-hash");
    let name = set.strip_suffix(hash).map(|it| it.trim_end_matches('-'));
    name.unwrap_or(set).to_owned()
}

/// Kuma's name of the first Service that selects a Pod.
fn service<'a>(
    namespace: &str,
    pod: &Value,
    services: impl IntoIterator<Item = &'a Value>,
) -> Option<String> {
    let selects = |service: &&Value| {
        let mut selector = pairs(service, "/spec/selector").peekable();
        let labels = pod.pointer("/metadata/labels");
        selector.peek().is_some()
            && selector.all(|(name, value)| labels.and_then(|it| it.get(name)) == Some(value))
    };
    let service = services.into_iter().find(selects)?;
    let port = list(service, "/spec/ports").first()?.get("port")?;
    let name = Name::new(namespace, text(service, "/metadata/name"));
    Some(format!("{}_{}_svc_{port}", name.name, name.namespace))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sidecars_count_by_workload_or_service() {
        let pod = json!({
            "metadata": {
                "labels": {"app": "web", "pod-template-hash": "5d4"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-canary-5d4"}],
            },
            "status": {"podIP": "10.244.0.7"},
        });
        let service = |name: &str, selector: Value| json!({"metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": 80}]}});
        let services = [
            service("none", json!({})),
            service("other", json!({"app": "other"})),
            service("web", json!({"app": "web"})),
        ];
        let key = Key::new("", "pods", "shop", "web-canary-5d4-x");
        let named = |proxies| {
            let sidecar = sidecar(proxies, (&key, &pod), &services)?;
            Some(format!("{} {}", sidecar.target, sidecar.labels))
        };
        let target = r#"instance="10.244.0.7:15090", job="sidecars""#;
        let pod = r#"namespace="shop", pod="web-canary-5d4-x""#;
        let istio = r#"{destination_workload="web-canary", destination_workload_namespace="shop", reporter="destination", response_flags="-"}"#;
        let rows = [
            (Proxies::Istio, Some(format!("{{{target}, {pod}}} {istio}"))),
            (
                Proxies::Linkerd,
                Some(format!(
                    r#"{{deployment="web-canary", {target}, {pod}}} {{direction="inbound"}}"#
                )),
            ),
            (
                Proxies::Kuma,
                Some(format!(
                    r#"{{{target}, mesh="default", {pod}, service="web_shop_svc_80"}} {{envoy_cluster_name="localhost_8080"}}"#
                )),
            ),
            (Proxies::Contour, None),
        ];
        for (proxies, expected) in rows {
            assert_eq!(named(proxies), expected, "{proxies:?}");
        }
    }
}
