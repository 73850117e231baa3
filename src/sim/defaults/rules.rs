//! The defaults that are the same whatever else an object says.

use serde_json::{Map, Value};

/// Where, and what fields get which values, in JSON, when they are left out there. A later rule finds what an earlier one wrote.
type Rules = &'static [(&'static str, &'static [(&'static str, &'static str)])];

/// Writes the fields that an object lacks.
pub(super) fn fill(holder: &mut Value, rules: &[(&str, &str)]) {
    let Some(holder) = holder.as_object_mut() else {
        return;
    };
    for (name, value) in rules {
        if lacks(holder, name)
            && let Ok(value) = serde_json::from_str(value)
        {
            holder.insert((*name).to_owned(), value);
        }
    }
}

fn lacks(holder: &Map<String, Value>, name: &str) -> bool {
    holder.get(name).is_none_or(Value::is_null)
}

/// The rules of a kind.
pub(super) fn of(kind: &str) -> Rules {
    match kind {
        "Deployment" => DEPLOYMENT,
        "ReplicaSet" => &[("spec", &[("replicas", "1")])],
        "Service" => SERVICE,
        "Secret" => &[("", &[("type", "\"Opaque\"")])],
        "HorizontalPodAutoscaler" => AUTOSCALER,
        "EndpointSlice" => &[("ports[]", &[("name", "\"\""), ("protocol", "\"TCP\"")])],
        "NetworkPolicy" => NETWORK_POLICY,
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => ADMISSION_POLICY,
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => ADMISSION_BINDING,
        "CustomResourceDefinition" => &[("spec", &[("conversion", r#"{"strategy": "None"}"#)])],
        "GatewayClass" => &[("", &[("status", CLASS_STATUS)])],
        "Gateway" => GATEWAY,
        "HTTPRoute" => HTTP_ROUTE,
        "GRPCRoute" => GRPC_ROUTE,
        _ => &[],
    }
}

/// Where a kind has specs of Pods.
pub(super) fn pod_specs(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &["spec"],
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => &["spec.template.spec"],
        _ => &[],
    }
}

/// Lists of containers.
pub(super) const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

const DEPLOYMENT: Rules = &[
    (
        "spec",
        &[
            ("replicas", "1"),
            ("revisionHistoryLimit", "10"),
            ("progressDeadlineSeconds", "600"),
        ],
    ),
    ("spec.strategy", &[("type", "\"RollingUpdate\"")]),
];

pub(super) const POD: Rules = &[
    (
        "",
        &[
            ("dnsPolicy", "\"ClusterFirst\""),
            ("restartPolicy", "\"Always\""),
            ("securityContext", "{}"),
            ("terminationGracePeriodSeconds", "30"),
            ("schedulerName", "\"default-scheduler\""),
        ],
    ),
    ("volumes[].configMap", MODE),
    ("volumes[].secret", MODE),
    ("volumes[].downwardAPI", MODE),
    ("volumes[].downwardAPI.items[].fieldRef", VERSION),
    ("volumes[].projected", MODE),
    (
        "volumes[].projected.sources[].downwardAPI.items[].fieldRef",
        VERSION,
    ),
    (
        "volumes[].projected.sources[].serviceAccountToken",
        &[("expirationSeconds", "3600")],
    ),
    ("volumes[].hostPath", &[("type", "\"\"")]),
];

const MODE: &[(&str, &str)] = &[("defaultMode", "420")];
const VERSION: &[(&str, &str)] = &[("apiVersion", "\"v1\"")];

pub(super) const CONTAINER: Rules = &[
    (
        "",
        &[
            ("terminationMessagePath", "\"/dev/termination-log\""),
            ("terminationMessagePolicy", "\"File\""),
        ],
    ),
    ("ports[]", &[("protocol", "\"TCP\"")]),
    ("env[].valueFrom.fieldRef", VERSION),
    ("lifecycle.postStart.httpGet", HTTP_GET),
    ("lifecycle.preStop.httpGet", HTTP_GET),
];

const HTTP_GET: &[(&str, &str)] = &[("path", "\"/\""), ("scheme", "\"HTTP\"")];

pub(super) const PROBE: Rules = &[
    (
        "",
        &[
            ("timeoutSeconds", "1"),
            ("periodSeconds", "10"),
            ("successThreshold", "1"),
            ("failureThreshold", "3"),
        ],
    ),
    (".httpGet", HTTP_GET),
    (".grpc", &[("service", "\"\"")]),
];

const SERVICE: Rules = &[
    (
        "spec",
        &[("type", "\"ClusterIP\""), ("sessionAffinity", "\"None\"")],
    ),
    ("spec.ports[]", &[("protocol", "\"TCP\"")]),
];

const AUTOSCALER: Rules = &[(
    "spec",
    &[
        ("minReplicas", "1"),
        (
            "metrics",
            r#"[{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]"#,
        ),
    ],
)];

const NETWORK_POLICY: Rules = &[
    ("spec.ingress[].ports[]", &[("protocol", "\"TCP\"")]),
    ("spec.egress[].ports[]", &[("protocol", "\"TCP\"")]),
];

const MATCH: &[(&str, &str)] = &[
    ("matchPolicy", "\"Equivalent\""),
    ("namespaceSelector", "{}"),
    ("objectSelector", "{}"),
];
const SCOPE: &[(&str, &str)] = &[("scope", "\"*\"")];

const ADMISSION_POLICY: Rules = &[
    ("spec", &[("failurePolicy", "\"Fail\"")]),
    ("spec.matchConstraints", MATCH),
    ("spec.matchConstraints.resourceRules[]", SCOPE),
    ("spec.matchConstraints.excludeResourceRules[]", SCOPE),
];

const ADMISSION_BINDING: Rules = &[
    ("spec.matchResources", MATCH),
    ("spec.matchResources.resourceRules[]", SCOPE),
    ("spec.matchResources.excludeResourceRules[]", SCOPE),
];

const PARENT: &[(&str, &str)] = &[
    ("group", "\"gateway.networking.k8s.io\""),
    ("kind", "\"Gateway\""),
];
const SERVICE_REF: &[(&str, &str)] = &[("group", "\"\""), ("kind", "\"Service\"")];
const BACKEND: &[(&str, &str)] = &[("group", "\"\""), ("kind", "\"Service\""), ("weight", "1")];
const SECRET_REF: &[(&str, &str)] = &[("group", "\"\""), ("kind", "\"Secret\"")];
const EXACT: &[(&str, &str)] = &[("type", "\"Exact\"")];
const FRACTION: &[(&str, &str)] = &[("denominator", "100")];
const REDIRECT: &[(&str, &str)] = &[("statusCode", "302")];
const AGE: &[(&str, &str)] = &[("maxAge", "5")];
const PREFIX: &str = r#"{"type": "PathPrefix", "value": "/"}"#;

const HTTP_ROUTE: Rules = &[
    ("spec.parentRefs[]", PARENT),
    ("status.parents[].parentRef", PARENT),
    (
        "spec",
        &[(
            "rules",
            r#"[{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]"#,
        )],
    ),
    (
        "spec.rules[]",
        &[(
            "matches",
            r#"[{"path": {"type": "PathPrefix", "value": "/"}}]"#,
        )],
    ),
    ("spec.rules[].matches[]", &[("path", PREFIX)]),
    (
        "spec.rules[].matches[].path",
        &[("type", "\"PathPrefix\""), ("value", "\"/\"")],
    ),
    ("spec.rules[].matches[].headers[]", EXACT),
    ("spec.rules[].matches[].queryParams[]", EXACT),
    ("spec.rules[].backendRefs[]", BACKEND),
    ("spec.rules[].filters[].cors", AGE),
    (
        "spec.rules[].filters[].requestMirror.backendRef",
        SERVICE_REF,
    ),
    ("spec.rules[].filters[].requestMirror.fraction", FRACTION),
    ("spec.rules[].filters[].requestRedirect", REDIRECT),
    ("spec.rules[].backendRefs[].filters[].cors", AGE),
    (
        "spec.rules[].backendRefs[].filters[].requestMirror.backendRef",
        SERVICE_REF,
    ),
    (
        "spec.rules[].backendRefs[].filters[].requestMirror.fraction",
        FRACTION,
    ),
    (
        "spec.rules[].backendRefs[].filters[].requestRedirect",
        REDIRECT,
    ),
];

const GRPC_ROUTE: Rules = &[
    ("spec.parentRefs[]", PARENT),
    ("status.parents[].parentRef", PARENT),
    ("spec.rules[].matches[].method", EXACT),
    ("spec.rules[].matches[].headers[]", EXACT),
    ("spec.rules[].backendRefs[]", BACKEND),
    (
        "spec.rules[].filters[].requestMirror.backendRef",
        SERVICE_REF,
    ),
    ("spec.rules[].filters[].requestMirror.fraction", FRACTION),
    (
        "spec.rules[].backendRefs[].filters[].requestMirror.backendRef",
        SERVICE_REF,
    ),
    (
        "spec.rules[].backendRefs[].filters[].requestMirror.fraction",
        FRACTION,
    ),
];

const SAME: &[(&str, &str)] = &[("from", "\"Same\"")];
const NONE: &[(&str, &str)] = &[("from", "\"None\"")];

const GATEWAY: Rules = &[
    ("spec.addresses[]", &[("type", "\"IPAddress\"")]),
    (
        "spec.allowedListeners",
        &[("namespaces", r#"{"from": "None"}"#)],
    ),
    ("spec.allowedListeners.namespaces", NONE),
    (
        "spec.listeners[]",
        &[("allowedRoutes", r#"{"namespaces": {"from": "Same"}}"#)],
    ),
    (
        "spec.listeners[].allowedRoutes",
        &[("namespaces", r#"{"from": "Same"}"#)],
    ),
    ("spec.listeners[].allowedRoutes.namespaces", SAME),
    (
        "spec.listeners[].allowedRoutes.kinds[]",
        &[("group", "\"gateway.networking.k8s.io\"")],
    ),
    ("spec.listeners[].tls", &[("mode", "\"Terminate\"")]),
    ("spec.listeners[].tls.certificateRefs[]", SECRET_REF),
    ("", &[("status", GATEWAY_STATUS)]),
    ("status.addresses[]", &[("type", "\"IPAddress\"")]),
    (
        "status.listeners[].supportedKinds[]",
        &[("group", "\"gateway.networking.k8s.io\"")],
    ),
];

const CLASS_STATUS: &str = r#"{"conditions": [
    {"lastTransitionTime": "1970-01-01T00:00:00Z", "message": "Waiting for controller", "reason": "Pending", "status": "Unknown",
     "type": "Accepted"}]}"#;
const GATEWAY_STATUS: &str = r#"{"conditions": [
    {"lastTransitionTime": "1970-01-01T00:00:00Z", "message": "Waiting for controller", "reason": "Pending", "status": "Unknown",
     "type": "Accepted"},
    {"lastTransitionTime": "1970-01-01T00:00:00Z", "message": "Waiting for controller", "reason": "Pending", "status": "Unknown",
     "type": "Programmed"}]}"#;
