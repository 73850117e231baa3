//! What is served, told to clients: groups, versions and kinds, one by one or all in one document.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::sim::api::Api;
use crate::sim::kinds::Served;
use crate::sim::openapi;
use crate::sim::refusal::Refusal;
use crate::sim::requests::{refused, said};

/// The version that this server says it is.
const VERSION: &str = "v1.36.3";

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// Verbs of `status` and `scale`.
const FEW: [&str; 3] = ["get", "patch", "update"];

/// Questions that are answered and not kept: group, plural, kind, and whether they live in namespaces.
const QUESTIONS: &[(&str, &str, &str, bool)] = &[
    (
        "authentication.k8s.io",
        "selfsubjectreviews",
        "SelfSubjectReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
        true,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "subjectaccessreviews",
        "SubjectAccessReview",
        false,
    ),
];

/// Kinds that `kubectl get all` means.
const ALL: [&str; 5] = [
    "deployments",
    "horizontalpodautoscalers",
    "pods",
    "replicasets",
    "services",
];

/// What the whole is called when it comes in one document.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers what is about no object.
pub(crate) fn answer(api: &Api, path: &str, headers: &HeaderMap) -> Response<Body> {
    let path = path.trim_end_matches('/');
    let found = match path {
        "/healthz" | "/livez" | "/readyz" => return Response::new(Body::from("ok")),
        "/version" => Some(json!({
            "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "", "buildDate": "",
            "goVersion": "", "compiler": "", "platform": "linux/amd64",
        })),
        "" => Some(
            json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}),
        ),
        "/api" | "/apis" if aggregated(headers) => return whole(api, path == "/api"),
        "/api" => Some(
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ),
        "/apis" => Some(json!({"kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups(api).iter().map(|(name, version)| group(name, version)).collect::<Vec<_>>()})),
        path => openapi::answer(api, path)
            .or_else(|| one_group(api, path))
            .or_else(|| resources(api, path)),
    };
    match found {
        Some(found) => said(StatusCode::OK, &found),
        None => refused(&Refusal::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )),
    }
}

fn aggregated(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| {
        accept
            .split(',')
            .any(|one| one.contains("v=v2;") && one.contains("as=APIGroupDiscoveryList"))
    })
}

/// Groups besides the core group, with their version.
fn groups(api: &Api) -> BTreeMap<String, String> {
    let kinds = api.kinds();
    let own = kinds
        .iter()
        .map(|kind| (kind.group.clone(), kind.version.clone()));
    let asked = QUESTIONS
        .iter()
        .map(|(group, ..)| ((*group).to_owned(), "v1".to_owned()));
    own.chain(asked)
        .filter(|(group, _)| !group.is_empty())
        .collect()
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn one_group(api: &Api, path: &str) -> Option<Value> {
    let name = path.strip_prefix("/apis/")?;
    let mut group = group(name, groups(api).get(name)?);
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Some(group)
}

/// The kinds of one version of a group.
fn resources(api: &Api, path: &str) -> Option<Value> {
    let wanted = path
        .strip_prefix("/apis/")
        .or_else(|| path.strip_prefix("/api/"))?;
    let kinds = api.kinds();
    let kinds = kinds
        .iter()
        .filter(|kind| kind.api_version() == wanted)
        .flat_map(|kind| entries(kind));
    let asked = QUESTIONS
        .iter()
        .filter(|(group, ..)| format!("{group}/v1") == wanted)
        .map(|(_, plural, kind, namespaced)| {
            json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind, "verbs": ["create"]})
        });
    let kinds: Vec<_> = kinds.chain(asked).collect();
    (!kinds.is_empty()).then(|| {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": wanted, "resources": kinds})
    })
}

fn entries(kind: &Served) -> Vec<Value> {
    let mut first = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": VERBS, "shortNames": kind.short,
    });
    let categories = categories(kind);
    if !categories.is_empty() {
        first["categories"] = json!(categories);
    }
    let parts = parts(kind).into_iter().map(|(name, type_, verbs)| {
        let name = format!("{}/{name}", kind.plural);
        json!({"name": name, "singularName": "", "namespaced": kind.namespaced, "kind": type_, "verbs": verbs})
    });
    std::iter::once(first).chain(parts).collect()
}

/// Subresources: name, kind and verbs.
fn parts(kind: &Served) -> Vec<(&'static str, &str, &'static [&'static str])> {
    let mut all: Vec<(_, &str, &[&str])> = Vec::new();
    if kind.group.is_empty() && kind.plural == "pods" {
        all.push(("eviction", "Eviction", &["create"]));
    }
    if kind.scale {
        all.push(("scale", "Scale", &FEW));
    }
    if kind.status {
        all.push(("status", &kind.kind, &FEW));
    }
    all
}

fn categories(kind: &Served) -> Vec<String> {
    if let Some(definition) = &kind.definition {
        let all = definition["spec"]["names"]["categories"].as_array();
        let all = all.into_iter().flatten().filter_map(Value::as_str);
        return all.map(str::to_owned).collect();
    }
    let group = match kind.group.as_str() {
        "gateway.networking.k8s.io" => "gateway-api",
        "apiextensions.k8s.io" | "admissionregistration.k8s.io" => "api-extensions",
        _ if ALL.contains(&kind.plural.as_str()) => "all",
        _ => return Vec::new(),
    };
    vec![group.to_owned()]
}

/// Everything in one document: of the core group, or of all others.
fn whole(api: &Api, core: bool) -> Response<Body> {
    let kinds = api.kinds();
    let names = if core {
        BTreeMap::from([(String::new(), "v1".to_owned())])
    } else {
        groups(api)
    };
    let items: Vec<_> = names
        .iter()
        .map(|(name, version)| {
            let resources: Vec<_> = described(&kinds, name).collect();
            json!({
                "metadata": {"name": name, "creationTimestamp": null},
                "versions": [{"version": version, "freshness": "Current", "resources": resources}],
            })
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let mut reply = said(StatusCode::OK, &document);
    let kind = HeaderValue::from_static(AGGREGATED);
    reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    reply
}

fn described<'a>(kinds: &'a [Arc<Served>], group: &'a str) -> impl Iterator<Item = Value> + 'a {
    let own = kinds.iter().filter(move |kind| kind.group == group);
    let own = own.map(|kind| described_kind(kind));
    let asked = QUESTIONS
        .iter()
        .filter(move |(name, ..)| *name == group)
        .map(|(group, plural, kind, namespaced)| {
            json!({
                "resource": plural, "responseKind": {"group": group, "version": "v1", "kind": kind},
                "scope": scope(*namespaced), "singularResource": kind.to_lowercase(), "verbs": ["create"],
            })
        });
    own.chain(asked)
}

fn described_kind(kind: &Served) -> Value {
    let of = |name: &str| match name {
        "Scale" => json!({"group": "autoscaling", "version": "v1", "kind": name}),
        "Eviction" => json!({"group": "policy", "version": "v1", "kind": name}),
        name => json!({"group": kind.group, "version": kind.version, "kind": name}),
    };
    let parts: Vec<_> = parts(kind)
        .into_iter()
        .map(|(name, type_, verbs)| {
            json!({"subresource": name, "responseKind": of(type_), "verbs": verbs})
        })
        .collect();
    let mut described = json!({
        "resource": kind.plural, "responseKind": of(&kind.kind), "scope": scope(kind.namespaced),
        "singularResource": kind.singular, "verbs": VERBS, "shortNames": kind.short,
    });
    if !parts.is_empty() {
        described["subresources"] = json!(parts);
    }
    let categories = categories(kind);
    if !categories.is_empty() {
        described["categories"] = json!(categories);
    }
    described
}

fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    async fn body(path: &str, accept: &'static str) -> (String, Value) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let api = Api::new(Clock::simulated());
        let reply = answer(&api, path, &headers);
        let kind = reply.headers()[header::CONTENT_TYPE].to_str().unwrap();
        let kind = kind.to_owned();
        let bytes = axum::body::to_bytes(reply.into_body(), 1 << 24).await;
        (kind, serde_json::from_slice(&bytes.unwrap()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn both_forms_say_the_same() {
        let (kind, whole) = body("/apis", AGGREGATED).await;
        assert_eq!(kind, AGGREGATED);
        let (_, groups) = body("/apis", "application/json").await;
        let groups = groups["groups"].as_array().unwrap();
        let items = whole["items"].as_array().unwrap();
        assert_eq!(groups.len(), items.len());
        for (group, item) in groups.iter().zip(items) {
            assert_eq!(group["name"], item["metadata"]["name"]);
            let version = group["preferredVersion"]["groupVersion"].as_str().unwrap();
            let (_, list) = body(&format!("/apis/{version}"), "").await;
            let names = |all: &Value, field: &str| -> Vec<String> {
                let all = all.as_array().unwrap().iter();
                let names = all.map(|one| one[field].as_str().unwrap().to_owned());
                names.filter(|name| !name.contains('/')).collect()
            };
            let resources = &item["versions"][0]["resources"];
            assert_eq!(
                names(&list["resources"], "name"),
                names(resources, "resource")
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn groups_are_told_apart() {
        for (path, what) in [
            ("/apis/apps", "APIGroup"),
            ("/apis/apps/v1", "APIResourceList"),
            ("/api/v1", "APIResourceList"),
            ("/apis/apps/v2", "Status"),
            ("/apis/nothing", "Status"),
        ] {
            assert_eq!(body(path, "").await.1["kind"], what, "{path}");
        }
    }
}
