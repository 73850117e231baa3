//! The gate as a webhook: two questions of API servers, answered over TLS.

mod keeper;

use std::sync::{Arc, OnceLock};

use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

pub use crate::server::webhook::keeper::{Keeper, keep};

use crate::admission::hold::hold;
use crate::admission::review::{Answer, Question, Request};
use crate::admission::stamp::stamp;
use crate::telemetry::Telemetry;

/// Bytes that a question may have: an object twice, each at most as large as etcd takes it, with room to spare.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The name of Serin's own account, once it is known. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Own(Arc<OnceLock<String>>);

impl Own {
    /// A name that is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let own = Self::default();
        own.learn(name.to_owned());
        own
    }

    /// The name, if it is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn learn(&self, name: String) {
        // Whoever was first has learned the same.
        let _ = self.0.set(name);
    }
}

#[derive(Clone)]
struct State {
    telemetry: Telemetry,
    own: Own,
}

/// The routes, by the names of the webhooks.
pub fn app(telemetry: Telemetry, own: Own) -> Router {
    let held = |question: &Request, _: Option<&str>| hold(question);
    Router::new()
        .route(
            "/hold",
            post(async move |state, body| answer("hold", held, state, body)),
        )
        .route(
            "/stamp",
            post(async |state, body| answer("stamp", stamp, state, body)),
        )
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(State { telemetry, own })
}

fn answer(
    webhook: &'static str,
    judge: fn(&Request, Option<&str>) -> Vec<Value>,
    Extract(state): Extract<State>,
    Json(question): Json<Question>,
) -> Json<Answer> {
    let operations = judge(&question.request, state.own.name());
    state.telemetry.reviewed(webhook, !operations.is_empty());
    Json(Answer::new(question.request.uid, operations))
}

#[cfg(test)]
mod tests;
