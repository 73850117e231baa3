//! Who comes in, and what is asked of the API server for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;
use tower::ServiceExt;

use super::{Cluster, Reply, Shelf, canary, of, reply};
use crate::server::{State, app};

const WEB: &str = "/api/v1/namespaces/shop/canaries/web";

fn closed(cluster: &Cluster) -> State {
    let all = [canary("shop", "web", "Progressing")];
    of(&Shelf::with(all), cluster, false)
}

fn request(path: &str, authorization: &str) -> Request<Body> {
    let request = Request::get(path);
    let request = match authorization {
        "" => request,
        value => request.header(header::AUTHORIZATION, value),
    };
    request.body(Body::empty()).unwrap()
}

async fn get(state: &State, path: &str, authorization: &str) -> Reply {
    reply(state.clone(), request(path, authorization)).await
}

#[tokio::test(start_paused = true)]
async fn a_token_and_a_right_are_needed() {
    let long = format!("Bearer {}", "x".repeat(9000));
    let rows = [
        ("", 401),
        ("Bearer t-olga", 200),
        ("bearer   t-olga", 200),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("Bearer t-olga t-olga", 401),
        ("Basic dDpv", 401),
        (long.as_str(), 401),
        ("Bearer t-max", 403),
    ];
    for (authorization, status) in rows {
        let cluster = Cluster::default();
        let reply = get(&closed(&cluster), WEB, authorization).await;
        assert_eq!(reply.status.as_u16(), status, "{authorization}");
        if status != 200 {
            assert_eq!(reply.type_, "application/problem+json");
            assert!(!reply.body.contains("t-olga"), "{}", reply.body);
        }
        let asked = cluster.asked.lock().unwrap().len();
        assert!(asked <= 2, "{authorization}");
        assert!(
            authorization.len() < 9000 || asked == 0,
            "nobody is asked about rubbish"
        );
    }
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_say_it() {
    let response = app(closed(&Cluster::default()));
    let response = response.oneshot(request(WEB, "")).await.unwrap();
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn each_route_has_its_permission() {
    let rows = [
        ("/api/v1/canaries", "max: list canaries in all namespaces"),
        ("/api/v1/events", "max: list canaries in all namespaces"),
        (
            "/api/v1/events?namespace=shop",
            "max: list canaries in namespace shop",
        ),
        (
            "/api/v1/namespaces/shop/canaries",
            "max: list canaries in namespace shop",
        ),
        (WEB, "max: get canaries in namespace shop"),
        (
            "/api/v1/namespaces/shop/canaries/web/timeline",
            "max: get canaries in namespace shop",
        ),
        (
            "/api/v1/namespaces/shop/canaries/web/events",
            "max: get canaries in namespace shop",
        ),
    ];
    for (path, right) in rows {
        let cluster = Cluster::default();
        let refused = get(&closed(&cluster), path, "Bearer t-max").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(
            detail.replace(" has no permission to", ":"),
            right,
            "{path}"
        );
        cluster.rights.lock().unwrap().push(right.to_owned());
        let response = app(closed(&cluster));
        let response = response.oneshot(request(path, "Bearer t-max")).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_no_secret_only_for_those_who_may_look() {
    let state = closed(&Cluster::default());
    let path = "/api/v1/namespaces/shop/canaries/none";
    assert_eq!(get(&state, path, "Bearer t-max").await.status, 403);
    assert_eq!(get(&state, path, "Bearer t-olga").await.status, 404);
}

#[tokio::test]
async fn nobody_is_asked_about_what_cannot_be_there() {
    let cluster = Cluster::default();
    let state = closed(&cluster);
    assert_eq!(get(&state, WEB, "Bearer t-olga").await.status, 200);
    cluster.asked.lock().unwrap().clear();
    let long = format!("/api/v1/namespaces/{}/canaries", "x".repeat(254));
    for path in [
        "/api/v1/namespaces/a%0Ab/canaries",
        "/api/v1/namespaces/shop/canaries/Web",
        "/api/v1/namespaces/shop/canaries/a%2Fb/timeline",
        "/api/v1/events?namespace=%22",
        &long,
    ] {
        let reply = get(&state, path, "Bearer t-olga").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
    }
    assert!(cluster.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_are_believed_for_a_while() {
    let cluster = Cluster::default();
    let state = closed(&cluster);
    let ask = async |authorization| {
        let status = get(&state, WEB, authorization).await.status.as_u16();
        (
            status,
            std::mem::take(&mut *cluster.asked.lock().unwrap()).len(),
        )
    };
    let pass = tokio::time::advance;
    assert_eq!(ask("Bearer t-olga").await, (200, 2));
    assert_eq!(ask("Bearer t-olga").await, (200, 0));
    pass(Duration::from_secs(61)).await;
    assert_eq!(ask("Bearer t-olga").await, (200, 1), "whose token it is");
    pass(Duration::from_secs(301)).await;
    assert_eq!(ask("Bearer t-olga").await, (200, 2), "and what they may");
    for token in ["Bearer wrong", "Bearer t-max"] {
        let first = ask(token).await;
        assert!(first.1 > 0, "{token}");
        assert_eq!(ask(token).await, (first.0, 0), "{token}");
        pass(Duration::from_secs(31)).await;
        assert!(
            ask(token).await.1 > 0,
            "a refusal is asked for again: {token}"
        );
    }
    // What was allowed goes on while the API server is away; what is new does not.
    assert_eq!(ask("Bearer t-olga").await.0, 200);
    cluster.away.store(true, Ordering::Relaxed);
    assert_eq!(ask("Bearer t-olga").await, (200, 0));
    assert_eq!(ask("Bearer t-ada").await, (503, 0));
}

#[tokio::test]
async fn who_am_i() {
    let cluster = Cluster::default();
    let open = of(&Shelf::default(), &cluster, true);
    let closed = closed(&cluster);
    let rows = [
        (&open, "", 200, json!({"user": null, "anonymous": true})),
        (
            &open,
            "Bearer t-max",
            200,
            json!({"user": "max", "anonymous": false}),
        ),
        (
            &closed,
            "Bearer t-max",
            200,
            json!({"user": "max", "anonymous": false}),
        ),
    ];
    for (state, authorization, status, expected) in rows {
        let reply = get(state, "/api/v1/whoami", authorization).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (status, expected));
    }
    for (state, authorization) in [(&closed, ""), (&open, "Bearer wrong")] {
        let reply = get(state, "/api/v1/whoami", authorization).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{authorization}");
    }
}

#[tokio::test]
async fn open_doors_are_open_to_those_with_a_token_too() {
    let cluster = Cluster::default();
    let all = [canary("shop", "web", "Progressing")];
    let open = of(&Shelf::with(all), &cluster, true);
    for (authorization, status) in [("", 200), ("Bearer t-max", 200), ("Bearer wrong", 401)] {
        assert_eq!(get(&open, WEB, authorization).await.status, status);
    }
}
