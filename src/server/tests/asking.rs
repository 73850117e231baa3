//! Verbs: what is written, and what is refused.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use futures::stream;
use serde_json::{Value, json};

use super::{Cluster, Reply, Shelf, canary, of, reply};
use crate::crd::canary::Canary;
use crate::server::State;
use crate::server::ask::NotWritten;

const WEB: &str = "/api/v1/namespaces/shop/canaries/web";

/// Verb, headers, body, and the status that follows.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16);

fn stage() -> (State, Cluster, Shelf) {
    let (cluster, shelf) = (
        Cluster::default(),
        Shelf::with([canary("shop", "web", "Progressing")]),
    );
    (of(&shelf, &cluster, true), cluster, shelf)
}

fn request(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn post(state: &State, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let olga = [
        ("authorization", "Bearer t-olga"),
        ("content-type", "application/json"),
    ];
    let headers = [&olga[..], headers].concat();
    reply(state.clone(), request(path, &headers, body.to_owned())).await
}

#[tokio::test]
async fn a_verb_is_written_in_the_name_of_the_person() {
    let (state, cluster, _) = stage();
    let body = r#"{"reason": "errors \"everywhere\"", "revision": "bbb"}"#;
    let taken = post(&state, &format!("{WEB}/abort"), &[], body).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.body);
    assert_eq!(
        taken.json(),
        json!({
            "id": "made-up", "verb": "abort", "namespace": "shop", "name": "web", "revision": "bbb",
            "message": "All traffic goes back to app:1 at once; app:2 is rejected and its Pods are deleted.",
        })
    );
    let written = cluster.written.lock().unwrap().pop().unwrap();
    assert_eq!(
        (
            written.text.as_str(),
            written.by.as_str(),
            written.told.as_str()
        ),
        (
            r#"{"verb":"abort","id":"made-up","reason":"errors 'everywhere'","revision":"bbb"}"#,
            "olga",
            "olga asked for abort of revision bbb: errors 'everywhere'",
        )
    );
}

#[tokio::test]
async fn what_cannot_be_used_is_refused() {
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(1001));
    let huge = format!(r#"{{"reason": "{}"}}"#, "x".repeat(70_000));
    let key = "k".repeat(129);
    let rows: [Row<'_>; 13] = [
        ("abort", &[], "{}", 202),
        ("abort", &[], "", 202),
        ("explode", &[], "{}", 404),
        ("abort", &[], "{", 422),
        ("abort", &[], r#"{"why": "x"}"#, 422),
        ("abort", &[], r#"{"reason": 1}"#, 422),
        ("abort", &[], r#"{"force": true}"#, 422),
        ("abort", &[], r#"{"revision": "a\"b"}"#, 422),
        ("abort", &[], r#"{"revision": ""}"#, 422),
        ("abort", &[], &long, 422),
        ("abort", &[], &huge, 413),
        ("abort", &[("idempotency-key", &key)], "", 422),
        ("abort", &[], r#"{"revision": "aaa"}"#, 409),
    ];
    for (verb, headers, body, status) in rows {
        let (state, cluster, _) = stage();
        let said = post(&state, &format!("{WEB}/{verb}"), headers, body).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!(
            said.status.as_u16(),
            status,
            "{verb} {shown}: {}",
            said.body
        );
        let written = cluster.written.lock().unwrap().len();
        assert_eq!(written, usize::from(status == 202), "{verb} {shown}");
    }
}

#[tokio::test]
async fn who_may_not_is_told_what_is_missing() {
    let (state, cluster, _) = stage();
    let path = format!("{WEB}/promote");
    let json = ("content-type", "application/json");
    let rows = [
        ("", "{}", 401, ""),
        ("Bearer wrong", "{}", 401, ""),
        (
            "Bearer t-max",
            "{}",
            403,
            "max has no permission to update canaries/promote in namespace shop",
        ),
        (
            "Bearer t-max",
            r#"{"force": true}"#,
            403,
            "max has no permission to update canaries/promote-full in namespace shop",
        ),
    ];
    for (authorization, body, status, detail) in rows {
        let headers = [("authorization", authorization), json];
        let headers = &headers[usize::from(authorization.is_empty())..];
        let said = reply(state.clone(), request(&path, headers, body)).await;
        assert_eq!(said.status.as_u16(), status, "{authorization} {body}");
        let told = said.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.contains(detail), "{told}");
    }
    assert!(cluster.written.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_fit_now_is_told_what_does() {
    let (state, ..) = stage();
    let said = post(&state, &format!("{WEB}/retry"), &[], "").await;
    assert_eq!(said.status, StatusCode::CONFLICT);
    assert_eq!(
        said.json()["allowed"],
        json!([
            "promote",
            "promote-full",
            "abort",
            "skip",
            "rollback",
            "restart",
            "undo"
        ])
    );
    let view = super::send(state.clone(), axum::http::Method::GET, WEB).await;
    let view = view.json();
    let offered = view["verbs"].as_array().unwrap().iter();
    let offered: Vec<_> = offered.map(|offer| offer["verb"].clone()).collect();
    assert_eq!(
        said.json()["allowed"],
        json!(offered),
        "the view says the same"
    );
    let path = "/api/v1/namespaces/shop/canaries/none/abort";
    assert_eq!(post(&state, path, &[], "").await.status, 404);
}

#[tokio::test]
async fn a_rollback_names_what_it_puts_back() {
    let (_, cluster, shelf) = stage();
    let mut idle = Canary::clone(&canary("shop", "web", "Succeeded"));
    let past = |revision: &str, outcome: &str| json!({"revision": revision, "images": [format!("app:{revision}")], "outcome": outcome, "endedAt": "2029-12-31T00:00:00Z"});
    let status = idle.status.as_mut().unwrap();
    status.history = serde_json::from_value(json!([
        past("aaa", "Promoted"),
        past("bad", "RolledBack"),
        past("v2", "Promoted"),
        past("v1", "Promoted"),
    ]))
    .unwrap();
    shelf.put(Arc::new(idle));
    let state = of(&shelf, &cluster, true);
    let view = super::send(state.clone(), axum::http::Method::GET, WEB).await;
    let view = view.json();
    let offered = view["history"].as_array().unwrap().iter();
    let offered: Vec<_> = offered.map(|past| past["rollback"].is_string()).collect();
    assert_eq!(offered, [false, false, true, true]);
    let path = format!("{WEB}/rollback");
    for (revision, status) in [("aaa", 409), ("bad", 409), ("none", 409), ("v1", 202)] {
        let body = json!({"revision": revision, "reason": "it worked"}).to_string();
        let said = post(&state, &path, &[], &body).await;
        assert_eq!(said.status.as_u16(), status, "{revision}: {}", said.body);
        if status == 202 {
            assert_eq!(said.json()["message"], view["history"][3]["rollback"]);
        }
    }
    let written = cluster.written.lock().unwrap();
    let texts: Vec<_> = written.iter().map(|order| order.text.as_str()).collect();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains(r#""to":"v1""#), "{texts:?}");
}

#[tokio::test]
async fn a_key_is_done_once() {
    let (state, cluster, shelf) = stage();
    let path = format!("{WEB}/abort");
    let key = [("idempotency-key", "k-1")];
    let first = post(&state, &path, &key, "{}").await;
    assert_eq!(first.json()["id"], "k-1");
    let again = post(&state, &path, &key, "{}").await;
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(cluster.written.lock().unwrap().len(), 1);
    let other = post(&state, &path, &key, r#"{"reason": "other"}"#).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    // Another replica knows of it by the status.
    let mut handled = Canary::clone(&canary("shop", "web", "Failed"));
    handled.status.as_mut().unwrap().last_request = serde_json::from_value(json!({
        "verb": "abort", "id": "k-1", "by": "olga", "at": "2030-01-01T00:00:00Z", "outcome": "Accepted", "message": "done",
    }))
    .unwrap();
    shelf.put(Arc::new(handled));
    let replica = of(&shelf, &cluster, true);
    let again = post(&replica, &path, &key, "{}").await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["message"]),
        (202, &json!("done"))
    );
    let other = post(&replica, &format!("{WEB}/retry"), &key, "{}").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(cluster.written.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_api_server_says_of_a_write_is_passed_on() {
    let rows = [
        (NotWritten::Missing, 404),
        (NotWritten::Busy("another stands there".to_owned()), 409),
        (NotWritten::Refused("no".to_owned()), 422),
        (NotWritten::Unanswered("refused 10.0.0.1".to_owned()), 503),
    ];
    for (failure, status) in rows {
        let (state, cluster, _) = stage();
        *cluster.refuses.lock().unwrap() = Some(failure);
        let said = post(&state, &format!("{WEB}/abort"), &[], "").await;
        assert_eq!(said.status.as_u16(), status, "{}", said.body);
        assert!(!said.body.contains("10.0.0.1"), "{}", said.body);
        assert!(status != 409 || said.json()["allowed"].is_array());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_and_one_of_another_kind_are_refused() {
    let (state, ..) = stage();
    let path = format!("{WEB}/abort");
    let olga = ("authorization", "Bearer t-olga");
    let slow = stream::pending::<Result<Bytes, Infallible>>();
    let said = reply(
        state.clone(),
        request(&path, &[olga], Body::from_stream(slow)),
    )
    .await;
    assert_eq!(said.status, StatusCode::REQUEST_TIMEOUT);
    for type_ in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [olga, ("content-type", type_)];
        let said = reply(state.clone(), request(&path, &headers, "{}")).await;
        assert_eq!(said.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{type_}");
    }
    let said = reply(state.clone(), request(&path, &[olga], "{}")).await;
    assert_eq!(said.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let headers = [olga, ("content-type", "application/json; charset=utf-8")];
    let said = reply(state, request(&path, &headers, "{}")).await;
    assert_eq!(said.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_wrong_method_of_a_verb_is_told_the_right_one() {
    let (state, ..) = stage();
    let request = Request::get(format!("{WEB}/abort"));
    let response =
        tower::ServiceExt::oneshot(super::app(state), request.body(Body::empty()).unwrap());
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "POST");
}

#[test]
fn a_request_is_never_longer_than_admission_takes() {
    let request = crate::crd::request::Request {
        reason: Some("r".repeat(1000)),
        revision: Some("v".repeat(128)),
        ..crate::crd::request::Request::new("promote-full", "%25".repeat(128))
    };
    let text: Value = serde_json::from_str(&request.text()).unwrap();
    assert!(text.is_object() && request.text().len() <= 2048);
}
