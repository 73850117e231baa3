//! Faults by chance, from a seed: an API server that is slow, refuses, or loses its answers, and watches that lag, end, or are told
//! that they are too old (SAFETY, faults F1 to F6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use http::{Response, StatusCode};
use serde_json::json;
use serin::sim::seed::Seed;

/// The faults of one story, while they last.
#[derive(Debug)]
pub(crate) struct Chaos {
    chance: Mutex<Seed>,
    /// Of a hundred requests so many meet a fault.
    percent: u64,
    over: AtomicBool,
}

impl Chaos {
    /// Faults from this seed, for so many of a hundred requests.
    pub(crate) fn new(seed: u64, percent: u64) -> Arc<Self> {
        Arc::new(Self {
            chance: Mutex::new(Seed::new(seed).fork("chaos")),
            percent,
            over: AtomicBool::new(false),
        })
    }

    /// No more faults from now on.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// A number below this one.
    fn below(&self, bound: u64) -> u64 {
        self.chance.lock().unwrap().below(bound)
    }

    fn strikes(&self) -> bool {
        !self.over.load(Ordering::SeqCst) && self.below(100) < self.percent
    }

    /// What becomes of a request that `answer` would answer.
    pub(crate) async fn send(
        &self,
        write: bool,
        answer: impl Future<Output = Response<Body>>,
    ) -> Response<Body> {
        if !self.strikes() {
            return answer.await;
        }
        match self.below(if write { 6 } else { 4 }) {
            0 => refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            1 => refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            2 => refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            3 => {
                tokio::time::sleep(Duration::from_millis(self.below(15_000))).await;
                answer.await
            }
            4 => refusal(StatusCode::CONFLICT, "Conflict"),
            _ => {
                // It took effect, and nobody is told.
                answer.await;
                refusal(StatusCode::GATEWAY_TIMEOUT, "Timeout")
            }
        }
    }

    /// What becomes of a watch.
    pub(crate) fn watch(self: &Arc<Self>, reply: Response<Body>) -> Response<Body> {
        if !reply.status().is_success() || !self.strikes() {
            return reply;
        }
        if self.below(4) == 0 {
            return refusal(StatusCode::GONE, "Expired");
        }
        let chaos = self.clone();
        reply.map(|body| Body::from_stream(chaos.mangled(body)))
    }

    /// What a watch tells: some of it late, and at some time an end, or the word that it is too old.
    fn mangled(
        self: Arc<Self>,
        body: Body,
    ) -> impl futures::Stream<Item = Result<Bytes, axum::Error>> + Send + use<> {
        let mut left = 1 + self.below(12);
        let told = body.into_data_stream().then(move |chunk| {
            let chaos = self.clone();
            let last = left == 0;
            left = left.saturating_sub(1);
            async move {
                if chaos.strikes() {
                    tokio::time::sleep(Duration::from_millis(chaos.below(4_000))).await;
                }
                if !last || chaos.over.load(Ordering::SeqCst) {
                    return Some(chunk);
                }
                (chaos.below(2) == 0).then(|| Ok(Bytes::from(too_old())))
            }
        });
        told.take_while(|chunk| std::future::ready(chunk.is_some()))
            .filter_map(std::future::ready)
    }
}

fn too_old() -> String {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410});
    format!("{}\n", json!({"type": "ERROR", "object": status}))
}

fn refusal(code: StatusCode, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "an injected fault", "reason": reason, "code": code.as_u16()});
    let reply = Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(status.to_string()));
    reply.unwrap()
}
