//! The routes, without a socket: what they answer to good and to bad requests.

mod access;
mod asking;
mod described;
mod following;
mod lines;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use futures::FutureExt;
use http_body_util::BodyExt;
use kube::ResourceExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::access::{Access, Token, Unanswered, Wish};
use super::ask::{Desk, NotWritten, Order};
use super::health::Health;
use super::recorder::Recorder;
use super::{State, app};
use crate::clock::Clock;
use crate::cluster::{Place, Subject};
use crate::crd::canary::Canary;
use crate::telemetry::Telemetry;

fn canary(namespace: &str, name: &str, phase: &str) -> Arc<Canary> {
    let object = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace, "generation": 3, "labels": {"team": name},
            "annotations": {"internal": "not for readers"}},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}},
        "status": {
            "observedGeneration": 3, "phase": phase, "message": "10% → analysing", "canaryWeight": 10,
            "traffic": {"wanted": 10, "written": 10},
            "stable": {"revision": "aaa", "images": ["app:1"]},
            "candidate": {"revision": "bbb", "images": ["app:2"], "attempt": 2},
            "plan": [{"weight": 10, "checks": 3, "pause": {}}, {"weight": 50, "checks": 3}],
            "step": {"index": 0, "of": 2, "startedAt": "2030-01-01T00:00:00Z", "deadlineAt": "2030-01-01T00:10:00Z",
                "passed": 1, "waiting": "Approval"},
            "history": [{"revision": "aaa", "outcome": "Promoted", "endedAt": "2029-12-31T00:00:00Z"}]
        }
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn state() -> State {
    let all = [
        canary("shop", "web", "Progressing"),
        canary("shop", "cart", "Failed"),
        canary("bank", "web", "Succeeded"),
    ];
    of(&Shelf::with(all), &Cluster::default(), true)
}

/// The Canaries, as a watch would show them.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<BTreeMap<Place, Arc<Canary>>>>);

impl Shelf {
    fn with(all: impl IntoIterator<Item = Arc<Canary>>) -> Self {
        let shelf = Self::default();
        all.into_iter().for_each(|canary| shelf.put(canary));
        shelf
    }

    fn put(&self, canary: Arc<Canary>) {
        let place = (canary.home(), canary.name_any());
        self.0.lock().unwrap().insert(place, canary);
    }

    fn take(&self, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        self.0.lock().unwrap().remove(&place);
    }

    fn canaries(&self) -> super::Canaries {
        let shelf = self.clone();
        Arc::new(move |namespace| {
            let all = shelf.0.lock().unwrap();
            let here = |canary: &&Arc<Canary>| namespace.is_none_or(|name| name == canary.home());
            all.values().filter(here).cloned().collect()
        })
    }
}

/// What the API server says: the token `t-NAME` is that of NAME; `olga` may do everything, others what is listed; and what was
/// asked of it.
#[derive(Clone, Default)]
struct Cluster {
    away: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    written: Arc<Mutex<Vec<Order>>>,
    /// What a write comes to.
    refuses: Arc<Mutex<Option<NotWritten>>>,
    rights: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    fn identify(&self, token: &Token) -> Result<Option<Subject>, Unanswered> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Unanswered("connection refused".to_owned()));
        }
        self.asked.lock().unwrap().push("who".to_owned());
        let name = token.secret().strip_prefix("t-");
        Ok(name.map(|name| Subject {
            name: name.to_owned(),
            ..Subject::default()
        }))
    }

    fn may(&self, person: &Subject, wish: &Wish) -> Result<bool, Unanswered> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Unanswered("connection refused".to_owned()));
        }
        let text = format!("{}: {wish}", person.name);
        let listed = self.rights.lock().unwrap().contains(&text);
        self.asked.lock().unwrap().push(text);
        Ok(listed || person.name == "olga")
    }

    fn access(&self, anonymous_reads: bool) -> Access {
        let (identifying, judging) = (self.clone(), self.clone());
        Access::new(
            anonymous_reads,
            Arc::new(move |token| ready(identifying.identify(&token)).boxed()),
            Arc::new(move |person, wish| ready(judging.may(&person, &wish)).boxed()),
        )
    }

    fn desk(&self) -> Desk {
        let cluster = self.clone();
        let write = move |order: Order| {
            let refused = cluster.refuses.lock().unwrap().clone();
            cluster.written.lock().unwrap().push(order);
            ready(refused.map_or(Ok(()), Err)).boxed()
        };
        Desk::new(Arc::new(write), || "made-up".to_owned())
    }
}

fn of(shelf: &Shelf, cluster: &Cluster, anonymous_reads: bool) -> State {
    State {
        canaries: shelf.canaries(),
        health: Health::default(),
        telemetry: Telemetry::new("gatewayapi:v1"),
        recorder: Recorder::new(shelf.canaries(), Clock::simulated()),
        access: cluster.access(anonymous_reads),
        desk: cluster.desk(),
    }
}

struct Reply {
    status: StatusCode,
    type_: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn send(state: State, method: Method, path: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap();
    reply(state, request).await
}

async fn reply(state: State, request: Request<Body>) -> Reply {
    let response = app(state).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let type_ = head.headers.get(header::CONTENT_TYPE);
    Reply {
        status: head.status,
        type_: type_
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default(),
        body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
    }
}

async fn get(path: &str) -> Reply {
    send(state(), Method::GET, path).await
}

#[tokio::test]
async fn lists_are_narrowed_by_namespace_phase_and_labels() {
    let rows: [(&str, &[&str]); 6] = [
        ("/api/v1/canaries", &["bank/web", "shop/cart", "shop/web"]),
        ("/api/v1/canaries?phase=Failed", &["shop/cart"]),
        (
            "/api/v1/canaries?labelSelector=team%3Dweb",
            &["bank/web", "shop/web"],
        ),
        (
            "/api/v1/namespaces/shop/canaries",
            &["shop/cart", "shop/web"],
        ),
        (
            "/api/v1/namespaces/shop/canaries?phase=Progressing&labelSelector=team",
            &["shop/web"],
        ),
        ("/api/v1/namespaces/empty/canaries", &[]),
    ];
    for (path, expected) in rows {
        let reply = get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        let json = reply.json();
        for item in json["items"].as_array().unwrap() {
            assert_eq!(item["labels"]["team"], item["name"], "labels are shown");
        }
        let names = json["items"].as_array().unwrap().iter().map(|item| {
            format!(
                "{}/{}",
                item["namespace"].as_str().unwrap(),
                item["name"].as_str().unwrap()
            )
        });
        assert_eq!(names.collect::<Vec<_>>(), expected, "{path}");
    }
}

#[tokio::test]
async fn one_canary_is_a_view_for_its_reader() {
    let reply = get("/api/v1/namespaces/shop/canaries/web").await;
    assert_eq!(reply.type_, "application/json");
    let text = format!("{:#}\n", reply.json());
    expect_test::expect_file!["../../../tests/golden/server/canary.json"].assert_eq(&text);
}

#[tokio::test]
async fn errors_are_problem_details() {
    let rows = [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/api/v1/nowhere", 404),
        (Method::GET, "/api/v1/namespaces/shop/canaries/none", 404),
        (Method::GET, "/api/v1/canaries?phase=Fine", 400),
        (Method::GET, "/api/v1/canaries?labelSelector=%3D", 400),
        (Method::GET, "/api/v1/canaries?limit=5", 400),
        (Method::GET, "/api/v1/namespaces/%FF/canaries", 400),
        (Method::POST, "/api/v1/canaries", 405),
        (Method::DELETE, "/healthz", 405),
    ];
    for (method, path, status) in rows {
        let reply = send(state(), method, path).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        assert_eq!(reply.type_, "application/problem+json", "{path}");
        let json = reply.json();
        assert_eq!(json["status"], status, "{path}");
        assert!(!json["title"].as_str().unwrap().is_empty(), "{path}");
        assert!(!json["detail"].as_str().unwrap().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let request = Request::post("/metrics").body(Body::empty()).unwrap();
    let response = app(state()).oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn head_answers_without_a_body() {
    for path in [
        "/healthz",
        "/metrics",
        "/api/v1/canaries",
        "/api/v1/namespaces/shop/canaries/web",
    ] {
        let reply = send(state(), Method::HEAD, path).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (StatusCode::OK, ""),
            "{path}"
        );
    }
}

#[tokio::test]
async fn strangers_read_nothing_unless_a_flag_says_so() {
    let closed = || State {
        access: Cluster::default().access(false),
        ..state()
    };
    for path in [
        "/api/v1/canaries",
        "/api/v1/namespaces/shop/canaries",
        "/api/v1/namespaces/shop/canaries/web",
    ] {
        let reply = send(closed(), Method::GET, path).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(reply.type_, "application/problem+json", "{path}");
        assert!(!reply.body.contains("cart"), "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = send(closed(), Method::GET, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let state = State {
        health: Health::waiting_for(&["deployments", "canaries"]),
        ..state()
    };
    // A list would lack what is there.
    let paths = [
        "/readyz",
        "/api/v1/canaries",
        "/api/v1/namespaces/shop/canaries",
        "/api/v1/namespaces/shop/canaries/web",
    ];
    for path in paths {
        let reply = send(state.clone(), Method::GET, path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let detail = &reply.json()["detail"];
        assert_eq!(
            detail, "not ready: waiting for canaries, deployments",
            "{path}"
        );
    }
    state.health.synced("canaries");
    state.health.synced("deployments");
    for path in paths {
        let reply = send(state.clone(), Method::GET, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let reply = get("/metrics").await;
    assert!(reply.type_.starts_with("application/openmetrics-text"));
    assert!(
        reply
            .body
            .contains(r#"serin_canary_phase{namespace="shop",name="cart",phase="Failed"} 1"#)
    );
}

#[tokio::test]
async fn the_pages_are_served_with_a_policy_and_a_version() {
    let rows = [
        ("/", "text/html; charset=utf-8"),
        ("/ui/index.html", "text/html; charset=utf-8"),
        ("/ui/theme.css", "text/css; charset=utf-8"),
        ("/ui/app.js", "text/javascript; charset=utf-8"),
    ];
    for (path, type_) in rows {
        let request = |tag: &str| {
            let request = Request::get(path).header(header::IF_NONE_MATCH, tag);
            request.body(Body::empty()).unwrap()
        };
        let first = app(state()).oneshot(request("\"old\"")).await.unwrap();
        assert_eq!(first.status(), StatusCode::OK, "{path}");
        let headers = first.headers();
        assert_eq!(headers[header::CONTENT_TYPE], type_, "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache", "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        let tag = headers[header::ETAG].to_str().unwrap().to_owned();
        let again = app(state()).oneshot(request(&tag)).await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
    let missing = get("/ui/..%2fmod.rs").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.type_, "application/problem+json");
}

#[tokio::test]
async fn a_huge_body_is_refused_unread() {
    let request = Request::get("/healthz")
        .header(header::CONTENT_LENGTH, 1 << 20)
        .body(Body::empty())
        .unwrap();
    let reply = reply(state(), request).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}
