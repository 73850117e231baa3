//! Whether the controller lives, and whether it is ready to work.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::server::State;
use crate::server::problem::Problem;

/// What the controller still waits for. A clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeSet<String>>>);

impl Health {
    /// Not ready until each of these parts, for instance caches by their resource, is there.
    #[must_use]
    pub fn waiting_for(parts: &[&str]) -> Self {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        Self(Arc::new(Mutex::new(parts)))
    }

    /// This part is there.
    pub fn synced(&self, part: &str) {
        self.parts().remove(part);
    }

    /// This part has to be waited for (again).
    pub fn lost(&self, part: &str) {
        self.parts().insert(part.to_owned());
    }

    /// What is missing, in the order of the alphabet.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.parts().iter().cloned().collect()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /healthz`: whoever can answer lives.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: ready once nothing is missing.
pub(super) async fn ready(Extract(state): Extract<State>) -> Response {
    refusal(&state.health).unwrap_or_else(|| "ok\n".into_response())
}

/// Lets a request on once nothing is missing: before that, a list would lack what is there.
pub(super) async fn once_ready(
    Extract(state): Extract<State>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&state.health) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn refusal(health: &Health) -> Option<Response> {
    let missing = health.missing();
    if missing.is_empty() {
        return None;
    }
    let detail = format!("not ready: waiting for {}", missing.join(", "));
    Some(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response())
}
