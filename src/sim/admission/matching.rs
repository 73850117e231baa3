//! Which requests a policy or a binding is about.

use serde_json::Value;

use crate::sim::admission::review::{Operation, Review};
use crate::sim::admission::{GROUP, selector};

/// A request, and the namespace that it is in.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) review: &'a Review<'a>,
    pub(super) namespace: Option<&'a Value>,
}

/// Requests that no policy sees, so that a bad policy can be taken away, and those that store nothing.
pub(super) fn is_exempt(review: &Review<'_>) -> bool {
    match review.key.group.as_str() {
        GROUP => {
            let plural = &review.key.plural;
            plural.ends_with("admissionpolicies") || plural.ends_with("admissionpolicybindings")
        }
        "authentication.k8s.io" | "authorization.k8s.io" => true,
        _ => false,
    }
}

/// Whether constraints list this request's kind, part and operation at all; most do not, and that is cheap to know.
pub(super) fn names(constraints: &Value, review: &Review<'_>) -> bool {
    let all = &constraints["resourceRules"];
    rules(all).next().is_none() || listed(all, review)
}

/// Whether `matchConstraints`, or `matchResources` of a binding, are about this request.
pub(super) fn matches(constraints: &Value, subject: &Subject<'_>) -> bool {
    in_namespace(&constraints["namespaceSelector"], subject)
        && has_labels(&constraints["objectSelector"], subject.review)
        && !listed(&constraints["excludeResourceRules"], subject.review)
        && names(constraints, subject.review)
}

fn rules(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn in_namespace(wanted: &Value, subject: &Subject<'_>) -> bool {
    let review = subject.review;
    let place = review.place();
    if selector::is_empty(wanted) || place.is_empty() {
        return true;
    }
    let is_written = review.key.plural == "namespaces"
        && review.subresource.is_empty()
        && matches!(review.operation, Operation::Create | Operation::Update);
    let namespace = if is_written {
        review.object
    } else {
        subject.namespace
    };
    selector::selects(
        wanted,
        namespace.map_or(&Value::Null, |namespace| &namespace["metadata"]["labels"]),
    )
}

/// One of the objects, the new or the old one, is enough.
fn has_labels(wanted: &Value, review: &Review<'_>) -> bool {
    selector::is_empty(wanted)
        || [review.object, review.old]
            .into_iter()
            .flatten()
            .any(|object| selector::selects(wanted, &object["metadata"]["labels"]))
}

fn listed(list: &Value, review: &Review<'_>) -> bool {
    rules(list).any(|rule| {
        let mut names = rules(&rule["resourceNames"]).peekable();
        has(rule, "apiGroups", &review.key.group)
            && has(rule, "apiVersions", review.version)
            && has(rule, "operations", review.operation.name())
            && rules(&rule["resources"]).any(|resource| is_resource(resource, review))
            && in_scope(rule["scope"].as_str(), review)
            && (names.peek().is_none() || names.any(|name| *name == review.key.name))
    })
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    rules(&rule[field]).any(|entry| entry == "*" || entry == wanted)
}

fn is_resource(resource: &Value, review: &Review<'_>) -> bool {
    let resource = resource.as_str().unwrap_or_default();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    (resource == "*" || resource == review.key.plural)
        && (subresource == "*" || subresource == review.subresource)
}

fn in_scope(scope: Option<&str>, review: &Review<'_>) -> bool {
    match scope {
        Some("Namespaced") => !review.key.namespace.is_empty(),
        Some("Cluster") => review.key.namespace.is_empty(),
        _ => true,
    }
}
