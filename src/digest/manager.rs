//! Who wrote what, from `managedFields`, labels and annotations.

use serde_json::Value;

use crate::digest::view::View;

/// `spec.paused`, as a path in `fieldsV1`.
pub(super) const PAUSED: [&str; 2] = ["f:spec", "f:paused"];
/// `spec.template`.
pub(super) const TEMPLATE: [&str; 2] = ["f:spec", "f:template"];
/// `spec.behavior.scaleDown.selectPolicy`.
pub(super) const SELECT_POLICY: [&str; 4] =
    ["f:spec", "f:behavior", "f:scaleDown", "f:selectPolicy"];

/// Managers that apply what stands in a repository, again and again.
const GITOPS: [&str; 3] = [
    "argocd-controller",
    "kustomize-controller",
    "helm-controller",
];

/// Keys that GitOps managers put on what they apply, with the manager that they stand for.
const GITOPS_KEYS: [(&str, &str); 3] = [
    ("argocd.argoproj.io/", "argocd-controller"),
    ("kustomize.toolkit.fluxcd.io/", "kustomize-controller"),
    ("helm.toolkit.fluxcd.io/", "helm-controller"),
];

/// The names under which people pause by hand; a manifest's manager writes its pause again and again.
const PEOPLE: [&str; 3] = ["kubectl-rollout", "kubectl-patch", "kubectl-edit"];

/// The manager that owns this field and wrote last; entries of subresources do not count.
pub(super) fn owner_of(
    view: View<'_>,
    path: &[&str],
    counts: impl Fn(&str) -> bool,
) -> Option<String> {
    let owners = owners(view, path).filter(|(manager, _)| counts(manager));
    let last = owners.max_by_key(|(_, time)| *time)?;
    Some(last.0.to_owned())
}

/// Every manager that owns this field.
pub(super) fn owners_of(view: View<'_>, path: &[&str]) -> Vec<String> {
    let mut owners: Vec<_> = owners(view, path)
        .map(|(name, _)| name.to_owned())
        .collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// Somebody who states `paused` in a manifest: neither Serin nor a person.
pub(super) fn declares(manager: &str) -> bool {
    manager != "serin" && !PEOPLE.contains(&manager)
}

fn owners<'a>(view: View<'a>, path: &[&str]) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
    entries(view)
        .filter(move |entry| entry["subresource"].as_str().unwrap_or_default().is_empty())
        .filter(move |entry| owns(&entry["fieldsV1"], path))
        .filter_map(|entry| Some((entry["manager"].as_str()?, entry["time"].as_str())))
}

fn owns(fields: &Value, path: &[&str]) -> bool {
    let reached = path.iter().try_fold(fields, |at, key| at.get(*key));
    reached.is_some()
}

fn entries<'a>(view: View<'a>) -> impl Iterator<Item = &'a Value> {
    let list = view.at("/metadata/managedFields");
    list.and_then(Value::as_array).into_iter().flatten()
}

/// The GitOps manager that applies this object, if one does.
pub(super) fn gitops(view: View<'_>) -> Option<String> {
    let mut named = entries(view).filter_map(|entry| entry["manager"].as_str());
    let manager = named.find(|name| GITOPS.contains(name));
    let marked = || {
        let maps = ["/metadata/labels", "/metadata/annotations"];
        let maps = maps
            .into_iter()
            .filter_map(|path| view.at(path)?.as_object());
        let mut keys = maps.flat_map(|map| map.keys());
        keys.find_map(|key| {
            let known = GITOPS_KEYS
                .iter()
                .find(|(prefix, _)| key.starts_with(prefix));
            known.map(|(_, manager)| *manager)
        })
    };
    manager.or_else(marked).map(str::to_owned)
}
