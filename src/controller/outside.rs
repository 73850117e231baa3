//! Ways out, to others than the API server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::controller::ask::text;
use crate::controller::queue::Queue;
use crate::http_client::{Certificate, Http};
use crate::metrics::MetricError;
use crate::metrics::punctual::punctual;
use crate::metrics::store::Store;
use crate::telemetry::Telemetry;

/// Deadline of a metric query (SAFETY, waits).
const QUERY: Duration = Duration::from_secs(5);

/// What is needed to ask somebody beside the ticks: his address, his credentials, and a way to call the Canary that waits.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(super) cluster: Cluster,
    pub(super) http: Http,
    pub(super) telemetry: Telemetry,
    pub(super) queue: Arc<Queue>,
}

/// Asks metrics servers, and takes the time.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(super) http: Http,
    pub(super) telemetry: Telemetry,
    pub(super) clock: Clock,
}

impl Caller {
    /// Sends a request to a server of this kind.
    pub(crate) async fn send(
        &self,
        store: Store,
        certificate: Certificate,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, MetricError> {
        let began = self.clock.now();
        let reply = self.http.send_to(certificate, request, QUERY).await;
        let seconds = self.clock.now().duration_since(began).as_secs_f64();
        self.telemetry.provider_request(
            store.name(),
            if reply.is_ok() { "answered" } else { "failed" },
            seconds,
        );
        let reply = reply.map_err(|error| MetricError::Unreachable(text(&error)))?;
        punctual(&reply, self.clock.now())?;
        Ok(reply)
    }
}
