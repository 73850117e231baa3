//! The controller's way to the API server, on which it can die, be slow, or meet faults.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use http::{Method, Request, Response};
use serin::cli::embedded;
use serin::sim::api::Api;
use serin::sim::requests;
use tokio::sync::watch;

use crate::story::chaos::Chaos;
use crate::story::crash::{Crash, Fate};

/// One way, for all clients of one controller.
pub(crate) struct Door {
    api: Api,
    crash: Option<Arc<Crash>>,
    chaos: Option<Arc<Chaos>>,
    lag: Duration,
    /// Nothing goes through while this is set.
    frozen: watch::Sender<bool>,
    calls: AtomicU64,
}

impl Door {
    /// A way to this server without hindrance.
    pub(crate) fn new(api: &Api) -> Self {
        Self {
            api: api.clone(),
            crash: None,
            chaos: None,
            lag: Duration::ZERO,
            frozen: watch::Sender::new(false),
            calls: AtomicU64::new(0),
        }
    }

    /// What watches tell comes late.
    pub(crate) fn late_by(mut self, lag: Duration) -> Self {
        self.lag = lag;
        self
    }

    /// The controller dies here.
    pub(crate) fn crashing(mut self, crash: Arc<Crash>) -> Self {
        self.crash = Some(crash);
        self
    }

    /// Faults are met here.
    pub(crate) fn with(mut self, chaos: Arc<Chaos>) -> Self {
        self.chaos = Some(chaos);
        self
    }

    /// Holds what is sent, or lets it go: what was held arrives then.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Requests that came to the server, but for watches and the lease's.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// A client of this way.
    pub(crate) fn client(self: &Arc<Self>) -> kube::Client {
        let door = self.clone();
        let send = move |request: Request<kube::client::Body>| {
            let door = door.clone();
            async move { Ok::<_, Infallible>(door.send(request.map(Body::new)).await) }
        };
        kube::Client::new(tower::service_fn(send), "default")
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        let mut frozen = self.frozen.subscribe();
        let _ = frozen.wait_for(|frozen| !frozen).await;
        let query = request.uri().query().unwrap_or_default();
        if query.contains("watch=") {
            return self.watch(request).await;
        }
        if !request.uri().path().contains("/leases") {
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
        let write = request.method() != Method::GET && !query.contains("dryRun");
        match &self.chaos {
            Some(chaos) => chaos.send(write, self.fated(write, request)).await,
            None => self.fated(write, request).await,
        }
    }

    /// Answers a request, unless the controller dies of it.
    async fn fated(&self, write: bool, request: Request<Body>) -> Response<Body> {
        let crash = self.crash.as_ref().filter(|_| write);
        let fate = crash.map_or(Fate::Lives, |crash| crash.next());
        if fate == Fate::DiesBefore {
            return self.die().await;
        }
        let reply = requests::answer(&self.api, &embedded::account(), request).await;
        if fate == Fate::DiesAfter {
            return self.die().await;
        }
        reply
    }

    async fn die(&self) -> Response<Body> {
        if let Some(crash) = &self.crash {
            crash.now.notify_one();
        }
        std::future::pending().await
    }

    async fn watch(&self, request: Request<Body>) -> Response<Body> {
        let reply = requests::answer(&self.api, &embedded::account(), request).await;
        let reply = match &self.chaos {
            Some(chaos) => chaos.watch(reply),
            None => reply,
        };
        if self.lag.is_zero() {
            return reply;
        }
        reply.map(|body| late(body, self.lag))
    }
}

/// What is told, told so much later.
fn late(body: Body, lag: Duration) -> Body {
    let told = body.into_data_stream().then(move |chunk| async move {
        tokio::time::sleep(lag).await;
        chunk
    });
    Body::from_stream(told)
}
