//! Copies of users' objects carry no foreign identity: otherwise the tool that it names prunes or doubles them (PROVIDERS 0.3).

use crate::objects::Labels;

/// Keys that say who manages an object.
const FOREIGN: [&str; 3] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Domains of keys by which tools act on an object.
const FOREIGN_DOMAINS: [&str; 8] = [
    "argocd.argoproj.io",
    "toolkit.fluxcd.io",
    "helm.sh",
    "cert-manager.io",
    "external-dns.alpha.kubernetes.io",
    "external-dns.kubernetes.io",
    "deployment.kubernetes.io",
    "serin.dev",
];

/// The keys of a GitOps manager among the labels of Pods; the others are what policies and monitors select by.
const TRACKING_DOMAINS: [&str; 2] = ["argocd.argoproj.io", "toolkit.fluxcd.io"];

/// The labels or annotations without those of other owners.
pub(crate) fn stripped(all: &Labels) -> Labels {
    let mut kept = all.clone();
    kept.retain(|key, _| !FOREIGN.contains(&key.as_str()) && !in_domain(key, &FOREIGN_DOMAINS));
    kept
}

/// The labels of a canary Service that stands in for the user's: monitors find it by its instance.
pub(crate) fn stripped_for_monitors(all: &Labels) -> Labels {
    let instance = all.get_key_value(FOREIGN[0]);
    let instance = instance.map(|(key, value)| (key.clone(), value.clone()));
    stripped(all).into_iter().chain(instance).collect()
}

/// The labels of Pods without those by which GitOps managers find what is theirs.
pub(crate) fn untracked(all: &Labels) -> Labels {
    let mut kept = all.clone();
    kept.retain(|key, _| !in_domain(key, &TRACKING_DOMAINS));
    kept
}

fn in_domain(key: &str, domains: &[&str]) -> bool {
    let Some((domain, _)) = key.split_once('/') else {
        return false;
    };
    domains.iter().any(|foreign| {
        let parent = domain.strip_suffix(foreign);
        parent.is_some_and(|parent| parent.is_empty() || parent.ends_with('.'))
    })
}
