//! The columns of the kinds that are built in, as `kubectl get` shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::columns::age::since;
use crate::sim::columns::path::plain;
use crate::sim::columns::pod;
use crate::sim::field::{count, list, pairs, text};

/// Kind, and the names of its columns; those behind a `+` are shown with `-o wide`.
const COLUMNS: &[(&str, &str)] = &[
    (
        "Pod",
        "Name|Ready|Status|Restarts|Age|+IP|+Node|+Nominated Node|+Readiness Gates",
    ),
    (
        "Deployment",
        "Name|Ready|Up-to-date|Available|Age|+Containers|+Images|+Selector",
    ),
    (
        "ReplicaSet",
        "Name|Desired|Current|Ready|Age|+Containers|+Images|+Selector",
    ),
    (
        "Service",
        "Name|Type|Cluster-IP|External-IP|Port(s)|Age|+Selector",
    ),
    (
        "Node",
        "Name|Status|Roles|Age|Version|+Internal-IP|+External-IP|+OS-Image|+Kernel-Version|+Container-Runtime",
    ),
    (
        "Event",
        "Last Seen|Type|Reason|Object|+Subobject|+Source|Message|+First Seen|+Count|+Name",
    ),
    (
        "HorizontalPodAutoscaler",
        "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age",
    ),
    (
        "PodDisruptionBudget",
        "Name|Min Available|Max Unavailable|Allowed Disruptions|Age",
    ),
    ("EndpointSlice", "Name|AddressType|Ports|Endpoints|Age"),
    ("Namespace", "Name|Status|Age"),
    ("ConfigMap", "Name|Data|Age"),
    ("Secret", "Name|Type|Data|Age"),
    ("ServiceAccount", "Name|Age"),
    ("Lease", "Name|Holder|Age"),
    ("NetworkPolicy", "Name|Pod-Selector|Age"),
    ("ControllerRevision", "Name|Controller|Revision|Age"),
    ("Role", "Name|Created At"),
    ("ClusterRole", "Name|Created At"),
    (
        "RoleBinding",
        "Name|Role|Age|+Users|+Groups|+ServiceAccounts",
    ),
    (
        "ClusterRoleBinding",
        "Name|Role|Age|+Users|+Groups|+ServiceAccounts",
    ),
    ("CustomResourceDefinition", "Name|Created At"),
    ("MutatingWebhookConfiguration", "Name|Webhooks|Age"),
    ("MutatingAdmissionPolicy", "Name|Mutations|ParamKind|Age"),
    (
        "ValidatingAdmissionPolicy",
        "Name|Validations|ParamKind|Age",
    ),
    (
        "MutatingAdmissionPolicyBinding",
        "Name|PolicyName|ParamRef|Age",
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "Name|PolicyName|ParamRef|Age",
    ),
];

/// The columns of a kind, if it is one of these.
pub(super) fn columns(kind: &str) -> Option<&'static str> {
    let found = COLUMNS.iter().find(|(name, _)| *name == kind);
    found.map(|(_, columns)| *columns)
}

/// What stands in them.
pub(super) fn cells(kind: &str, it: &Value, now: Timestamp) -> Vec<Value> {
    let age = json!(since(&it["metadata"]["creationTimestamp"], now));
    let middle = match kind {
        "Pod" => return pod::cells(it, now),
        "Event" => return event(it, now),
        "Node" => return node(it, age),
        "Deployment" => return with_template(deployment(it), it, age),
        "ReplicaSet" => return with_template(replica_set(it), it, age),
        "Service" => {
            return with(
                name(it),
                service(it),
                vec![age, labels(&it["spec"]["selector"])],
            );
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = format!(
                "{}/{}",
                text(it, "/roleRef/kind"),
                text(it, "/roleRef/name")
            );
            return with(name(it), vec![json!(role), age], subjects(it));
        }
        "Role" | "ClusterRole" | "CustomResourceDefinition" => {
            let born = it["metadata"]["creationTimestamp"].clone();
            return vec![name(it), born];
        }
        "HorizontalPodAutoscaler" => autoscaler(it),
        "PodDisruptionBudget" => budget(it),
        "EndpointSlice" => slice(it),
        "Namespace" => vec![json!(text(it, "/status/phase"))],
        "ConfigMap" => vec![json!(size(&it["data"]) + size(&it["binaryData"]))],
        "Secret" => vec![it["type"].clone(), json!(size(&it["data"]))],
        "Lease" => vec![json!(text(it, "/spec/holderIdentity"))],
        "NetworkPolicy" => vec![selector(&it["spec"]["podSelector"])],
        "ControllerRevision" => vec![controller(it), it["revision"].clone()],
        "MutatingWebhookConfiguration" => {
            vec![json!(it["webhooks"].as_array().map_or(0, Vec::len))]
        }
        "MutatingAdmissionPolicy" | "ValidatingAdmissionPolicy" => policy(it),
        "MutatingAdmissionPolicyBinding" | "ValidatingAdmissionPolicyBinding" => {
            vec![json!(text(it, "/spec/policyName")), parameter(it)]
        }
        _ => Vec::new(),
    };
    with(name(it), middle, vec![age])
}

fn name(it: &Value) -> Value {
    json!(text(it, "/metadata/name"))
}

fn with(first: Value, middle: Vec<Value>, last: Vec<Value>) -> Vec<Value> {
    [vec![first], middle, last].concat()
}

/// A text, or the word for none.
pub(super) fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { "<none>" } else { text })
}

fn size(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

fn deployment(it: &Value) -> Vec<Value> {
    let ready = count(it, "/status/readyReplicas");
    vec![
        json!(format!("{ready}/{}", count(it, "/spec/replicas"))),
        json!(count(it, "/status/updatedReplicas")),
        json!(count(it, "/status/availableReplicas")),
    ]
}

fn replica_set(it: &Value) -> Vec<Value> {
    [
        "/spec/replicas",
        "/status/replicas",
        "/status/readyReplicas",
    ]
    .iter()
    .map(|field| json!(count(it, field)))
    .collect()
}

fn with_template(middle: Vec<Value>, it: &Value, age: Value) -> Vec<Value> {
    let containers = list(it, "/spec/template/spec/containers");
    let all = |field: &str| {
        let texts: Vec<_> = containers.iter().map(|one| text(one, field)).collect();
        json!(texts.join(","))
    };
    let last = vec![
        age,
        all("/name"),
        all("/image"),
        selector(&it["spec"]["selector"]),
    ];
    with(name(it), middle, last)
}

/// A label selector as one text.
fn selector(selector: &Value) -> Value {
    let mut parts: Vec<String> = pairs(selector, "/matchLabels")
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    for expression in list(selector, "/matchExpressions") {
        let (key, values) = (text(expression, "/key"), list(expression, "/values"));
        let values: Vec<_> = values.iter().map(plain).collect();
        let values = values.join(",");
        parts.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    or_none(&parts.join(","))
}

fn labels(map: &Value) -> Value {
    let all: Vec<_> = pairs(map, "")
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    or_none(&all.join(","))
}

fn service(it: &Value) -> Vec<Value> {
    let ports = list(it, "/spec/ports").iter().map(|port| {
        let (number, node) = (count(port, "/port"), count(port, "/nodePort"));
        let protocol = text(port, "/protocol");
        match node {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    });
    let ports: Vec<_> = ports.collect();
    let kind = text(it, "/spec/type");
    let own: Vec<_> = list(it, "/spec/externalIPs").iter().map(plain).collect();
    let outside = match kind {
        "ExternalName" => text(it, "/spec/externalName").to_owned(),
        _ if !own.is_empty() => own.join(","),
        "LoadBalancer" => "<pending>".to_owned(),
        _ => "<none>".to_owned(),
    };
    vec![
        json!(kind),
        or_none(text(it, "/spec/clusterIPs/0")),
        json!(outside),
        or_none(&ports.join(",")),
    ]
}

fn node(it: &Value, age: Value) -> Vec<Value> {
    let conditions = list(it, "/status/conditions");
    let ready = conditions.iter().find(|one| text(one, "/type") == "Ready");
    let mut status = match ready.map(|one| text(one, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if it["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let roles = pairs(it, "/metadata/labels")
        .filter_map(|(label, _)| label.strip_prefix("node-role.kubernetes.io/"));
    let roles: Vec<_> = roles.collect();
    let address = |kind: &str| {
        let all = list(it, "/status/addresses");
        let one = all.iter().find(|one| text(one, "/type") == kind);
        or_none(one.map_or("", |one| text(one, "/address")))
    };
    let info = |field: &str| match text(&it["status"]["nodeInfo"], field) {
        "" => "<unknown>".to_owned(),
        known => known.to_owned(),
    };
    let mut kernel = info("/kernelVersion");
    let architecture = text(it, "/status/nodeInfo/architecture");
    if !architecture.is_empty() {
        kernel.push_str(&format!(" ({architecture})"));
    }
    vec![
        name(it),
        json!(status),
        or_none(&roles.join(",")),
        age,
        json!(text(it, "/status/nodeInfo/kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        json!(info("/osImage")),
        json!(kernel),
        json!(info("/containerRuntimeVersion")),
    ]
}

fn event(it: &Value, now: Timestamp) -> Vec<Value> {
    let given = |fields: &[&str]| {
        let found = fields.iter().find_map(|field| it.pointer(field));
        since(
            found.filter(|at| !at.is_null()).unwrap_or(&it["eventTime"]),
            now,
        )
    };
    let about = ["/involvedObject", "/regarding"]
        .iter()
        .find_map(|field| it.pointer(field))
        .unwrap_or(&Value::Null);
    let object = match (text(about, "/kind").to_lowercase(), text(about, "/name")) {
        (kind, "") => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let source = [
        text(it, "/source/component"),
        text(it, "/reportingComponent"),
    ]
    .into_iter()
    .find(|one| !one.is_empty());
    let message = [text(it, "/message"), text(it, "/note")];
    vec![
        json!(given(&[
            "/series/lastObservedTime",
            "/lastTimestamp",
            "/firstTimestamp"
        ])),
        it["type"].clone(),
        it["reason"].clone(),
        json!(object),
        json!(text(about, "/fieldPath")),
        json!(source.unwrap_or_default()),
        json!(message.concat().trim()),
        json!(given(&["/firstTimestamp"])),
        json!(count(it, "/series/count").max(count(it, "/count")).max(1)),
        name(it),
    ]
}

fn subjects(it: &Value) -> Vec<Value> {
    let all = |kind: &str| {
        let of_kind = list(it, "/subjects")
            .iter()
            .filter(|subject| text(subject, "/kind") == kind);
        let names = of_kind.map(|subject| match (kind, text(subject, "/name")) {
            ("ServiceAccount", name) => format!("{}/{name}", text(subject, "/namespace")),
            (_, name) => name.to_owned(),
        });
        json!(names.collect::<Vec<_>>().join(", "))
    };
    ["User", "Group", "ServiceAccount"].map(all).to_vec()
}

fn autoscaler(it: &Value) -> Vec<Value> {
    let target = &it["spec"]["scaleTargetRef"];
    let least = it["spec"]["minReplicas"].as_i64();
    vec![
        json!(format!(
            "{}/{}",
            text(target, "/kind"),
            text(target, "/name")
        )),
        json!(metrics(it)),
        json!(least.map_or_else(|| "<unset>".to_owned(), |least| least.to_string())),
        json!(count(it, "/spec/maxReplicas")),
        json!(count(it, "/status/currentReplicas")),
    ]
}

fn metrics(it: &Value) -> String {
    let (specs, now) = (
        list(it, "/spec/metrics"),
        list(it, "/status/currentMetrics"),
    );
    let mut all: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(at, spec)| metric(spec, now.get(at).unwrap_or(&Value::Null)))
        .collect();
    let more = all.len().saturating_sub(2);
    all.truncate(2);
    match (all.join(", "), more) {
        (none, _) if none.is_empty() => "<none>".to_owned(),
        (shown, 0) => shown,
        (shown, more) => format!("{shown} + {more} more..."),
    }
}

fn metric(spec: &Value, now: &Value) -> String {
    let kind = text(spec, "/type");
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let field: String = first.into_iter().chain(letters).collect();
    let (target, current) = (&spec[&field]["target"], &now[&field]["current"]);
    let value = |from: &Value, field: &str, none: &str| match &from[field] {
        Value::Null => none.to_owned(),
        known => plain(known),
    };
    let resource = match text(&spec[&field], "/name") {
        "" => String::new(),
        name => format!("{name}: "),
    };
    if !target["averageValue"].is_null() {
        let suffix = if matches!(kind, "External" | "Object") {
            " (avg)"
        } else {
            ""
        };
        let (is, wanted) = (
            value(current, "averageValue", "<unknown>"),
            plain(&target["averageValue"]),
        );
        return format!("{resource}{is}/{wanted}{suffix}");
    }
    if resource.is_empty() {
        return format!(
            "{}/{}",
            value(current, "value", "<unknown>"),
            value(target, "value", "0")
        );
    }
    let share = |from: &Value, none: &str| match &from["averageUtilization"] {
        Value::Null => none.to_owned(),
        known => format!("{known}%"),
    };
    format!(
        "{resource}{}/{}",
        share(current, "<unknown>"),
        share(target, "<auto>")
    )
}

fn budget(it: &Value) -> Vec<Value> {
    let limit = |field: &str| match &it["spec"][field] {
        Value::Null => json!("N/A"),
        limit => json!(plain(limit)),
    };
    let allowed = json!(count(it, "/status/disruptionsAllowed"));
    vec![limit("minAvailable"), limit("maxUnavailable"), allowed]
}

fn slice(it: &Value) -> Vec<Value> {
    let ports = list(it, "/ports")
        .iter()
        .map(|port| match (&port["port"], text(port, "/name")) {
            (Value::Null, "") => "*".to_owned(),
            (Value::Null, name) => name.to_owned(),
            (number, _) => number.to_string(),
        });
    let addresses = list(it, "/endpoints")
        .iter()
        .flat_map(|end| list(end, "/addresses"));
    let (ports, addresses): (Vec<_>, Vec<_>) = (ports.collect(), addresses.map(plain).collect());
    vec![
        it["addressType"].clone(),
        some(&ports, "<unset>"),
        some(&addresses, "<unset>"),
    ]
}

/// The first three of a list.
fn some(all: &[String], none: &str) -> Value {
    match all {
        [] => json!(none),
        [one, two, three, more @ ..] if !more.is_empty() => {
            json!(format!("{one},{two},{three} + {} more...", more.len()))
        }
        all => json!(all.join(",")),
    }
}

fn controller(it: &Value) -> Value {
    let owner = list(it, "/metadata/ownerReferences")
        .iter()
        .find(|owner| owner["controller"] == true);
    let Some(owner) = owner else {
        return json!("<none>");
    };
    let group = text(owner, "/apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    let kind = text(owner, "/kind").to_lowercase();
    let dot = if group.is_empty() { "" } else { "." };
    json!(format!("{kind}{dot}{group}/{}", text(owner, "/name")))
}

fn policy(it: &Value) -> Vec<Value> {
    let rules = list(it, "/spec/mutations").len() + list(it, "/spec/validations").len();
    let kind = &it["spec"]["paramKind"];
    let parameters = if kind.is_null() {
        "<unset>".to_owned()
    } else {
        format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind"))
    };
    vec![json!(rules), json!(parameters)]
}

fn parameter(it: &Value) -> Value {
    let (name, space) = (
        text(it, "/spec/paramRef/name"),
        text(it, "/spec/paramRef/namespace"),
    );
    json!(match (name, space) {
        ("", _) => "<unset>".to_owned(),
        (name, "") => format!("*/{name}"),
        (name, space) => format!("{space}/{name}"),
    })
}
