//! What runs Pods, stands before them, and scales them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sim::validity::{Change, Found, is_blank, items, name, pod};

/// Checks a Deployment.
pub(super) fn deployment((new, old): Change<'_>, found: &mut Found) {
    let spec = &new["spec"];
    found.not_negative("spec.replicas", &spec["replicas"]);
    found.not_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    selector(&spec["selector"], "deployment", found);
    template(spec, found);
    strategy(&spec["strategy"], found);
    found.not_negative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
    found.not_negative(
        "spec.progressDeadlineSeconds",
        &spec["progressDeadlineSeconds"],
    );
    let deadline = &spec["progressDeadlineSeconds"];
    let ready = spec["minReadySeconds"].as_i64().unwrap_or(0);
    if deadline.as_i64().is_some_and(|deadline| deadline <= ready) {
        found.invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            "must be greater than minReadySeconds",
        );
    }
    same_selector((new, old), found);
    status(&new["status"], found);
}

/// Checks a ReplicaSet.
pub(super) fn replica_set((new, old): Change<'_>, found: &mut Found) {
    let spec = &new["spec"];
    found.not_negative("spec.replicas", &spec["replicas"]);
    found.not_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    selector(&spec["selector"], "replicaset", found);
    template(spec, found);
    same_selector((new, old), found);
    status(&new["status"], found);
}

fn selector(selector: &Value, kind: &str, found: &mut Found) {
    let at = "spec.selector";
    if selector.is_null() {
        found.required(at, "");
        return;
    }
    name::labels(
        &selector["matchLabels"],
        &format!("{at}.matchLabels"),
        found,
    );
    let mut is_wrong = false;
    for (index, expression) in items(&selector["matchExpressions"]).iter().enumerate() {
        let operator = &expression["operator"];
        if !["In", "NotIn", "Exists", "DoesNotExist"]
            .iter()
            .any(|known| operator == known)
        {
            let field = format!("{at}.matchExpressions[{index}].operator");
            found.invalid(&field, operator, "not a valid selector operator");
            is_wrong = true;
        }
    }
    if selector.as_object().is_some_and(serde_json::Map::is_empty) {
        found.invalid(
            at,
            selector,
            &format!("empty selector is invalid for {kind}"),
        );
    } else if is_wrong {
        found.0.push(crate::sim::refusal::Cause {
            reason: "FieldValueInvalid".to_owned(),
            field: at.to_owned(),
            message: format!(
                "Invalid value: {}: invalid label selector",
                spoken(selector)
            ),
        });
    }
}

/// A selector in the order of its Go type.
fn spoken(selector: &Value) -> String {
    let expressions = items(&selector["matchExpressions"])
        .iter()
        .map(|expression| {
            let values = expression
                .get("values")
                .map_or(String::new(), |values| format!(",\"values\":{values}"));
            format!(
                "{{\"key\":{},\"operator\":{}{values}}}",
                expression["key"], expression["operator"]
            )
        });
    let expressions: Vec<_> = expressions.collect();
    let labels = selector
        .get("matchLabels")
        .map(|labels| format!("\"matchLabels\":{labels}"));
    let expressions = (!expressions.is_empty())
        .then(|| format!("\"matchExpressions\":[{}]", expressions.join(",")));
    let parts: Vec<_> = [labels, expressions].into_iter().flatten().collect();
    format!("{{{}}}", parts.join(","))
}

fn template(spec: &Value, found: &mut Found) {
    let at = "spec.template";
    let labels = &spec["template"]["metadata"]["labels"];
    if !is_selected(&spec["selector"], labels) {
        let why = "`selector` does not match template `labels`";
        found.invalid(&format!("{at}.metadata.labels"), labels, why);
    }
    name::labels(labels, &format!("{at}.metadata.labels"), found);
    let pod = &spec["template"]["spec"];
    pod::spec(pod, &format!("{at}.spec"), found);
    let policy = &pod["restartPolicy"];
    if !policy.is_null() && policy != "Always" {
        found.unsupported(&format!("{at}.spec.restartPolicy"), policy, &["Always"]);
    }
}

fn is_selected(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else {
        return false;
    };
    let mut wanted = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let expressions = selector.get("matchExpressions").map_or(&[][..], items);
    wanted.all(|(key, value)| labels.get(key) == Some(value))
        && expressions
            .iter()
            .all(|expression| fits(expression, labels))
}

fn fits(expression: &Value, labels: &Value) -> bool {
    let value = expression["key"].as_str().and_then(|key| labels.get(key));
    let is_listed = value.is_some_and(|value| items(&expression["values"]).contains(value));
    match expression["operator"].as_str() {
        Some("In") => is_listed,
        Some("NotIn") => !is_listed,
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => true,
    }
}

fn strategy(strategy: &Value, found: &mut Found) {
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str() {
        Some("Recreate") if !rolling.is_null() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            found.forbidden("spec.strategy.rollingUpdate", why);
        }
        Some("RollingUpdate") => {
            let unavailable = &rolling["maxUnavailable"];
            if is_zero(unavailable) && is_zero(&rolling["maxSurge"]) {
                let why = "may not be 0 when `maxSurge` is 0";
                found.invalid(
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    unavailable,
                    why,
                );
            }
        }
        Some("Recreate") | None => {}
        Some(other) => {
            let value = format!("{{\"Type\":{other:?},\"RollingUpdate\":{rolling}}}");
            let message = format!(
                "Unsupported value: {value}: supported values: \"Recreate\", \"RollingUpdate\""
            );
            found.add("FieldValueNotSupported", "spec.strategy", message);
        }
    }
}

/// `0` or `0%`.
fn is_zero(value: &Value) -> bool {
    value == 0 || value == "0%"
}

fn same_selector((new, old): Change<'_>, found: &mut Found) {
    let selector = &new["spec"]["selector"];
    if old.is_some_and(|old| old["spec"]["selector"] != *selector) {
        let message = format!("Invalid value: {}: field is immutable", spoken(selector));
        found.add("FieldValueInvalid", "spec.selector", message);
    }
}

fn status(status: &Value, found: &mut Found) {
    const COUNTS: [&str; 4] = [
        "fullyLabeledReplicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ];
    found.not_negative("status.replicas", &status["replicas"]);
    for name in COUNTS {
        found.not_negative(&format!("status.{name}"), &status[name]);
    }
    let count = |name: &str| status[name].as_i64().unwrap_or(0);
    let most = count("replicas");
    let known = COUNTS
        .iter()
        .filter(|name| most >= 0 || **name != "fullyLabeledReplicas");
    for name in known.filter(|name| count(name) > most) {
        let why = "cannot be greater than status.replicas";
        found.invalid(&format!("status.{name}"), &json!(count(name)), why);
    }
}

/// Checks a Service.
pub(super) fn service((new, old): Change<'_>, found: &mut Found) {
    let spec = &new["spec"];
    let ports = items(&spec["ports"]);
    let is_external = spec["type"] == "ExternalName";
    if ports.is_empty() && spec["clusterIP"] != "None" && !is_external {
        found.required("spec.ports", "");
    }
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        service_port(
            port,
            &format!("spec.ports[{index}]"),
            ports.len() > 1,
            found,
        );
        let name = &port["name"];
        if !is_blank(name) && !names.insert(name.to_string()) {
            found.duplicate(&format!("spec.ports[{index}].name"), name);
        }
    }
    let mut seen = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let key = (&port["port"], &port["protocol"]);
        if seen.contains(&key) {
            let (number, protocol) = key;
            let value = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}"
            );
            found.add(
                "FieldValueDuplicate",
                &format!("spec.ports[{index}]"),
                format!("Duplicate value: {value}"),
            );
        }
        seen.push(key);
    }
    let before = old.map_or(&Value::Null, |old| &old["spec"]);
    let (was, is) = (&before["clusterIP"], &spec["clusterIP"]);
    if was != is && !is_blank(was) && !is_external && before["type"] != "ExternalName" {
        found.invalid(
            "spec.clusterIPs[0]",
            &json!([is]),
            "may not change once set",
        );
    }
}

fn service_port(port: &Value, at: &str, needs_name: bool, found: &mut Found) {
    let name_field = format!("{at}.name");
    match port["name"].as_str().unwrap_or_default() {
        "" if needs_name => found.required(&name_field, ""),
        "" => {}
        text => name::label(text, &name_field, found),
    }
    is_port(&port["port"], &format!("{at}.port"), found);
    let protocol = &port["protocol"];
    if !["TCP", "UDP", "SCTP"].iter().any(|known| protocol == known) {
        found.unsupported(&format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    }
    let target = &port["targetPort"];
    match target.as_str() {
        None => is_port(target, &format!("{at}.targetPort"), found),
        Some(text) => {
            let fits = |letter: u8| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-'
            };
            if !text.bytes().all(fits) {
                found.invalid(&format!("{at}.targetPort"), target, pod::PORT);
            }
        }
    }
}

fn is_port(value: &Value, field: &str, found: &mut Found) {
    if !value
        .as_i64()
        .is_some_and(|number| (1..=65_535).contains(&number))
    {
        found.invalid(field, value, "must be between 1 and 65535, inclusive");
    }
}

/// Checks what scales.
pub(super) fn autoscaler(spec: &Value, found: &mut Found) {
    let (least, most) = (&spec["minReplicas"], &spec["maxReplicas"]);
    let (low, high) = (least.as_i64().unwrap_or(1), most.as_i64().unwrap_or(0));
    if low < 1 {
        found.invalid(
            "spec.minReplicas",
            least,
            "must be greater than or equal to 1",
        );
    }
    if high < 1 {
        found.required("spec.maxReplicas", "must be set and greater than 0");
    }
    if high < low {
        found.invalid(
            "spec.maxReplicas",
            most,
            "must be greater than or equal to `minReplicas`",
        );
    }
    for field in ["kind", "name"] {
        if is_blank(&spec["scaleTargetRef"][field]) {
            found.required(&format!("spec.scaleTargetRef.{field}"), "");
        }
    }
    let scales_to_zero =
        |metric: &Value| metric["type"] == "Object" || metric["type"] == "External";
    if low == 0 && !items(&spec["metrics"]).iter().any(scales_to_zero) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        found.forbidden("spec.metrics", why);
    }
}

/// Checks a budget.
pub(super) fn budget(spec: &Value, found: &mut Found) {
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !least.is_null() && !most.is_null() {
        let value = format!(
            "{{\"MinAvailable\":{least},\"Selector\":{},\"MaxUnavailable\":{most},\"UnhealthyPodEvictionPolicy\":{}}}",
            spec["selector"], spec["unhealthyPodEvictionPolicy"]
        );
        let why = "minAvailable and maxUnavailable cannot be both set";
        found.add(
            "FieldValueInvalid",
            "spec",
            format!("Invalid value: {value}: {why}"),
        );
    }
}
