//! May Serin's account do what it has to, and may the person who asks?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cli::doctor::controller::Install;
use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::look::{entries, text};
use crate::cli::doctor::shipped;

/// Roles of Serin's account that its work cannot do without.
const NEEDED: [&str; 3] = ["serin-core", "serin-admission", "serin-lease"];
/// Rights that are named where a role lacks several.
const NAMED: usize = 4;

/// Something that somebody has to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    /// The role that gives it.
    pub(super) role: String,
    /// API group.
    pub(super) group: String,
    /// Resource, with its part behind a slash.
    pub(super) resource: String,
    /// Verb.
    pub(super) verb: String,
    /// Name of the only object; empty: any.
    pub(super) name: String,
    /// It is about the namespace of the lease.
    pub(super) of_lease: bool,
}

impl Right {
    fn spoken(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// The rights of Serin's account that this build ships.
#[must_use]
pub(super) fn of_serin() -> Vec<Right> {
    let all = shipped::rights();
    let bound: BTreeSet<_> = all
        .iter()
        .filter(|one| one["subjects"].is_array())
        .map(|one| text(one, "/roleRef/name"))
        .collect();
    let roles = all
        .iter()
        .filter(|one| one["rules"].is_array() && bound.contains(text(one, "/metadata/name")));
    roles.flat_map(rights).collect()
}

fn rights(role: &Value) -> Vec<Right> {
    let mut found = Vec::new();
    for rule in entries(role, "/rules") {
        let texts = |field: &'static str| entries(rule, field).filter_map(Value::as_str);
        for group in texts("/apiGroups") {
            for resource in texts("/resources") {
                for verb in texts("/verbs") {
                    found.push(Right {
                        role: text(role, "/metadata/name").to_owned(),
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        verb: verb.to_owned(),
                        name: texts("/resourceNames")
                            .next()
                            .unwrap_or_default()
                            .to_owned(),
                        of_lease: text(role, "/kind") == "Role",
                    });
                }
            }
        }
    }
    found
}

/// What the Canaries that were looked at need besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Routes of the Gateway API.
    pub(super) gateway_api: bool,
    /// Routes of other providers.
    pub(super) routes: bool,
    /// Autoscalers.
    pub(super) autoscalers: bool,
}

/// How the rights of Serin's account are: those that it lacks, or why nobody knows.
#[must_use]
pub(super) fn judge(
    lacking: &Result<Vec<Right>, String>,
    needs: Needs,
    install: &Install,
) -> Vec<Finding> {
    let lacking = match lacking {
        Err(why) => {
            let what = format!("what {} may do was not found out: {why}", install.user());
            let fix = Fix::say("ask somebody who may create subjectaccessreviews");
            return vec![Finding::unknown(Check::Permissions, what, fix)];
        }
        Ok(lacking) => lacking,
    };
    let mut by_role: BTreeMap<&str, Vec<&Right>> = BTreeMap::new();
    for right in lacking {
        by_role.entry(&right.role).or_default().push(right);
    }
    let found: Vec<_> = by_role
        .iter()
        .filter_map(|(role, rights)| lacks(role, rights, needs, install))
        .collect();
    if found.is_empty() {
        return vec![Finding::ok(
            Check::Permissions,
            format!("{} may do what it has to", install.user()),
        )];
    }
    found
}

fn lacks(role: &str, rights: &[&Right], needs: Needs, install: &Install) -> Option<Finding> {
    let (is_needed, without) = match role {
        role if NEEDED.contains(&role) => (true, ""),
        "serin-gateway-api" => (needs.gateway_api, ""),
        "serin-routes" => (needs.routes, ""),
        "serin-autoscaler" => (needs.autoscalers, ""),
        "serin-api" => (false, ": the HTTP API lets nobody in but anonymous readers"),
        _ => (false, ": by the HTTP API nobody can ask for a verb"),
    };
    if !is_needed && without.is_empty() {
        return None;
    }
    let named: Vec<_> = rights
        .iter()
        .take(NAMED)
        .map(|right| right.spoken())
        .collect();
    let more = match rights.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!(
        "{} may not {}{more} (role {role}){without}",
        install.user(),
        named.join(", ")
    );
    let fix = install.apply("deploy/rbac.yaml");
    Some(if is_needed {
        Finding::failed(Check::Permissions, what, fix)
    } else {
        Finding::warning(Check::Permissions, what, fix)
    })
}

/// What the person who asks may do: information, whatever it is. Each verb with whether it is allowed.
#[must_use]
pub(super) fn yours(verbs: &Result<Vec<(String, bool)>, String>, place: &str) -> Finding {
    let verbs = match verbs {
        Ok(verbs) => verbs,
        Err(why) => {
            let fix = Fix::run("kubectl auth can-i --list");
            return Finding::unknown(
                Check::You,
                format!("what you may do was not found out: {why}"),
                fix,
            );
        }
    };
    let of = |allowed: bool| {
        let named: Vec<_> = verbs
            .iter()
            .filter(|(_, may)| *may == allowed)
            .map(|(verb, _)| verb.as_str())
            .collect();
        named.join(", ")
    };
    Finding::ok(
        Check::You,
        match (of(true).as_str(), of(false).as_str()) {
            (_, "") => format!("you may ask for every verb {place}"),
            ("", _) => format!(
                "you may look {place}, and ask for no verb (the role serin-operator gives them)"
            ),
            (may, not) => format!("you may {may} {place}; not {not}"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    fn of_role(role: &str) -> Vec<Right> {
        of_serin()
            .into_iter()
            .filter(|right| right.role == role)
            .collect()
    }

    #[test]
    fn the_rights_are_those_of_serins_own_roles() {
        let rights = of_serin();
        let has = |spoken: &str| rights.iter().any(|right| right.spoken() == spoken);
        assert!(
            has("patch canaries.serin.dev")
                && has("create pods/eviction")
                && has("get leases.coordination.k8s.io")
        );
        assert!(
            !has("delete canaries.serin.dev"),
            "that is a right of people"
        );
        assert!(
            rights
                .iter()
                .all(|right| right.of_lease == (right.role == "serin-lease"))
        );
    }

    #[test]
    fn a_role_counts_as_far_as_it_is_needed() {
        let (all, none) = (
            Needs {
                gateway_api: true,
                routes: true,
                autoscalers: true,
            },
            Needs::default(),
        );
        let rows = [
            ("serin-core", none, Some(State::Failed)),
            ("serin-admission", none, Some(State::Failed)),
            ("serin-lease", none, Some(State::Failed)),
            ("serin-gateway-api", all, Some(State::Failed)),
            ("serin-gateway-api", none, Some(State::Ok)),
            ("serin-routes", all, Some(State::Failed)),
            ("serin-routes", none, Some(State::Ok)),
            ("serin-autoscaler", all, Some(State::Failed)),
            ("serin-autoscaler", none, Some(State::Ok)),
            ("serin-api", all, Some(State::Warning)),
            ("serin-verbs", all, Some(State::Warning)),
        ];
        for (role, needs, state) in rows {
            let found = judge(&Ok(of_role(role)), needs, &Install::default());
            assert_eq!(
                found.first().map(|one| one.state),
                state,
                "{role}: {found:?}"
            );
        }
    }

    #[test]
    fn a_single_right_is_named_with_its_role_and_fix() {
        let right = of_role("serin-core")
            .into_iter()
            .find(|right| right.spoken() == "patch deployments.apps")
            .unwrap();
        let found = judge(&Ok(vec![right]), Needs::default(), &Install::default()).remove(0);
        assert_eq!(
            found.what,
            "system:serviceaccount:serin-system:serin may not patch deployments.apps (role serin-core)"
        );
        assert_eq!(
            found.fix.unwrap().text(),
            "kubectl apply --server-side -f deploy/rbac.yaml"
        );
        assert_eq!(
            judge(
                &Err("forbidden".to_owned()),
                Needs::default(),
                &Install::default()
            )[0]
            .state,
            State::Unknown
        );
    }

    #[test]
    fn what_you_may_is_information() {
        let of = |all: [bool; 2]| {
            let verbs = ["abort", "promote"]
                .into_iter()
                .map(str::to_owned)
                .zip(all)
                .collect();
            let found = yours(&Ok(verbs), "in shop");
            assert_eq!(found.state, State::Ok);
            found.what
        };
        assert_eq!(of([true, true]), "you may ask for every verb in shop");
        assert_eq!(of([true, false]), "you may abort in shop; not promote");
        assert!(of([false, false]).starts_with("you may look in shop, and ask for no verb"));
        assert_eq!(yours(&Err("no".to_owned()), "").state, State::Unknown);
    }
}
