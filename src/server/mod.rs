//! The HTTP server of the controller: probes, metrics, a web page, and an API to read Canaries and to ask for verbs. It keeps nothing
//! that cannot be lost: what changed lately, and what the API server said of people.

pub mod access;
mod admit;
pub mod api;
pub mod ask;
mod cache;
mod events;
pub mod health;
pub mod listen;
pub mod openapi;
pub mod problem;
pub mod recorder;
mod routes;
pub mod selector;
pub mod timeline;
pub mod tls;
mod ui;
pub mod view;
mod wanted;
pub mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

use crate::crd::canary::Canary;
use crate::server::access::Access;
use crate::server::ask::Desk;
use crate::server::health::Health;
use crate::server::problem::Problem;
use crate::server::recorder::Recorder;
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
    /// What changed lately, and who is told.
    pub recorder: Recorder,
    /// Who may come in.
    pub access: Access,
    /// Where requests go.
    pub desk: Desk,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("health", &self.health)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// Every route of the server.
pub fn app(state: State) -> Router {
    routes::router(&state)
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
        "{} does not go with {}; the header Allow says what does",
        request.method(),
        request.uri().path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Holds every request to the limits, and marks every reply as not to be guessed at, nor cached unless it says otherwise.
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
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
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
