//! Questions that are answered and not kept: who am I, may I, what may I.

use serde_json::{Value, json};

use crate::sim::address::Address;
use crate::sim::api::{Api, Who};
use crate::sim::rbac::{self, Access};
use crate::sim::refusal::Refusal;
use crate::sim::store::Key;
use crate::sim::tokens;

/// The answer, if it is a question.
pub(crate) fn answer(
    api: &Api,
    who: &Who,
    address: &Address,
    mut review: Value,
) -> Option<Result<Value, Refusal>> {
    let kind = match (address.key.group.as_str(), address.key.plural.as_str()) {
        ("authentication.k8s.io", "selfsubjectreviews") => "SelfSubjectReview",
        ("authentication.k8s.io", "tokenreviews") => "TokenReview",
        ("authorization.k8s.io", "selfsubjectaccessreviews") => "SelfSubjectAccessReview",
        ("authorization.k8s.io", "selfsubjectrulesreviews") => "SelfSubjectRulesReview",
        ("authorization.k8s.io", "subjectaccessreviews") => "SubjectAccessReview",
        ("authorization.k8s.io", "localsubjectaccessreviews") => "LocalSubjectAccessReview",
        _ => return None,
    };
    if !review.is_object() {
        review = json!({});
    }
    review["kind"] = json!(kind);
    review["apiVersion"] = json!(format!("{}/{}", address.key.group, address.version));
    if review["metadata"].is_null() {
        review["metadata"] = json!({"creationTimestamp": null});
    }
    if let Err(refusal) = permit(api, who, address) {
        return Some(Err(refusal));
    }
    let asker = (who.user.as_str(), who.groups.as_slice());
    if kind == "TokenReview" {
        let letters = review["spec"]["token"].as_str().unwrap_or_default();
        let token = api.token(letters);
        review["status"] = tokens::reviewed(token.as_ref(), &review["spec"], api.now());
        return Some(Ok(review));
    }
    let state = api.state();
    match kind {
        "SelfSubjectReview" => {
            review["status"] = json!({"userInfo": {"username": who.user, "groups": who.groups}});
        }
        "SelfSubjectRulesReview" => {
            let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
            review["status"] = rules(rbac::rules(&state.store, asker, namespace));
        }
        _ => return Some(Ok(rbac::answered(&state.store, asker, review))),
    }
    Some(Ok(review))
}

/// About others, only those may ask who have the right to.
fn permit(api: &Api, who: &Who, address: &Address) -> Result<(), Refusal> {
    let Key {
        group,
        plural,
        namespace,
        ..
    } = &address.key;
    let access = Access {
        user: &who.user,
        groups: &who.groups,
        verb: "create",
        group,
        resource: plural,
        namespace,
        ..Access::default()
    };
    if plural.starts_with("self") || rbac::allows(&api.state().store, &access) {
        return Ok(());
    }
    Err(Refusal::forbidden(&address.key, &rbac::refused(&access)))
}

/// Rules about resources, and those about paths.
fn rules(all: Vec<Value>) -> Value {
    let (paths, resources): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|rule| rule["nonResourceURLs"].is_array());
    json!({"incomplete": false, "resourceRules": resources, "nonResourceRules": paths})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::sim::world::World;

    #[tokio::test(start_paused = true)]
    async fn a_person_is_told_who_he_is_and_what_he_may() {
        let world = World::new(Clock::simulated(), 0);
        world.add_roles();
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "look"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, {"nonResourceURLs": ["/x"], "verbs": ["get"]}]});
        let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "look"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "look"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}]});
        world.put(role).unwrap();
        world.put(bound).unwrap();
        let who = |user: &str, group: &str| Who {
            user: user.to_owned(),
            groups: vec![group.to_owned()],
            manager: String::new(),
        };
        let (ada, root) = (who("ada", "people"), who("root", "system:masters"));
        let ask = |who: &Who, path: &str, review: Value| {
            let address = Address::read(path).unwrap();
            answer(&world.api, who, &address, review).unwrap().unwrap()["status"].clone()
        };
        let me = ask(
            &ada,
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            json!(null),
        );
        assert_eq!(me["userInfo"]["username"], "ada");
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let mine = |who, space: &str| ask(who, path, json!({"spec": {"namespace": space}}));
        assert_eq!(
            mine(&ada, "default")["resourceRules"][0]["resources"][0],
            "pods"
        );
        assert_eq!(mine(&ada, "other")["resourceRules"], json!([]));
        assert_eq!(mine(&root, "other")["resourceRules"][0]["verbs"][0], "*");
        let pods = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert_eq!(ask(&ada, path, pods)["allowed"], true);
    }
}
