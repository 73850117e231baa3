//! What this build installs, and how it differs from what a cluster has.

use serde_json::Value;

const GATE: &str = include_str!("../../../deploy/gate.yaml");
const REQUESTS: &str = include_str!("../../../deploy/requests.yaml");
const OLDER: &str = include_str!("../../../deploy/older/webhook.yaml");
const RIGHTS: &str = include_str!("../../../deploy/rbac.yaml");

/// The account that stands in the manifests.
pub(super) const ACCOUNT: &str = "system:serviceaccount:serin-system:serin";

/// The admission objects of the gate and of requests, with this account, and the file that each is in.
pub(super) fn admission(account: &str) -> Vec<(&'static str, Value)> {
    let of = |file: &'static str, text: &str| {
        let text = text.replace(ACCOUNT, account);
        objects(&text)
            .into_iter()
            .map(move |object| (file, object))
            .collect::<Vec<_>>()
    };
    [
        of("deploy/gate.yaml", GATE),
        of("deploy/requests.yaml", REQUESTS),
    ]
    .concat()
}

/// The objects of the gate as a webhook, with this account.
pub(super) fn webhook(account: &str) -> Vec<Value> {
    objects(&OLDER.replace(ACCOUNT, account))
}

/// The roles of Serin's account and of people, and their bindings.
pub(super) fn rights() -> Vec<Value> {
    objects(RIGHTS)
}

/// The documents of a manifest of this build.
fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---");
    let read = documents.filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
    read.filter(|object| !object.is_null()).collect()
}

/// Where a live value is not what is shipped, as a path; `None`: nowhere. Defaults of the API server are no difference.
pub(super) fn difference(shipped: &Value, live: &Value) -> Option<String> {
    let found = first(shipped, live)?;
    Some(found.trim_start_matches('.').to_owned())
}

fn first(shipped: &Value, live: &Value) -> Option<String> {
    match (shipped, live) {
        (Value::Object(shipped), Value::Object(live)) => {
            let changed = shipped.iter().find_map(|(field, value)| {
                let theirs = live.get(field).unwrap_or(&Value::Null);
                Some(format!(".{field}{}", first(value, theirs)?))
            });
            changed.or_else(|| {
                let more = live.iter().find(|(field, value)| {
                    !shipped.contains_key(*field) && !is_default(field, value)
                });
                more.map(|(field, _)| format!(".{field}"))
            })
        }
        (Value::Array(shipped), Value::Array(live)) if shipped.len() == live.len() => {
            let pairs = shipped.iter().zip(live).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (one, other))| Some(format!("[{at}]{}", first(one, other)?)))
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => None,
        (one, other) => (one != other).then(String::new),
    }
}

/// What an API server fills in, or Serin itself does.
fn is_default(field: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(flag) => !flag,
        Value::String(text) => matches!(
            (field, text.as_str()),
            ("scope", "*")
                | ("matchPolicy", "Equivalent")
                | ("failurePolicy", "Fail")
                | ("caBundle", _)
        ),
        Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_no_difference() {
        let shipped = json!({"matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}]}});
        let rows = [
            (
                json!({"resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"], "scope": "*"}],
                "matchPolicy": "Equivalent", "namespaceSelector": {}}),
                None,
            ),
            (
                json!({"resourceRules": [{"apiGroups": ["apps"], "resources": ["daemonsets"]}]}),
                Some("matchConstraints.resourceRules[0].resources[0]"),
            ),
            (
                json!({"resourceRules": []}),
                Some("matchConstraints.resourceRules"),
            ),
            (
                json!({"resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}],
                "namespaceSelector": {"matchLabels": {"a": "b"}}}),
                Some("matchConstraints.namespaceSelector"),
            ),
        ];
        for (live, expected) in rows {
            let live = json!({"matchConstraints": live});
            assert_eq!(difference(&shipped, &live).as_deref(), expected, "{live}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert_eq!(
            difference(&json!({"maximum": 100.0}), &json!({"maximum": 100})),
            None
        );
        assert_eq!(
            difference(&json!({"maximum": 100}), &json!({"maximum": 99})).as_deref(),
            Some("maximum")
        );
    }

    #[test]
    fn all_manifests_are_read() {
        let named = |all: Vec<Value>| -> Vec<String> {
            all.iter()
                .map(|one| {
                    format!(
                        "{} {}",
                        one["kind"].as_str().unwrap(),
                        one["metadata"]["name"].as_str().unwrap()
                    )
                })
                .collect()
        };
        let admission = named(
            admission("someone")
                .into_iter()
                .map(|(_, object)| object)
                .collect(),
        );
        assert!(
            admission.contains(&"MutatingAdmissionPolicyBinding serin-hold".to_owned()),
            "{admission:?}"
        );
        assert!(
            admission.contains(&"ValidatingAdmissionPolicy serin-requests".to_owned()),
            "{admission:?}"
        );
        assert!(
            named(webhook("someone"))
                .contains(&"MutatingWebhookConfiguration serin-gate".to_owned())
        );
        assert_eq!(
            rights()
                .iter()
                .filter(|one| one["kind"] == "ClusterRoleBinding")
                .count(),
            7
        );
    }

    #[test]
    fn the_account_is_put_in() {
        let text = serde_json::to_string(&admission("system:serviceaccount:ops:it")).unwrap();
        assert!(!text.contains(ACCOUNT));
        assert!(text.contains("system:serviceaccount:ops:it"));
    }
}
