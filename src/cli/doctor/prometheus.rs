//! Asks metrics servers about what runs now: by way of the API server where they are Services of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::analysis::Counter;
use crate::cli::doctor::controller::Install;
use crate::cli::doctor::look;
use crate::cli::doctor::series::{Measured, Way};
use crate::clock::Clock;
use crate::http_client::Http;
use crate::metrics::MetricError;
use crate::metrics::batch::{self, Batch, Question};
use crate::metrics::prometheus;
use crate::metrics::punctual::punctual;

/// Deadline of a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which Canary asks, by its position, and for which metric.
pub(super) type Id = (usize, String);

/// Asks on behalf of the controller.
pub(super) struct Asker<'a> {
    /// The API server.
    pub(super) client: &'a Client,
    /// Servers outside of the cluster; `None`: they are not asked.
    pub(super) outside: Option<&'a Http>,
    /// The controller, whose own server is the only one outside that is asked: anybody who writes a Canary chooses the others.
    pub(super) install: &'a Install,
    /// The time.
    pub(super) clock: Clock,
}

impl Asker<'_> {
    /// What is counted for stable.
    pub(super) async fn counters(&self, questions: Vec<Question<Id>>) -> BTreeMap<Id, Measured> {
        let batches = batch::group(questions);
        let answers = look::each(batches, |batch| self.batch(batch)).await;
        answers.into_iter().flatten().collect()
    }

    /// A batch that is refused is asked by halves, so that one bad question spoils no other.
    async fn batch(&self, batch: Batch<Id>) -> Vec<(Id, Measured)> {
        let mut open = vec![batch];
        let mut answers = Vec::new();
        while let Some(batch) = open.pop() {
            let ids: Vec<Id> = batch.ids().cloned().collect();
            match self.once(&batch).await {
                Ok(found) => answers.extend(found),
                Err(Measured::Refused(why)) => match batch.split() {
                    Some((one, other)) => open.extend([one, other]),
                    None => answers.extend(
                        ids.into_iter()
                            .map(|id| (id, Measured::Refused(why.clone()))),
                    ),
                },
                Err(other) => answers.extend(ids.into_iter().map(|id| (id, other.clone()))),
            }
        }
        answers
    }

    async fn once(&self, batch: &Batch<Id>) -> Result<Vec<(Id, Measured)>, Measured> {
        let request = batch.request().map_err(failed)?;
        let reply = self.send(batch.server(), request).await?;
        let found = prometheus::parse(&reply, batch).map_err(failed)?;
        let of = |counters: Result<Vec<Counter>, MetricError>| {
            counters.map_or_else(failed, |counters| {
                match counters.iter().filter(|one| !one.canary).count() {
                    0 => Measured::Nothing,
                    count => Measured::There(count),
                }
            })
        };
        let measured = found.into_iter().map(of);
        Ok(batch.ids().cloned().zip(measured).collect())
    }

    /// What a query comes to.
    pub(super) async fn value(
        &self,
        server: &str,
        request: Result<Request<Bytes>, MetricError>,
    ) -> Measured {
        let request = match request {
            Ok(request) => request,
            Err(error) => return failed(error),
        };
        let reply = match self.send(server, request).await {
            Ok(reply) => reply,
            Err(measured) => return measured,
        };
        match prometheus::value(&reply) {
            Ok(Some(_)) => Measured::There(1),
            Ok(None) => Measured::Nothing,
            Err(error) => failed(error),
        }
    }

    async fn send(
        &self,
        server: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Measured> {
        let reply = match Way::to(server, &self.install.namespace) {
            Some(Way::Service {
                namespace,
                service,
                path,
                name,
                certain,
            }) => {
                let base = format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path}");
                match self.proxied(&base, request.clone()).await? {
                    Some(reply) => reply,
                    None if certain => {
                        return Err(Measured::Down(format!(
                            "there is no Service {name} in namespace {namespace}"
                        )));
                    }
                    None => self.outside(server, request).await?,
                }
            }
            Some(Way::Outside) => self.outside(server, request).await?,
            None => {
                return Err(Measured::Refused(
                    "the address of the metrics server is no URL".to_owned(),
                ));
            }
        };
        punctual(&reply, self.clock.now()).map_err(failed)?;
        Ok(reply)
    }

    /// By way of the API server; `None`: there is no such Service.
    async fn proxied(
        &self,
        base: &str,
        request: Request<Bytes>,
    ) -> Result<Option<Response<Bytes>>, Measured> {
        let (mut parts, body) = request.into_parts();
        let uri = format!("{base}/api/v1/query").parse::<Uri>();
        parts.uri = uri.map_err(|error| Measured::Refused(error.to_string()))?;
        let request = Request::from_parts(parts, Body::from(body.to_vec()));
        let reply = answered(self.client, request)
            .await
            .map_err(Measured::Unasked)?;
        let Some((code, message)) = own_words(&reply) else {
            return Ok(Some(reply));
        };
        match code {
            404 => Ok(None),
            401 | 403 => Err(Measured::Unasked(message)),
            _ => Err(Measured::Down(message)),
        }
    }

    async fn outside(
        &self,
        server: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Measured> {
        let is_own = self.install.metrics_server.as_deref() == Some(server);
        let Some(http) = self.outside.filter(|_| is_own) else {
            return Err(Measured::Unasked(
                "its server is no Service of the cluster, and the controller alone asks it"
                    .to_owned(),
            ));
        };
        let reply = http.send(request, PATIENCE).await;
        reply
            .map_err(|error| Measured::Unasked(format!("its server does not answer here: {error}")))
    }
}

/// The reply of the API server, or of whom it asks, whatever it says.
///
/// # Errors
/// When there is none.
pub(super) async fn answered(
    client: &Client,
    request: Request<Body>,
) -> Result<Response<Bytes>, String> {
    let asking = async {
        let reply = client.send(request).await.map_err(look::words)?;
        let (parts, body) = reply.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// What the API server says itself, if the reply is its own: its code and its message.
pub(super) fn own_words(reply: &Response<Bytes>) -> Option<(u16, String)> {
    let said: Value = serde_json::from_slice(reply.body()).ok()?;
    let is_own = said["kind"] == "Status" && said["apiVersion"] == "v1";
    is_own.then(|| {
        (
            reply.status().as_u16(),
            look::text(&said, "/message").to_owned(),
        )
    })
}

fn failed(error: MetricError) -> Measured {
    match error {
        MetricError::Rejected(why) => Measured::Refused(why),
        other => Measured::Down(other.to_string()),
    }
}
