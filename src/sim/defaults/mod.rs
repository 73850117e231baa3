//! What an API server writes into objects that leave it out.

mod rules;

use serde_json::{Map, Value, json};

use crate::sim::shape::Shape;

/// Writes the defaults, and takes out what is empty, as reading an object into its Go type does. Run it before fields are tracked.
pub fn fill(kind: &str, object: &mut Value) {
    let shape = Shape::built_in(group(object), kind);
    shape.tidy(object);
    for (path, rules) in rules::of(kind) {
        each(object, path, &mut |holder| rules::fill(holder, rules));
    }
    match kind {
        "Deployment" => rolling(&mut object["spec"]["strategy"]),
        "Pod" => pod(&mut object["spec"]),
        "Service" => service(&mut object["spec"]),
        "Secret" => secret(object),
        "Namespace" => namespace(object),
        "HorizontalPodAutoscaler" => behavior(&mut object["spec"]),
        "RoleBinding" | "ClusterRoleBinding" => binding(object),
        "NetworkPolicy" => policy_types(&mut object["spec"]),
        "CustomResourceDefinition" => names(&mut object["spec"]["names"]),
        _ => {}
    }
    for path in rules::pod_specs(kind) {
        each(object, path, &mut pod_spec);
    }
    shape.tidy(object);
}

/// Writes what the registry of a kind adds when an object is created: nobody owns it. Run it after fields are tracked. A Service
/// has its cluster IP by then.
pub fn prepare(kind: &str, object: &mut Value) {
    match kind {
        "Service" => families(&mut object["spec"]),
        "Namespace" => {
            set(&mut object["spec"], "finalizers", json!(["kubernetes"]));
            set(&mut object["status"], "phase", json!("Active"));
        }
        "Pod" => {
            admit(&mut object["spec"]);
            let class = quality(&object["spec"]);
            set(&mut object["status"], "phase", json!("Pending"));
            set(&mut object["status"], "qosClass", json!(class));
        }
        _ => {}
    }
}

/// A Service without a cluster IP and without a selector may have addresses of any family.
fn families(spec: &mut Value) {
    if spec["type"] == "ExternalName" {
        return;
    }
    let is_free = spec["clusterIP"] == "None" && spec["selector"].is_null();
    let (families, policy) = if is_free {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    set(spec, "ipFamilies", families);
    set(spec, "ipFamilyPolicy", json!(policy));
}

/// `apps` of `apps/v1`.
fn group(object: &Value) -> &str {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Sets a field of an object that lacks it.
fn set(holder: &mut Value, name: &str, value: Value) {
    if holder.is_null() {
        *holder = json!({});
    }
    if let Some(holder) = holder.as_object_mut()
        && holder.get(name).is_none_or(Value::is_null)
    {
        holder.insert(name.to_owned(), value);
    }
}

/// Calls a function with each value at a path, of which a part may end in `[]` for the items of a list.
fn each(value: &mut Value, path: &str, visit: &mut impl FnMut(&mut Value)) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    if first.is_empty() {
        visit(value);
        return;
    }
    let name = first.trim_end_matches("[]");
    match value.get_mut(name) {
        Some(Value::Array(items)) if first.ends_with("[]") => {
            items.iter_mut().for_each(|item| each(item, rest, visit))
        }
        Some(inner @ Value::Object(_)) => each(inner, rest, visit),
        _ => {}
    }
}

fn rolling(strategy: &mut Value) {
    if strategy["type"] == "RollingUpdate" {
        set(strategy, "rollingUpdate", json!({}));
        set(
            &mut strategy["rollingUpdate"],
            "maxUnavailable",
            json!("25%"),
        );
        set(&mut strategy["rollingUpdate"], "maxSurge", json!("25%"));
    }
}

/// Defaults of templates and Pods alike.
fn pod_spec(spec: &mut Value) {
    for (path, rules) in rules::POD {
        each(spec, path, &mut |holder| rules::fill(holder, rules));
    }
    for list in rules::CONTAINERS {
        each(spec, &format!("{list}[]"), &mut container);
    }
    each(spec, "volumes[]", &mut |volume| {
        if volume.as_object().is_some_and(|volume| volume.len() <= 1) {
            set(volume, "emptyDir", json!({}));
        }
    });
    let names = ["serviceAccountName", "serviceAccount"];
    let account = names
        .iter()
        .map(|name| spec[name].clone())
        .find(|name| !name.is_null());
    if let Some(name) = account {
        set(spec, "serviceAccountName", name.clone());
        set(spec, "serviceAccount", name);
    }
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = if is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    set(container, "imagePullPolicy", json!(policy));
    for (path, rules) in rules::CONTAINER {
        each(container, path, &mut |holder| rules::fill(holder, rules));
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        for (path, rules) in rules::PROBE {
            each(container, &format!("{probe}{path}"), &mut |holder| {
                rules::fill(holder, rules)
            });
        }
    }
}

/// Whether an image has the tag `latest`, or neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none() && !image.trim().is_empty(),
    }
}

/// Defaults of Pods alone.
fn pod(spec: &mut Value) {
    set(spec, "enableServiceLinks", json!(true));
    let on_host = spec["hostNetwork"] == true;
    for list in ["containers[]", "initContainers[]"] {
        each(spec, list, &mut |container| {
            requests(&mut container["resources"]);
            if on_host {
                each(container, "ports[]", &mut |port| {
                    let number = port["containerPort"].clone();
                    set(port, "hostPort", number);
                });
            }
        });
    }
}

/// What is limited and not requested is requested as far as the limit.
fn requests(resources: &mut Value) {
    let Some(limits) = resources["limits"].as_object().cloned() else {
        return;
    };
    set(resources, "requests", json!({}));
    for (name, limit) in limits {
        set(&mut resources["requests"], &name, limit);
    }
}

/// What admission gives each Pod. A token of its service account is not mounted.
fn admit(spec: &mut Value) {
    set(spec, "serviceAccountName", json!("default"));
    let account = spec["serviceAccountName"].clone();
    set(spec, "serviceAccount", account);
    set(spec, "priority", json!(0));
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    set(spec, "tolerations", json!([]));
    let Some(tolerations) = spec["tolerations"].as_array_mut() else {
        return;
    };
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        if !tolerations
            .iter()
            .any(|toleration| toleration["key"] == key)
        {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

/// The class of a Pod, by which a kubelet evicts.
fn quality(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
    let containers = lists.into_iter().flatten().flatten();
    let amounts = |value: &Value| -> Map<String, Value> {
        let amounts = value.as_object().cloned().unwrap_or_default();
        amounts
            .into_iter()
            .filter(|(name, _)| name == "cpu" || name == "memory")
            .collect()
    };
    let of: Vec<_> = containers
        .map(|container| &container["resources"])
        .map(|resources| {
            (
                amounts(&resources["requests"]),
                amounts(&resources["limits"]),
            )
        })
        .collect();
    let is_best =
        |(requests, limits): &(Map<_, _>, Map<_, _>)| requests.is_empty() && limits.is_empty();
    let is_sure =
        |(requests, limits): &(Map<_, _>, Map<_, _>)| limits.len() == 2 && requests == limits;
    match (of.iter().all(is_best), of.iter().all(is_sure)) {
        (true, _) => "BestEffort",
        (false, true) => "Guaranteed",
        (false, false) => "Burstable",
    }
}

fn service(spec: &mut Value) {
    each(spec, "ports[]", &mut |port| {
        if port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = port["port"].clone();
        }
    });
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ClusterIP" || kind == "NodePort" || kind == "LoadBalancer" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    let has_external = spec["externalIPs"]
        .as_array()
        .is_some_and(|addresses| !addresses.is_empty());
    if kind == "NodePort" || kind == "LoadBalancer" || kind == "ClusterIP" && has_external {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    if spec["sessionAffinity"] == "ClientIP" {
        set(spec, "sessionAffinityConfig", json!({}));
        set(&mut spec["sessionAffinityConfig"], "clientIP", json!({}));
        set(
            &mut spec["sessionAffinityConfig"]["clientIP"],
            "timeoutSeconds",
            json!(10_800),
        );
    } else if let Some(spec) = spec.as_object_mut() {
        spec.remove("sessionAffinityConfig");
    }
}

/// What is given as text is kept encoded.
fn secret(object: &mut Value) {
    let given = object
        .as_object_mut()
        .and_then(|object| object.remove("stringData"));
    let Some(Value::Object(given)) = given else {
        return;
    };
    set(object, "data", json!({}));
    for (name, text) in given {
        object["data"][name] = json!(base64(text.as_str().unwrap_or_default().as_bytes()));
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| {
            bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let letter = LETTERS[bits >> (18 - 6 * at) & 63];
            text.push(if at <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

fn namespace(object: &mut Value) {
    if let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) {
        set(&mut object["metadata"], "labels", json!({}));
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    }
}

/// A behavior that is given in part is completed.
fn behavior(spec: &mut Value) {
    let Some(behavior) = spec
        .get_mut("behavior")
        .filter(|behavior| behavior.is_object())
    else {
        return;
    };
    let policy =
        |kind: &str, value: u32| json!({"type": kind, "value": value, "periodSeconds": 15});
    for (direction, policies) in [
        (
            "scaleUp",
            json!([policy("Pods", 4), policy("Percent", 100)]),
        ),
        ("scaleDown", json!([policy("Percent", 100)])),
    ] {
        set(behavior, direction, json!({}));
        set(&mut behavior[direction], "selectPolicy", json!("Max"));
        set(&mut behavior[direction], "policies", policies);
    }
    set(
        &mut behavior["scaleUp"],
        "stabilizationWindowSeconds",
        json!(0),
    );
}

fn binding(object: &mut Value) {
    let group = |holder: &mut Value| {
        if holder["apiGroup"].as_str().is_none_or(str::is_empty) {
            holder["apiGroup"] = json!("rbac.authorization.k8s.io");
        }
    };
    each(object, "roleRef", &mut |role| group(role));
    each(object, "subjects[]", &mut |subject| {
        if subject["kind"] == "User" || subject["kind"] == "Group" {
            group(subject);
        }
    });
}

fn policy_types(spec: &mut Value) {
    let out = spec["egress"]
        .as_array()
        .is_some_and(|rules| !rules.is_empty());
    let types = if out {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    set(spec, "policyTypes", types);
}

fn names(names: &mut Value) {
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    set(names, "singular", json!(kind.to_lowercase()));
    set(names, "listKind", json!(format!("{kind}List")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_tag_and_digest_is_the_latest() {
        for (image, latest) in [
            ("shop", true),
            ("shop:latest", true),
            ("host:5000/shop", true),
            ("shop:1.0", false),
            ("host:5000/shop:1.0", false),
            ("shop@sha256:00", false),
            ("", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }

    #[test]
    fn bytes_are_encoded_with_padding() {
        for (text, wanted) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
    }
}
