//! Somebody who is called by hooks, in all moods (SAFETY, fault F13): silent, dripping, late, endless, or pointing elsewhere.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

/// How a hook answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 200.
    Yes,
    /// 403, as Flagger's load tester says while a gate is closed.
    No,
    /// 503.
    Down,
    /// Never.
    Silent,
    /// A byte every other second, for ever.
    Dripping,
    /// 200, after the deadline.
    Late,
    /// 302, to somewhere else.
    Elsewhere,
    /// 200, and more than anybody reads.
    Endless,
    /// 200, and half of a verdict.
    Cut,
}

/// Hooks by name, with how they answer and what they were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    moods: BTreeMap<String, Mood>,
    /// Bodies, with the header that proves who calls, by hook.
    calls: Vec<(String, Value)>,
}

impl Hooks {
    /// From now on this hook answers like this; else it says yes.
    pub(crate) fn set(&self, name: &str, mood: Mood) {
        self.0.lock().unwrap().moods.insert(name.to_owned(), mood);
    }

    /// What a hook was sent so far.
    pub(crate) fn calls(&self, name: &str) -> Vec<Value> {
        let inner = self.0.lock().unwrap();
        let calls = inner.calls.iter().filter(|(hook, _)| hook == name);
        calls.map(|(_, body)| body.clone()).collect()
    }

    /// Keys of the calls of a hook, in their order.
    pub(crate) fn keys(&self, name: &str) -> Vec<String> {
        let calls = self.calls(name);
        let key = |call: &Value| call["serin"]["idempotencyKey"].as_str().map(str::to_owned);
        calls.iter().filter_map(key).collect()
    }

    /// `POST /hook/NAME`, beside other routes.
    pub(crate) fn on(&self, router: Router) -> Router {
        let hooks = Router::new()
            .route("/hook/{name}", post(answer))
            .with_state(self.clone());
        router.merge(hooks)
    }
}

async fn answer(
    State(hooks): State<Hooks>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mood = {
        let mut inner = hooks.0.lock().unwrap();
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        let proof = headers.get(header::AUTHORIZATION);
        body["authorization"] = proof.map_or(Value::Null, |it| it.to_str().unwrap().into());
        inner.calls.push((name.clone(), body));
        inner.moods.get(&name).copied().unwrap_or(Mood::Yes)
    };
    match mood {
        Mood::Yes => StatusCode::OK.into_response(),
        Mood::No => StatusCode::FORBIDDEN.into_response(),
        Mood::Down => (StatusCode::SERVICE_UNAVAILABLE, "secret").into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Dripping => {
            let drops = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
            });
            Body::from_stream(drops).into_response()
        }
        Mood::Late => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
        Mood::Elsewhere => (
            StatusCode::FOUND,
            [(header::LOCATION, "http://elsewhere/hook/yes")],
        )
            .into_response(),
        Mood::Endless => vec![b' '; 8 << 20].into_response(),
        Mood::Cut => r#"{"verdict": "abo"#.into_response(),
    }
}
