//! Under which names the parts of a cluster write.

use crate::sim::api::Who;

/// A controller of kube-controller-manager.
#[must_use]
pub fn controller(name: &str) -> Who {
    service_account("kube-system", name, "kube-controller-manager")
}

/// The scheduler.
#[must_use]
pub fn scheduler() -> Who {
    user(
        "system:kube-scheduler",
        &["system:authenticated"],
        "kube-scheduler",
    )
}

/// The kubelet of a node.
#[must_use]
pub fn kubelet(node: &str) -> Who {
    let groups = ["system:nodes", "system:authenticated"];
    user(&format!("system:node:{node}"), &groups, "kubelet")
}

/// A person with all rights.
#[must_use]
pub fn admin() -> Who {
    user(
        "admin",
        &["system:masters", "system:authenticated"],
        "kubectl-edit",
    )
}

/// A ServiceAccount, and the field manager as which it writes.
#[must_use]
pub fn service_account(namespace: &str, name: &str, manager: &str) -> Who {
    let of_namespace = format!("system:serviceaccounts:{namespace}");
    let groups = [
        "system:serviceaccounts",
        &of_namespace,
        "system:authenticated",
    ];
    user(
        &format!("system:serviceaccount:{namespace}:{name}"),
        &groups,
        manager,
    )
}

fn user(name: &str, groups: &[&str], manager: &str) -> Who {
    Who {
        user: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        manager: manager.to_owned(),
    }
}
