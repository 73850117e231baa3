//! Requests to the API server, told one by one as they are answered.

use std::sync::Arc;

use http::{Method, Request, Uri};
use kube::Client;
use kube::client::Body;

/// Hears of each answer: the verb and the resource of the request as RBAC names them, and the status code; 0: none came.
pub type Hear = Arc<dyn Fn(&str, &str, u16) + Send + Sync>;

/// The same client, whose answers are told.
pub(super) fn telling(client: Client, hear: Hear) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = move |request: Request<Body>| {
        let (client, hear) = (client.clone(), Arc::clone(&hear));
        async move {
            let (verb, resource) = asked(request.method(), request.uri());
            let answer = client.send(request).await;
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            hear(verb, &resource, code);
            answer
        }
    };
    Client::new(tower::service_fn(send), namespace)
}

/// The verb and the resource: `patch` and `canaries/status`.
fn asked(method: &Method, uri: &Uri) -> (&'static str, String) {
    let path: Vec<_> = uri
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let within = match path.as_slice() {
        ["api", _, within @ ..] | ["apis", _, _, within @ ..] => within,
        _ => &[],
    };
    let (resource, name) = match within {
        ["namespaces", _, resource, rest @ ..] if *resource != "status" => {
            (joined(resource, rest), rest.first())
        }
        [resource, rest @ ..] => (joined(resource, rest), rest.first()),
        [] => ("-".to_owned(), None),
    };
    let watch = uri
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
    let verb = match (method.as_str(), name) {
        ("GET", _) if watch => "watch",
        ("GET", Some(_)) => "get",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "other",
    };
    (verb, resource)
}

/// A resource, with the part of it that is meant: `pods/eviction`.
fn joined(resource: &str, rest: &[&str]) -> String {
    match rest {
        [_, part, ..] => format!("{resource}/{part}"),
        _ => resource.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_as_rbac_names_them() {
        let rows = [
            ("GET /api/v1/namespaces/shop/pods?limit=5", "list pods"),
            (
                "GET /api/v1/pods?allowWatchBookmarks=true&watch=true",
                "watch pods",
            ),
            (
                "GET /apis/apps/v1/namespaces/shop/deployments/web",
                "get deployments",
            ),
            (
                "POST /api/v1/namespaces/shop/pods/web-1/eviction",
                "create pods/eviction",
            ),
            (
                "PUT /apis/serin.dev/v1beta1/namespaces/shop/canaries/web/status",
                "update canaries/status",
            ),
            (
                "PATCH /apis/apps/v1/namespaces/shop/deployments/web?dryRun=All",
                "patch deployments",
            ),
            (
                "DELETE /api/v1/namespaces/shop/services/web-canary",
                "delete services",
            ),
            ("GET /api/v1/namespaces/shop", "get namespaces"),
            ("GET /api/v1/namespaces", "list namespaces"),
            (
                "PUT /api/v1/namespaces/shop/status",
                "update namespaces/status",
            ),
            ("GET /version", "list -"),
        ];
        for (line, expected) in rows {
            let (method, uri) = line.split_once(' ').unwrap();
            let (verb, resource) = asked(&method.parse().unwrap(), &uri.parse().unwrap());
            assert_eq!(format!("{verb} {resource}"), expected, "{line}");
        }
    }
}
