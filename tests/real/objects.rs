//! The objects of a team, as scenarios apply them.

use serde_json::{Value, json};

/// Name of the target, of its Service and of its Canary in every scenario.
pub(crate) const APP: &str = "app";

/// A Deployment of the test application.
pub(crate) fn deployment(tag: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP, "labels": {"app": APP}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "template": template(tag),
        },
    })
}

/// Its Pods: ready within a second. They answer on for some seconds after they were told to end, as an application has to
/// behind a gateway that hears of it late, and on a busy machine that is seconds.
fn template(tag: &str) -> Value {
    json!({
        "metadata": {
            "labels": {"app": APP},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 20,
            "containers": [{
                "name": APP,
                "image": format!("app:{tag}"),
                "env": [
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "APP_DRAIN", "value": "6"},
                ],
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }],
        },
    })
}

/// The Service that clients and routes use.
pub(crate) fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": APP, "labels": {"app": APP}},
        "spec": {
            "selector": {"app": APP},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    })
}

/// A budget that allows one Pod of the target to go.
pub(crate) fn budget() -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": APP},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": APP}}},
    })
}

/// A Canary whose route Serin makes, at the cluster's Gateway.
pub(crate) fn canary(host: &str, analysis: &Value) -> Value {
    let mut canary = bare_canary(analysis);
    canary["spec"]["provider"] = json!("gatewayapi:v1");
    canary["spec"]["service"] = json!({
        "port": 80,
        "targetPort": "http",
        "hosts": [host],
        "gatewayRefs": [{"name": "gw", "namespace": "default"}],
    });
    canary
}

/// A Canary that patches a route of the user.
pub(crate) fn canary_of_route(route: &str, analysis: &Value) -> Value {
    let mut canary = bare_canary(analysis);
    canary["spec"]["provider"] = json!("gatewayapi:v1");
    canary["spec"]["service"] = json!({"port": 80, "targetPort": "http"});
    canary["spec"]["routeRefs"] = json!([{
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "name": route,
        "insertCanary": true,
    }]);
    canary
}

/// A blue/green Canary that needs no mesh and no gateway.
pub(crate) fn canary_by_selector(analysis: &Value) -> Value {
    let mut canary = bare_canary(analysis);
    canary["spec"]["provider"] = json!("kubernetes");
    canary["spec"]["service"] = json!({"port": 80, "targetPort": "http"});
    canary
}

fn bare_canary(analysis: &Value) -> Value {
    json!({
        "apiVersion": "serin.dev/v1beta1",
        "kind": "Canary",
        "metadata": {"name": APP},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
            "progressDeadlineSeconds": 60,
            "analysis": analysis,
        },
    })
}

/// A short analysis: one check each 3 s at 10, 50 and 100 %.
pub(crate) fn quick() -> Value {
    json!({"interval": "3s", "checks": 1, "threshold": 2, "stepWeights": [10, 50, 100], "maxWait": "20s"})
}

/// The same up to a weight, where it waits for a person.
pub(crate) fn until(weight: i32) -> Value {
    json!({
        "interval": "3s",
        "checks": 1,
        "threshold": 2,
        "maxWait": "20s",
        "steps": [{"setWeight": weight}, {"checks": 1}, {"pause": {}}],
    })
}

/// A route of the user: all traffic of a host to the Service.
pub(crate) fn route(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "gw", "namespace": "default"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": APP, "port": 80}]}],
        },
    })
}

/// A HorizontalPodAutoscaler of the target by CPU.
pub(crate) fn autoscaler(min: i32, max: i32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": APP},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
            "minReplicas": min,
            "maxReplicas": max,
            "metrics": [{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 100}},
            }],
        },
    })
}
