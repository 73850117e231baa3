//! The objects of the team whose release is told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serin::sim::store::Key;

/// Namespace of the application.
pub(crate) const HOME: &str = "shop";
/// Name of the application.
pub(crate) const APP: &str = "app";

pub(crate) fn deployment(tag: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": APP, "namespace": HOME, "labels": {"app": APP}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "template": {
                "metadata": {
                    "labels": {"app": APP},
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
                },
                "spec": {"containers": [{
                    "name": APP, "image": format!("app:{tag}"),
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                }]},
            },
        },
    })
}

pub(crate) fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": APP, "namespace": HOME, "labels": {"app": APP}},
        "spec": {"selector": {"app": APP}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

pub(crate) fn canary(analysis: &Value) -> Value {
    json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": APP, "namespace": HOME},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
            "service": {"port": 80, "targetPort": "http", "hosts": ["shop.example"],
                "gatewayRefs": [{"name": "gw", "namespace": "default"}]},
            "analysis": analysis,
        },
    })
}

/// The target.
pub(crate) fn target() -> Key {
    Key::new("apps", "deployments", HOME, APP)
}

/// The canary workload.
pub(crate) fn clone_key() -> Key {
    Key::new("apps", "deployments", HOME, "app-canary")
}

/// The Canary.
pub(crate) fn canary_key() -> Key {
    Key::new("serin.dev", "canaries", HOME, APP)
}

/// The route that Serin makes, or that the team has.
pub(crate) fn route_key() -> Key {
    Key::new("gateway.networking.k8s.io", "httproutes", HOME, APP)
}

/// The team's Service.
pub(crate) fn service_key() -> Key {
    Key::new("", "services", HOME, APP)
}

/// A route of the team, with the application's Service as its only backend.
pub(crate) fn own_route() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": APP, "namespace": HOME},
        "spec": {
            "parentRefs": [{"name": "gw", "namespace": "default"}],
            "hostnames": ["shop.example"],
            "rules": [{"backendRefs": [{"name": APP, "port": 80}]}],
        },
    })
}

/// A Secret with these texts that Serin may send, and its right to read it.
pub(crate) fn credentials(name: &str, texts: &[(&str, &str)]) -> [Value; 2] {
    let encoded = |text: &str| Value::from(STANDARD.encode(text));
    let data: Value = texts
        .iter()
        .map(|(key, text)| (*key, encoded(text)))
        .collect();
    let role = "rbac.authorization.k8s.io";
    [
        json!({
            "apiVersion": "v1", "kind": "Secret", "data": data,
            "metadata": {"name": name, "namespace": HOME, "labels": {"serin.dev/credentials": "true"}},
        }),
        json!({
            "apiVersion": format!("{role}/v1"), "kind": "RoleBinding", "metadata": {"name": "serin-secrets", "namespace": HOME},
            "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": "serin-secrets"},
            "subjects": [{"kind": "ServiceAccount", "name": "serin", "namespace": "serin-system"}],
        }),
    ]
}
