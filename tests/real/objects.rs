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

/// A Canary whose TraefikService Serin makes; the user's IngressRoute sends to it.
pub(crate) fn canary_of_traefik(analysis: &Value) -> Value {
    let mut canary = bare_canary(analysis);
    canary["spec"]["provider"] = json!("traefik");
    canary["spec"]["service"] = json!({"port": 80, "targetPort": "http"});
    canary
}

/// A Canary that patches an IngressRoute of the user.
pub(crate) fn canary_of_ingress_route(route: &str, analysis: &Value) -> Value {
    let mut canary = canary_of_traefik(analysis);
    canary["spec"]["routeRefs"] = json!([{
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "name": route,
        "insertCanary": true,
    }]);
    canary
}

/// A Canary that shares the traffic of an Ingress. Traefik stands in for ingress-nginx and counts under names of its own, so the
/// application's are asked.
pub(crate) fn canary_of_ingress(ingress: &str, namespace: &str, analysis: &Value) -> Value {
    let mut canary = bare_canary(analysis);
    canary["spec"]["provider"] = json!("nginx");
    canary["spec"]["service"] = json!({"port": 80, "targetPort": "http"});
    canary["spec"]["ingressRef"] =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": ingress});
    let of = |matcher: &str| {
        format!(
            "sum(rate(http_request_duration_seconds_count{{namespace=\"{namespace}\",pod=~\"{{{{ arm.pods }}}}\"{matcher}}}[10s]))"
        )
    };
    let query = format!(
        "100 * ({} or vector(0)) / {}",
        of(",status=~\"5..\""),
        of("")
    );
    canary["spec"]["analysis"]["metrics"] = json!([{"name": "errors", "query": query, "thresholdRange": {"max": 2}, "interval": "10s"}]);
    canary
}

/// An Ingress of the class of ingress-nginx: all traffic of a host to the Service.
pub(crate) fn ingress(name: &str, host: &str) -> Value {
    let backend = json!({"service": {"name": APP, "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    })
}

/// A Canary whose HTTPProxy Serin makes.
pub(crate) fn canary_of_contour(analysis: &Value) -> Value {
    let mut canary = canary_of_traefik(analysis);
    canary["spec"]["provider"] = json!("contour");
    canary
}

/// The user's HTTPProxy, which leads a host to the one of the application.
pub(crate) fn including_proxy(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": name},
        "spec": {
            "virtualhost": {"fqdn": host},
            "includes": [{"name": APP, "conditions": [{"prefix": "/"}]}],
        },
    })
}

/// An IngressRoute of the user: all traffic of a host to a Service, or to a TraefikService of the same name.
pub(crate) fn ingress_route(name: &str, host: &str, kind: &str) -> Value {
    let mut service = json!({"kind": kind, "name": APP});
    if kind == "Service" {
        service["port"] = json!(80);
    }
    json!({
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": name},
        "spec": {
            "entryPoints": ["web"],
            "routes": [{"match": format!("Host(`{host}`)"), "kind": "Rule", "services": [service]}],
        },
    })
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

/// A short analysis: one check each 3 s at 10, 50 and 100 %, which waits for no evidence.
pub(crate) fn quick() -> Value {
    json!({
        "interval": "3s",
        "checks": 1,
        "threshold": 2,
        "stepWeights": [10, 50, 100],
        "maxWait": "20s",
        "comparison": {"missedRegression": 1},
    })
}

/// The same up to a weight, where it waits for a person.
pub(crate) fn until(weight: i32) -> Value {
    json!({
        "interval": "3s",
        "checks": 1,
        "threshold": 2,
        "maxWait": "20s",
        "comparison": {"missedRegression": 1},
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
