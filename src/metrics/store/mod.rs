//! Values from stores of metrics other than Prometheus, and from Prometheus with credentials (PROVIDERS 3.2): what each is asked, and
//! what its answer says. A value, no data, or an error: never a guess.

mod check;
mod cloudwatch;
mod datadog;
mod dynatrace;
mod external;
pub mod grant;
mod graphite;
mod influxdb;
mod newrelic;
mod sigv4;
mod splunk;
mod stackdriver;
#[cfg(test)]
mod tests;
mod web;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use serde::de::DeserializeOwned;

use crate::crd::bound::{self, Keys};
use crate::crd::metric_template::MetricServer;
use crate::crd::moment::Moment;
use crate::metrics::{MetricError, address_problem, prometheus};

pub use crate::metrics::store::check::{least_window, problem};

/// Where Splunk runs programs, if an address is that of the rest of its API.
#[must_use]
pub fn splunk_stream(address: &str) -> Option<String> {
    splunk::stream(address)
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Prometheus, and whoever speaks as it does.
    Prometheus,
    /// Amazon CloudWatch.
    CloudWatch,
    /// Datadog.
    Datadog,
    /// Dynatrace.
    Dynatrace,
    /// The API of external metrics of Kubernetes.
    ExternalMetrics,
    /// Graphite.
    Graphite,
    /// InfluxDB 2.
    InfluxDb,
    /// New Relic.
    NewRelic,
    /// Splunk Observability Cloud.
    Splunk,
    /// Google Cloud Monitoring, which was called Stackdriver.
    Stackdriver,
    /// Any server that answers with JSON.
    Web,
}

impl Store {
    /// Every store.
    const ALL: [Self; 11] = [
        Self::Prometheus,
        Self::CloudWatch,
        Self::Datadog,
        Self::Dynatrace,
        Self::ExternalMetrics,
        Self::Graphite,
        Self::InfluxDb,
        Self::NewRelic,
        Self::Splunk,
        Self::Stackdriver,
        Self::Web,
    ];

    /// The store of a type; `None`: it is not asked yet, or unknown.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|store| store.name() == name)
    }

    /// Its type, as templates write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::CloudWatch => "cloudwatch",
            Self::Datadog => "datadog",
            Self::Dynatrace => "dynatrace",
            Self::ExternalMetrics => "externalmetrics",
            Self::Graphite => "graphite",
            Self::InfluxDb => "influxdb",
            Self::NewRelic => "newrelic",
            Self::Splunk => "splunk",
            Self::Stackdriver => "stackdriver",
            Self::Web => "web",
        }
    }

    /// Where it is if the template does not say so; `None`: nobody knows. That of Prometheus is the Canary's metrics server.
    #[must_use]
    pub fn usual(self, provider: &MetricServer) -> Option<Server<'static>> {
        match self {
            Self::CloudWatch => {
                let address = cloudwatch::usual(provider.region.as_deref()?)?;
                Some(Server::At(address.into()))
            }
            Self::Datadog => Some(Server::at(datadog::USUAL)),
            Self::ExternalMetrics => Some(Server::Cluster),
            Self::NewRelic => Some(Server::at(newrelic::USUAL)),
            Self::Stackdriver => Some(Server::at(stackdriver::USUAL)),
            _ => None,
        }
    }
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server<'a> {
    /// A server at this address.
    At(Cow<'a, str>),
    /// The API server, with Serin's own account: a request to it is a path.
    Cluster,
}

impl<'a> Server<'a> {
    /// A server at an address.
    #[must_use]
    pub fn at(address: &'a str) -> Self {
        Self::At(address.into())
    }

    /// Its address; none for the API server.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::At(address) => Some(address),
            Self::Cluster => None,
        }
    }
}

/// A question for one value, over one window.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The server as a template describes it; `None`: there is no template.
    pub provider: Option<&'a MetricServer>,
    /// Who is asked.
    pub server: &'a Server<'a>,
    /// Namespace of the Canary.
    pub home: &'a str,
    /// The query, with its values.
    pub query: &'a str,
    /// Begin of the window.
    pub from: Moment,
    /// End of the window.
    pub to: Moment,
    /// When it is asked.
    pub now: Moment,
    /// The keys of the template's Secret, if it names one.
    pub secret: Option<Keys<'a>>,
    /// The token that was lent for them, where [`grant::grant`] says that one is wanted.
    pub access: Option<&'a str>,
}

impl Question<'_> {
    /// A key that the Secret must have.
    fn key(&self, name: &str) -> Result<String, MetricError> {
        let found = self.secret.and_then(|secret| secret(name));
        let found = found.map(|text| text.trim().to_owned());
        found.ok_or_else(|| {
            let why = format!("there is no key {name} in the Secret of spec.provider.secretRef");
            MetricError::Rejected(why)
        })
    }

    /// The address with this path behind it; of the API server the path alone.
    fn at(&self, path: &str) -> String {
        let address = self.server.address().unwrap_or_default();
        format!("{}{path}", address.trim_end_matches('/'))
    }

    /// The value of the newest point of this length that lies in the window as a whole. Times of points are their begins, in
    /// milliseconds, as the length is.
    fn newest_whole(&self, length: f64, points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
        let [from, to] = [self.from, self.to].map(|moment| moment.as_seconds() * 1e3);
        let whole = points.filter(|(at, _)| *at >= from && at + length <= to);
        let newest = whole.max_by(|(one, _), (other, _)| one.total_cmp(other));
        newest.map(|(_, value)| value)
    }

    fn seconds(&self) -> (i64, i64) {
        let second = |moment: Moment| moment.timestamp().as_second();
        (second(self.from), second(self.to))
    }
}

/// The request that asks.
///
/// # Errors
///
/// If the address cannot be used, the Secret lacks a key, or is for another address.
pub fn request(store: Store, question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let headers = question.provider.map(|it| &it.headers);
    let headers = headers.into_iter().flatten();
    match question.server {
        Server::At(address) => check_address(address, question.secret)?,
        Server::Cluster if question.secret.is_some() || headers.clone().next().is_some() => {
            let why = "headers and credentials are for a server at an address";
            return Err(MetricError::Rejected(why.to_owned()));
        }
        Server::Cluster => {}
    }
    let mut request = match store {
        Store::Prometheus => prometheus::request(&question.at(""), question.query, question.to)?,
        Store::CloudWatch => cloudwatch::request(question)?,
        Store::Datadog => datadog::request(question)?,
        Store::Dynatrace => dynatrace::request(question)?,
        Store::ExternalMetrics => external::request(question)?,
        Store::Graphite => graphite::request(question)?,
        Store::InfluxDb => influxdb::request(question)?,
        Store::NewRelic => newrelic::request(question)?,
        Store::Splunk => splunk::request(question)?,
        Store::Stackdriver => stackdriver::request(question)?,
        Store::Web => web::request(question)?,
    };
    let prove_usually = matches!(
        store,
        Store::Prometheus | Store::ExternalMetrics | Store::Graphite | Store::Web
    );
    if prove_usually {
        prove(&mut request, question)?;
    }
    for (name, values) in headers {
        for value in values {
            put(&mut request, name, value, false)?;
        }
    }
    Ok(request)
}

/// Whether a server can be asked at an address, with this Secret.
fn check_address(address: &str, secret: Option<Keys<'_>>) -> Result<(), MetricError> {
    if let Some(why) = address_problem(address) {
        let message = format!("the address of the metrics server {why}");
        return Err(MetricError::Rejected(message));
    }
    let bound = secret.map_or(Ok(()), |secret| bound::may_go(address, secret));
    bound.map_err(|why| MetricError::Rejected(why.to_owned()))
}

/// The value that an answer holds; `None`: no data.
///
/// # Errors
///
/// If the answer is none, or holds several values: which one was meant is not Serin's to choose.
pub fn value(
    store: Store,
    question: &Question<'_>,
    answer: &Response<Bytes>,
) -> Result<Option<f64>, MetricError> {
    let value = match store {
        Store::Prometheus | Store::Stackdriver => return prometheus::value(answer),
        _ if !answer.status().is_success() => return Err(refusal(store, question, answer)),
        Store::CloudWatch => cloudwatch::value(question, answer)?,
        Store::Datadog => datadog::value(answer, question.to)?,
        Store::Dynatrace => dynatrace::value(answer)?,
        Store::ExternalMetrics => external::value(question, answer)?,
        Store::Graphite => graphite::value(answer)?,
        Store::InfluxDb => influxdb::value(answer)?,
        Store::NewRelic => newrelic::value(answer)?,
        Store::Splunk => splunk::value(question, answer)?,
        Store::Web => {
            let path = question.provider.and_then(|it| it.json_path.as_deref());
            web::value(answer, path.unwrap_or("$"))?
        }
    };
    Ok(value.filter(|value| value.is_finite()))
}

/// Asking again cannot help if the question or the credentials are wrong. 408 and 429 are about time.
fn refusal(store: Store, question: &Question<'_>, answer: &Response<Bytes>) -> MetricError {
    let status = answer.status();
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    let busy = store == Store::CloudWatch && cloudwatch::is_busy(answer);
    if *question.server == Server::Cluster && status == StatusCode::FORBIDDEN {
        return MetricError::Rejected(format!(
            "Serin may not read external metrics in {:?}: bind ClusterRole serin-external-metrics to its account there",
            question.home
        ));
    }
    let message = format!("the metrics server says {status}");
    if status.is_client_error() && !later.contains(&status) && !busy {
        MetricError::Rejected(message)
    } else {
        MetricError::Unreachable(message)
    }
}

/// `token`, or `username` and `password`, where a store has no way of its own.
fn prove(request: &mut Request<Bytes>, question: &Question<'_>) -> Result<(), MetricError> {
    let Some(secret) = question.secret else {
        return Ok(());
    };
    let value = match (secret("token"), secret("username")) {
        (Some(token), _) => format!("Bearer {}", token.trim()),
        (None, Some(user)) => {
            let pair = format!("{}:{}", user.trim(), question.key("password")?);
            format!("Basic {}", STANDARD.encode(pair))
        }
        (None, None) => {
            let why = "the Secret of spec.provider.secretRef has neither token, nor username and password";
            return Err(MetricError::Rejected(why.to_owned()));
        }
    };
    put(request, header::AUTHORIZATION.as_str(), &value, true)
}

/// Adds a header; a secret one is not printed.
fn put(
    request: &mut Request<Bytes>,
    name: &str,
    value: &str,
    secret: bool,
) -> Result<(), MetricError> {
    let wrong = || MetricError::Rejected(format!("header {name:?} cannot be sent"));
    let header = HeaderName::try_from(name).map_err(|_| wrong())?;
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
    value.set_sensitive(secret);
    request.headers_mut().append(header, value);
    Ok(())
}

fn get(url: &str) -> Result<Request<Bytes>, MetricError> {
    let url: Uri = url
        .parse()
        .map_err(|_| MetricError::Rejected("address and query together are no URL".to_owned()))?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(url)
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new());
    request.map_err(|error| MetricError::Rejected(error.to_string()))
}

/// An answer in JSON.
fn json<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, MetricError> {
    serde_json::from_slice(answer.body())
        .map_err(|_| nonsense("the metrics server answers in a form that is not its own"))
}

fn nonsense(why: &str) -> MetricError {
    MetricError::Unreachable(why.to_owned())
}

/// The only one of several; none is no data.
fn only<T>(found: Vec<T>, what: &str) -> Result<Option<T>, MetricError> {
    if found.len() > 1 {
        let message = format!("the query finds {} {what} where it needs one", found.len());
        return Err(MetricError::Rejected(message));
    }
    Ok(found.into_iter().next())
}
