//! The roles that every cluster has, and the controller that adds up the rules of roles made of others.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::list;
use crate::sim::selector;
use crate::sim::store::{Event, Key};

const GROUP: &str = "rbac.authorization.k8s.io";
const PLURAL: &str = "clusterroles";

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// What people of a namespace work with: group and resources.
const ORDINARY: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "configmaps",
            "endpoints",
            "events",
            "persistentvolumeclaims",
            "pods",
            "pods/log",
            "pods/status",
            "replicationcontrollers",
            "serviceaccounts",
            "services",
        ],
    ),
    (
        "apps",
        &[
            "controllerrevisions",
            "daemonsets",
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
        ],
    ),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
];

/// The roles: `cluster-admin`, and `admin`, `edit` and `view`, which take up what has their label.
#[must_use]
pub fn built_in() -> Vec<Value> {
    let whole = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    let rules = |verbs: &[&str]| {
        let rule = |(group, resources): &(&str, &[&str])| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        Value::Array(ORDINARY.iter().map(rule).collect())
    };
    let all = [READ.as_slice(), &WRITE].concat();
    let roles =
        json!([{"apiGroups": [GROUP], "resources": ["roles", "rolebindings"], "verbs": all}]);
    let secrets = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": all}]);
    let mut all = vec![
        role("cluster-admin", json!({}), whole),
        bound("cluster-admin", "system:masters"),
    ];
    for (name, into, rules) in [
        ("system:aggregate-to-view", "view", rules(&READ)),
        ("system:aggregate-to-edit", "edit", rules(&WRITE)),
        ("system:edit-secrets", "edit", secrets),
        ("system:aggregate-to-admin", "admin", roles),
    ] {
        all.push(role(name, json!({label(into): "true"}), rules));
    }
    // Who may more may also what those below him may.
    for (name, into) in [
        ("view", Some("edit")),
        ("edit", Some("admin")),
        ("admin", None),
    ] {
        let labels = into.map_or(json!({}), |into| json!({label(into): "true"}));
        let mut role = role(name, labels, json!([]));
        role["aggregationRule"] =
            json!({"clusterRoleSelectors": [{"matchLabels": {label(name): "true"}}]});
        all.push(role);
    }
    all
}

fn label(into: &str) -> String {
    format!("{GROUP}/aggregate-to-{into}")
}

#[expect(clippy::needless_pass_by_value, reason = "they are made for it")]
fn role(name: &str, mut labels: Value, rules: Value) -> Value {
    labels["kubernetes.io/bootstrapping"] = json!("rbac-defaults");
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels}, "rules": rules})
}

fn bound(role: &str, group: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": role, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group}]})
}

/// Writes the rules of roles that are made of others.
#[derive(Debug)]
pub struct Aggregation {
    begun: bool,
    who: Who,
}

impl Default for Aggregation {
    fn default() -> Self {
        Self {
            begun: false,
            who: Who::system("clusterrole-aggregation-controller"),
        }
    }
}

impl Actor for Aggregation {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let mine = |event: &Event| event.key.group == GROUP && event.key.plural == PLURAL;
        if !self.begun || changed.iter().any(mine) {
            self.begun = true;
            self.add_up(api);
        }
        None
    }
}

impl Aggregation {
    fn add_up(&self, api: &Api) {
        let roles = api.list(GROUP, PLURAL, None);
        for (key, role) in &roles {
            if role["aggregationRule"].is_null() {
                continue;
            }
            let rules = sum(role, &roles);
            if role["rules"] != rules {
                // It was deleted meanwhile, or is written again at the next call.
                drop(api.update(&self.who, key, Part::Main, |role| role["rules"] = rules));
            }
        }
    }
}

/// The rules of those that a role selects, each once.
fn sum(role: &Value, roles: &[(Key, std::sync::Arc<Value>)]) -> Value {
    let selectors = list(role, "/aggregationRule/clusterRoleSelectors");
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors {
        let chosen = roles.iter().filter(|(key, other)| {
            Some(key.name.as_str()) != role["metadata"]["name"].as_str()
                && selector::selects(Some(selector), other)
        });
        for (_, other) in chosen {
            for rule in list(other, "/rules") {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Value::Array(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::sim::rbac::{Access, allows};
    use crate::sim::world::{self, World};

    /// A cluster in which `user` has the cluster's own role of that name everywhere.
    fn world(roles: &[&str]) -> World {
        let world = World::new(Clock::simulated(), 0);
        world.add_roles();
        for name in roles {
            let mut binding = bound(name, "people");
            binding["metadata"]["name"] = json!(format!("all-{name}"));
            binding["subjects"] = json!([{"apiGroup": GROUP, "kind": "User", "name": name}]);
            world.put(binding).unwrap();
        }
        let more =
            json!([{"apiGroups": ["serin.dev"], "resources": ["canaries"], "verbs": ["get"]}]);
        let labels = json!({label("view"): "true"});
        world.put(role("more", labels, more)).unwrap();
        let mut actors: Vec<Box<dyn Actor>> = vec![Box::new(Aggregation::default())];
        world::settle(&world.api, &mut actors, &mut 0);
        world
    }

    #[tokio::test(start_paused = true)]
    async fn roles_of_every_cluster_take_up_what_has_their_label() {
        let world = world(&["view", "edit", "admin", "cluster-admin"]);
        for (user, verb, resource, may) in [
            ("view", "get", ":pods", true),
            ("view", "get", "serin.dev:canaries", true),
            ("view", "create", ":pods", false),
            ("view", "get", ":secrets", false),
            ("edit", "get", "serin.dev:canaries", true),
            ("edit", "create", "apps:deployments", true),
            ("edit", "get", ":secrets", true),
            ("edit", "create", "rbac.authorization.k8s.io:roles", false),
            ("admin", "create", "rbac.authorization.k8s.io:roles", true),
            ("admin", "get", "serin.dev:canaries", true),
            ("admin", "create", ":nodes", false),
            ("cluster-admin", "create", ":nodes", true),
        ] {
            let (group, resource) = resource.split_once(':').unwrap();
            let access = Access {
                user,
                verb,
                group,
                resource,
                namespace: "apps",
                ..Access::default()
            };
            let state = world.api.state();
            assert_eq!(allows(&state.store, &access), may, "{access:?}");
        }
    }
}
