//! Who may do what, from the stored roles and their bindings. Rights only add up: nothing takes one away.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::store::{Key, Store};

const GROUP: &str = "rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access<'a> {
    /// User.
    pub user: &'a str,
    /// Groups of the user.
    pub groups: &'a [String],
    /// Verb, as in roles: `get`, `patch`, `deletecollection` …
    pub verb: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Plural of the kind; empty if it is about a path.
    pub resource: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Namespace; empty for objects of the cluster and for lists over all namespaces.
    pub namespace: &'a str,
    /// Name; empty where a request has none.
    pub name: &'a str,
    /// Path that belongs to no resource, such as `/healthz`.
    pub path: &'a str,
}

/// The member of this group may do everything, whatever the roles say.
const MASTERS: &str = "system:masters";

/// Whether the roles in this store allow it.
#[must_use]
pub fn allows(store: &Store, access: &Access<'_>) -> bool {
    access.groups.iter().any(|group| group == MASTERS)
        || binds(store, "clusterrolebindings", None, access)
        || (!access.namespace.is_empty()
            && binds(store, "rolebindings", Some(access.namespace), access))
}

/// What the API server says to somebody who may not.
#[must_use]
pub fn refused(access: &Access<'_>) -> String {
    let user = access.user;
    if access.resource.is_empty() {
        return format!(
            "User {user:?} cannot {} path {:?}",
            access.verb, access.path
        );
    }
    let resource = of_role(access);
    let place = if access.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", access.namespace)
    };
    format!(
        "User {user:?} cannot {} resource {resource:?} in API group {:?} {place}",
        access.verb, access.group
    )
}

/// A `SubjectAccessReview`, or one about oneself, with its answer; `asker` is who asks.
#[must_use]
pub fn answered(store: &Store, asker: (&str, &[String]), mut review: Value) -> Value {
    let spec = review["spec"].clone();
    let groups: Vec<String> = items(&spec["groups"])
        .filter_map(|group| group.as_str().map(str::to_owned))
        .collect();
    let is_self = review["kind"] == "SelfSubjectAccessReview";
    let (user, groups) = if is_self {
        asker
    } else {
        (text(&spec, "user"), groups.as_slice())
    };
    let resource = &spec["resourceAttributes"];
    let asked = if resource.is_object() {
        resource
    } else {
        &spec["nonResourceAttributes"]
    };
    let access = Access {
        user,
        groups,
        verb: text(asked, "verb"),
        group: text(asked, "group"),
        resource: text(asked, "resource"),
        subresource: text(asked, "subresource"),
        namespace: text(asked, "namespace"),
        name: text(asked, "name"),
        path: text(asked, "path"),
    };
    review["status"] = json!({"allowed": allows(store, &access)});
    review
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The resource as roles name it: `pods`, `pods/eviction`.
fn of_role(access: &Access<'_>) -> String {
    if access.subresource.is_empty() {
        access.resource.to_owned()
    } else {
        format!("{}/{}", access.resource, access.subresource)
    }
}

fn binds(store: &Store, plural: &str, namespace: Option<&str>, access: &Access<'_>) -> bool {
    bound(store, plural, namespace, access).any(|role| {
        items(&role["rules"]).any(|rule| rule_allows(rule, access, namespace.is_none()))
    })
}

/// The roles that somebody has by these bindings.
fn bound<'a>(
    store: &'a Store,
    plural: &'a str,
    namespace: Option<&'a str>,
    access: &'a Access<'_>,
) -> impl Iterator<Item = Arc<Value>> + 'a {
    store
        .list(GROUP, plural, namespace)
        .filter(|(_, binding)| items(&binding["subjects"]).any(|subject| is_meant(subject, access)))
        .filter_map(move |(_, binding)| {
            role(store, &binding["roleRef"], namespace.unwrap_or_default())
        })
}

/// The rules of all roles that somebody has in a namespace; rules about paths are those of the cluster.
#[must_use]
pub fn rules(store: &Store, (user, groups): (&str, &[String]), namespace: &str) -> Vec<Value> {
    if groups.iter().any(|group| group == MASTERS) {
        return vec![
            json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
            json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
        ];
    }
    let access = Access {
        user,
        groups,
        ..Access::default()
    };
    let own = bound(store, "rolebindings", Some(namespace), &access);
    let own: Vec<_> = own
        .flat_map(|role| items(&role["rules"]).cloned().collect::<Vec<_>>())
        .filter(|rule| rule["nonResourceURLs"].is_null())
        .collect();
    let all = bound(store, "clusterrolebindings", None, &access);
    let all = all.flat_map(|role| items(&role["rules"]).cloned().collect::<Vec<_>>());
    all.chain(own).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn role(store: &Store, reference: &Value, namespace: &str) -> Option<Arc<Value>> {
    let (plural, namespace) = match reference["kind"].as_str()? {
        "Role" => ("roles", namespace),
        "ClusterRole" => ("clusterroles", ""),
        _ => return None,
    };
    store.get(&Key::new(
        GROUP,
        plural,
        namespace,
        reference["name"].as_str()?,
    ))
}

fn is_meant(subject: &Value, access: &Access<'_>) -> bool {
    let Some(name) = subject["name"].as_str() else {
        return false;
    };
    match subject["kind"].as_str() {
        Some("User") => name == access.user,
        Some("Group") => access.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or_default();
            access.user.strip_prefix("system:serviceaccount:")
                == Some(&format!("{namespace}:{name}"))
        }
        _ => false,
    }
}

/// Whether a list of a rule has this entry or stands for everything.
fn lists(rule: &Value, field: &str, wanted: &str) -> bool {
    items(&rule[field]).any(|entry| entry == "*" || entry == wanted)
}

fn rule_allows(rule: &Value, access: &Access<'_>, of_cluster: bool) -> bool {
    if !lists(rule, "verbs", access.verb) {
        return false;
    }
    if access.resource.is_empty() {
        return of_cluster && items(&rule["nonResourceURLs"]).any(|url| is_path(url, access.path));
    }
    let mut names = items(&rule["resourceNames"]).peekable();
    lists(rule, "apiGroups", access.group)
        && items(&rule["resources"]).any(|resource| is_resource(resource, access))
        && (names.peek().is_none() || names.any(|name| name == access.name))
}

fn is_resource(resource: &Value, access: &Access<'_>) -> bool {
    let Some(resource) = resource.as_str() else {
        return false;
    };
    // `*/scale` is the subresource of every kind; `pods/*` means nothing.
    let any_of = resource
        .strip_prefix("*/")
        .is_some_and(|sub| !sub.is_empty() && sub == access.subresource);
    resource == "*" || any_of || resource == of_role(access)
}

fn is_path(url: &Value, path: &str) -> bool {
    let url = url.as_str().unwrap_or_default();
    match url.strip_suffix('*') {
        Some(begin) => path.starts_with(begin),
        None => path == url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let mut store = Store::default();
        let files = ["deploy/rbac.yaml"].map(|file| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            std::fs::read_to_string(path).unwrap()
        });
        let documents: Vec<Value> = serde_saphyr::from_multiple(&files.concat()).unwrap();
        for object in documents {
            put(&mut store, object);
        }
        for (name, role) in [
            ("olga", "serin-operator"),
            ("ed", "serin-edit"),
            ("ada", "serin-admin"),
            ("vera", "serin-view"),
        ] {
            put(&mut store, bound("apps", name, "ClusterRole", role));
        }
        put(
            &mut store,
            json!({"kind": "Role", "metadata": {"name": "one", "namespace": "apps"}, "rules": [
                {"apiGroups": ["serin.dev"], "resources": ["canaries/abort"], "verbs": ["update"], "resourceNames": ["asked"]},
                {"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]},
            ]}),
        );
        put(&mut store, bound("apps", "one", "Role", "one"));
        put(
            &mut store,
            json!({"kind": "ClusterRole", "metadata": {"name": "all"}, "rules": [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["/metrics", "/healthz/*"], "verbs": ["get"]}]}),
        );
        put(
            &mut store,
            json!({"kind": "ClusterRoleBinding", "metadata": {"name": "all"},
            "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": [{"kind": "Group", "name": "admins"}]}),
        );
        store
    }

    fn bound(namespace: &str, user: &str, kind: &str, role: &str) -> Value {
        json!({"kind": "RoleBinding", "metadata": {"name": user, "namespace": namespace},
            "roleRef": {"kind": kind, "name": role}, "subjects": [{"kind": "User", "name": user}]})
    }

    fn put(store: &mut Store, object: Value) {
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let meta = &object["metadata"];
        let key = Key::new(
            GROUP,
            &plural,
            meta["namespace"].as_str().unwrap_or_default(),
            meta["name"].as_str().unwrap(),
        );
        store.put(key, object);
    }

    const SERIN: &str = "system:serviceaccount:serin-system:serin";

    #[test]
    #[expect(clippy::too_many_lines, reason = "a row for each situation")]
    fn rights_are_those_of_the_roles() {
        let store = store();
        for (wanted, user, verb, resource, place) in [
            (true, SERIN, "list", "serin.dev:canaries", ""),
            (true, SERIN, "patch", "serin.dev:canaries", "apps/web"),
            (false, SERIN, "update", "serin.dev:canaries", "apps/web"),
            (
                true,
                SERIN,
                "patch",
                "serin.dev:canaries/status",
                "apps/web",
            ),
            (
                true,
                SERIN,
                "update",
                "serin.dev:canaries/promote",
                "apps/web",
            ),
            (
                true,
                SERIN,
                "create",
                "authentication.k8s.io:tokenreviews",
                "",
            ),
            (
                false,
                SERIN,
                "get",
                "authentication.k8s.io:tokenreviews",
                "",
            ),
            (true, SERIN, "create", ":pods/eviction", "apps/x"),
            (false, SERIN, "create", ":pods", "apps/"),
            (false, SERIN, "get", ":secrets", "apps/x"),
            (true, SERIN, "patch", "apps:deployments/scale", "apps/web"),
            (
                false,
                SERIN,
                "deletecollection",
                "apps:deployments",
                "apps/",
            ),
            (
                true,
                SERIN,
                "update",
                "coordination.k8s.io:leases",
                "serin-system/serin",
            ),
            (
                false,
                SERIN,
                "update",
                "coordination.k8s.io:leases",
                "serin-system/other",
            ),
            (
                true,
                SERIN,
                "create",
                "coordination.k8s.io:leases",
                "serin-system/",
            ),
            (
                false,
                SERIN,
                "get",
                "coordination.k8s.io:leases",
                "apps/serin",
            ),
            (
                true,
                "olga",
                "update",
                "serin.dev:canaries/abort",
                "apps/web",
            ),
            (
                false,
                "olga",
                "update",
                "serin.dev:canaries/abort",
                "other/web",
            ),
            (
                false,
                "olga",
                "update",
                "serin.dev:canaries/promote-full",
                "apps/web",
            ),
            (false, "olga", "update", "serin.dev:canaries", "apps/web"),
            (
                true,
                "ada",
                "update",
                "serin.dev:canaries/promote-full",
                "apps/web",
            ),
            (true, "ed", "create", "serin.dev:canaries", "apps/"),
            (false, "vera", "patch", "serin.dev:canaries", "apps/web"),
            (
                true,
                "one",
                "update",
                "serin.dev:canaries/abort",
                "apps/asked",
            ),
            (
                false,
                "one",
                "update",
                "serin.dev:canaries/abort",
                "apps/pending",
            ),
            (true, "one", "patch", "apps:deployments/scale", "apps/web"),
            (false, "one", "patch", "apps:deployments", "apps/web"),
            (false, "nobody", "get", ":pods", "apps/x"),
        ] {
            let (group, resource) = resource.split_once(':').unwrap();
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let (namespace, name) = place.split_once('/').unwrap_or_default();
            let access = Access {
                user,
                verb,
                group,
                resource,
                subresource,
                namespace,
                name,
                ..Access::default()
            };
            assert_eq!(allows(&store, &access), wanted, "{access:?}");
        }
    }

    #[test]
    fn groups_count_and_masters_may_everything() {
        let store = store();
        let (admins, masters) = (["admins".to_owned()], [MASTERS.to_owned()]);
        let pods = Access {
            user: "x",
            verb: "delete",
            resource: "pods",
            namespace: "apps",
            ..Access::default()
        };
        assert!(!allows(&store, &pods));
        assert!(allows(
            &store,
            &Access {
                groups: &admins,
                ..pods
            }
        ));
        assert!(allows(
            &store,
            &Access {
                groups: &masters,
                ..pods
            }
        ));
        let path = |path| Access {
            user: "x",
            groups: &admins,
            verb: "get",
            path,
            ..Access::default()
        };
        assert!(allows(&store, &path("/metrics")) && allows(&store, &path("/healthz/ready")));
        assert!(!allows(&store, &path("/other")));
    }

    #[test]
    fn questions_are_answered() {
        let store = store();
        let asked = |kind: &str, user: &str| {
            let review = json!({"kind": kind, "spec": {"user": user, "groups": ["admins"],
                "resourceAttributes": {"verb": "update", "group": "serin.dev", "resource": "canaries", "subresource": "abort",
                    "namespace": "apps", "name": "web"}}});
            answered(&store, ("olga", &[]), review)["status"]["allowed"] == true
        };
        assert!(asked("SelfSubjectAccessReview", "nobody"));
        assert!(asked("SubjectAccessReview", "of the group admins"));
        let path = json!({"kind": "SelfSubjectAccessReview", "spec": {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}});
        assert_eq!(
            answered(&store, ("olga", &[]), path)["status"]["allowed"],
            false
        );
    }

    #[test]
    fn a_refusal_reads_as_the_real_one() {
        let pods = Access {
            user: "x",
            verb: "delete",
            resource: "pods",
            subresource: "status",
            namespace: "apps",
            ..Access::default()
        };
        assert_eq!(
            refused(&pods),
            "User \"x\" cannot delete resource \"pods/status\" in API group \"\" in the namespace \"apps\""
        );
        let nodes = Access {
            namespace: "",
            resource: "nodes",
            subresource: "",
            ..pods
        };
        assert!(refused(&nodes).ends_with("at the cluster scope"));
    }
}
