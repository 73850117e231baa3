//! Other controllers that drive the same Deployment.

use serde_json::Value;

use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::look::{Named, text};
use crate::crd::canary::Canary;

/// Kinds of other controllers: group, version, kind, plural, and where they name their Deployment.
pub(super) const KINDS: [(Named<'static>, &str); 2] = [
    (
        ("flagger.app", "v1beta1", "Canary", "canaries"),
        "/spec/targetRef",
    ),
    (
        ("argoproj.io", "v1alpha1", "Rollout", "rollouts"),
        "/spec/workloadRef",
    ),
];

/// Those of these objects that name the target of a Canary too.
#[must_use]
pub(super) fn judge(canary: &Canary, objects: &[Value]) -> Vec<Finding> {
    let rivals = objects.iter().filter_map(|object| rival(canary, object));
    rivals.collect()
}

fn rival(canary: &Canary, object: &Value) -> Option<Finding> {
    let group = text(object, "/apiVersion").split('/').next()?;
    let ((.., plural), reference) = KINDS
        .into_iter()
        .find(|((own, _, kind, _), _)| *own == group && *kind == text(object, "/kind"))?;
    let named = object.pointer(reference)?;
    let home = canary.home();
    let same = text(object, "/metadata/namespace") == home
        && text(named, "/name") == canary.target_name()
        && text(named, "/kind") == "Deployment";
    if !same {
        return None;
    }
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let what = format!(
        "{kind} {name} of {group} drives deployment/{} too: each undoes what the other does",
        canary.target_name()
    );
    let fix = format!(
        "delete one of the two: `kubectl -n {home} delete {plural}.{group} {name}`; `serin migrate` shows what it becomes"
    );
    Some(Finding::failed(Check::Rivals, what, Fix::say(fix)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_who_names_the_same_deployment_is_a_rival() {
        let canary = json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"targetRef": {"name": "web"}}});
        let canary: Canary = serde_json::from_value(canary).unwrap();
        let flagger = |space: &str, kind: &str, name: &str| {
            json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "old", "namespace": space},
                "spec": {"targetRef": {"kind": kind, "name": name}}})
        };
        let argo = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "roll", "namespace": "shop"},
            "spec": {"workloadRef": {"kind": "Deployment", "name": "web"}}});
        let whole = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "own", "namespace": "shop"},
            "spec": {"template": {}}});
        let rows = [
            (
                flagger("shop", "Deployment", "web"),
                Some("Canary old of flagger.app"),
            ),
            (flagger("shop", "DaemonSet", "web"), None),
            (flagger("shop", "Deployment", "cart"), None),
            (flagger("bar", "Deployment", "web"), None),
            (argo, Some("Rollout roll of argoproj.io")),
            (whole, None),
        ];
        for (object, expected) in rows {
            let found = judge(&canary, std::slice::from_ref(&object));
            assert_eq!(found.len(), usize::from(expected.is_some()), "{object}");
            assert!(
                expected.is_none_or(|words| found[0].what.starts_with(words)),
                "{found:?}"
            );
        }
    }
}
