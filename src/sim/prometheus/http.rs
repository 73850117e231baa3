//! The HTTP API as a service, for a client that needs no socket.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::sim::prometheus::{Prometheus, locked};

/// Longest form that is read, in bytes: more than a batch of questions has.
const MAX_FORM: usize = 1024 * 1024;

/// Answers as the server of this Prometheus.
pub fn router(prometheus: Arc<Mutex<Prometheus>>) -> Router {
    Router::new().fallback(answer).with_state(prometheus)
}

async fn answer(State(prometheus): State<Arc<Mutex<Prometheus>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_FORM).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = head.uri.query().unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    let (status, reply) = locked(&prometheus).answer(head.uri.path(), query, &body);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match reply {
        Value::String(text) => (status, text).into_response(),
        reply => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (status, json, reply.to_string()).into_response()
        }
    }
}
