use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::health::Health;
use super::{State, app};
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
    State {
        canaries: Arc::new(move |namespace| {
            let here = |canary: &&Arc<Canary>| namespace.is_none_or(|name| name == canary.home());
            all.iter().filter(here).cloned().collect()
        }),
        health: Health::default(),
        telemetry: Telemetry::new("gatewayapi:v1"),
        anonymous_reads: true,
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
    expect_test::expect_file!["../../tests/golden/server/canary.json"].assert_eq(&text);
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
        anonymous_reads: false,
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
async fn a_huge_body_is_refused_unread() {
    let request = Request::get("/healthz")
        .header(header::CONTENT_LENGTH, 1 << 20)
        .body(Body::empty())
        .unwrap();
    let reply = reply(state(), request).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}
