//! The gate as a webhook: two questions of API servers, answered over TLS.

mod keeper;
mod tls;

use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

pub use crate::server::webhook::keeper::{Keeper, keep};
pub use crate::server::webhook::tls::Served;

use crate::admission::hold::hold;
use crate::admission::review::{Answer, Question, Request};
use crate::admission::stamp::stamp;
use crate::telemetry::Telemetry;

/// Bytes that a question may have: an object twice, each at most as large as etcd takes it, with room to spare.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The routes, by the names of the webhooks.
pub fn app(telemetry: Telemetry) -> Router {
    Router::new()
        .route(
            "/hold",
            post(async |state, body| answer("hold", hold, state, body)),
        )
        .route(
            "/stamp",
            post(async |state, body| answer("stamp", stamp, state, body)),
        )
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(telemetry)
}

fn answer(
    webhook: &'static str,
    judge: fn(&Request) -> Vec<Value>,
    Extract(telemetry): Extract<Telemetry>,
    Json(question): Json<Question>,
) -> Json<Answer> {
    let operations = judge(&question.request);
    telemetry.reviewed(webhook, !operations.is_empty());
    Json(Answer::new(question.request.uid, operations))
}

#[cfg(test)]
mod tests;
