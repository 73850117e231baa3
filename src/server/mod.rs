//! The HTTP server of the controller: probes, metrics, and an API to read Canaries. It holds no state of its own.

pub mod api;
pub mod health;
pub mod listen;
pub mod problem;
pub mod selector;
pub mod view;
pub mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::crd::canary::Canary;
use crate::server::health::Health;
use crate::server::problem::Problem;
use crate::telemetry::{OPEN_METRICS, Telemetry};

/// Bytes that a request's body may have.
pub const BODY_LIMIT: usize = 64 * 1024;
/// How long a request may take.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Gives a snapshot of the Canaries of one namespace, or of all, from a cache.
pub type Canaries = Arc<dyn Fn(Option<&str>) -> Vec<Arc<Canary>> + Send + Sync>;

/// What the server answers from.
#[derive(Clone)]
pub struct State {
    /// The Canaries.
    pub canaries: Canaries,
    /// What the controller still waits for before it is ready.
    pub health: Health,
    /// Our metrics.
    pub telemetry: Telemetry,
    /// Everybody who reaches the server may read Canaries. Without it the API answers 401.
    pub anonymous_reads: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("health", &self.health)
            .field("anonymous_reads", &self.anonymous_reads)
            .finish_non_exhaustive()
    }
}

/// Every route of the server.
pub fn app(state: State) -> Router {
    let api = Router::new()
        .route("/canaries", get(api::list))
        .route("/namespaces/{namespace}/canaries", get(api::list_namespace))
        .route("/namespaces/{namespace}/canaries/{name}", get(api::one))
        .route_layer(from_fn_with_state(state.clone(), health::once_ready))
        .route_layer(from_fn_with_state(state.clone(), allow_reads));
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics))
        .nest("/api/v1", api)
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(guard))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

async fn metrics(Extract(state): Extract<State>) -> impl IntoResponse {
    let text = state.telemetry.encode(&(state.canaries)(None));
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}

async fn no_such_route(request: Request) -> Problem {
    let detail = format!("there is nothing at {}", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!(
        "{} does not go with {}; it can be read with GET and HEAD",
        request.method(),
        request.uri().path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Lets readers in. Who somebody is cannot be asked yet, so it is everybody or nobody.
async fn allow_reads(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    if state.anonymous_reads {
        return next.run(request).await;
    }
    let detail = "reading Canaries here is off: start the controller with --anonymous-reads, or use kubectl or the serin command";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    let scheme = HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, scheme);
    response
}

/// Holds every request to the limits, and marks every reply as not to be cached or guessed at.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if declared_length(&request) > BODY_LIMIT as u64 {
        let detail = format!("a body may have {BODY_LIMIT} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response()
    } else {
        tokio::time::timeout(REQUEST_DEADLINE, next.run(request))
            .await
            .unwrap_or_else(|_| too_slow())
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

fn declared_length(request: &Request) -> u64 {
    request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

fn too_slow() -> Response {
    let detail = format!("no answer within {} s", REQUEST_DEADLINE.as_secs());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}

#[cfg(test)]
mod tests;
