//! Requests to other people's servers: every one with a deadline, every reply with a limit in bytes, and no server asked
//! more than it bears.

pub mod guard;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryFutureExt;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::http_client::guard::Guard;

/// Longest reply that is read.
const MAX_REPLY: usize = 1024 * 1024;

/// Requests to one host at a time, as ANALYSIS 2.6 says for metrics servers; the others wait within their deadline.
const MAX_AT_ONCE: usize = 4;

/// Failures in a row after which a host is left alone.
const FAILURES: u32 = 3;

/// How long it is left alone; then one failure more suffices.
const REST: Duration = Duration::from_secs(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;
type Transport = BoxCloneSyncService<Request<Bytes>, Response<Body>, BoxError>;

/// Why there is no reply. None of these says anything about what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request names no host.
    #[error("the request names no host")]
    NoHost,
    /// The client could not be made.
    #[error("make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The host failed too often just now, so it was not asked.
    #[error("{host} failed {FAILURES} times in a row and rests")]
    Resting {
        /// The host, with its port.
        host: String,
    },
    /// There was no whole reply in time.
    #[error("no reply of {host} within {timeout:?}")]
    Timeout {
        /// The host, with its port.
        host: String,
        /// The deadline.
        timeout: Duration,
    },
    /// The reply is longer than what is read.
    #[error("the reply of {host} is longer than {MAX_REPLY} bytes")]
    TooLong {
        /// The host, with its port.
        host: String,
    },
    /// The connection failed, or broke.
    #[error("ask {host}")]
    Connection {
        /// The host, with its port.
        host: String,
        /// Why.
        #[source]
        source: BoxError,
    },
}

impl HttpError {
    /// What happened, without the host or the address: both are secrets of those who are told things.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoHost => "its address names no host",
            Self::Client(_) => "there is no client",
            Self::Resting { .. } => {
                "its host failed too often just now, and is left alone for 10 s"
            }
            Self::Timeout { .. } => "it did not answer in time",
            Self::TooLong { .. } => "its answer is too long",
            Self::Connection { .. } => {
                "the connection failed, or its host is none that may be asked"
            }
        }
    }
}

/// Whether a server has to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificate {
    /// It has, with a certificate for its name that somebody trusted has signed.
    #[default]
    Verified,
    /// It has not: whoever is on the way can answer in its place, and read what it is sent.
    Unverified,
}

/// Sends requests. Clones share connections, limits and what is known of hosts.
#[derive(Clone)]
pub struct Http {
    verified: Transport,
    /// Connections of its own: one that was not verified serves nobody who wants that.
    unverified: Transport,
    guard: Guard,
    hosts: Arc<Mutex<BTreeMap<Server, Arc<Host>>>>,
}

/// A host, and whether it has to prove who it is: one whose certificate nobody trusts fails for those alone who want it verified.
type Server = (String, Certificate);

/// What is known of one host.
struct Host {
    slots: Semaphore,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
}

impl Http {
    /// A client for the network. It follows no redirect, for a redirect can lead anywhere.
    ///
    /// The process needs a default crypto provider of rustls before.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(guard: Guard) -> Result<Self, HttpError> {
        Ok(Self {
            verified: transport(&guard, Certificate::Verified)?,
            unverified: transport(&guard, Certificate::Unverified)?,
            guard,
            hosts: Arc::default(),
        })
    }

    /// Whether the administrator trusts the host of an address: only such a one is quoted.
    #[must_use]
    pub fn trusts(&self, address: &str) -> bool {
        self.guard.trusts(address)
    }

    /// A client whose requests this service answers, such as a router of axum: no socket is needed.
    pub fn service<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: BodyExt<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = tower::service_fn(move |request: Request<Bytes>| {
            let reply = service.clone().oneshot(request.map(Full::new));
            reply.map_ok(|reply| reply.map(boxed)).map_err(Into::into)
        });
        let transport = BoxCloneSyncService::new(service);
        Self {
            verified: transport.clone(),
            unverified: transport,
            guard: Guard::default(),
            hosts: Arc::default(),
        }
    }

    /// The whole reply, of whatever status, if it comes within `timeout`; waiting for a turn counts.
    ///
    /// # Errors
    ///
    /// If there is no whole reply. After three failures to connect or to reply in time, in a row, a host is not asked for ten
    /// seconds. A reply that says an error, or is too long, is a reply: the host is there.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, HttpError> {
        self.send_to(Certificate::Verified, request, timeout).await
    }

    /// The same, to a server that may not have to prove who it is.
    ///
    /// # Errors
    ///
    /// As for `send`.
    pub async fn send_to(
        &self,
        certificate: Certificate,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, HttpError> {
        let authority = request.uri().authority().ok_or(HttpError::NoHost)?;
        // Credentials in an address belong in no message.
        let name = authority.as_str();
        let name = name
            .rsplit_once('@')
            .map_or(name, |(_, host)| host)
            .to_owned();
        let host = self.host((name.clone(), certificate));
        if host.is_resting() {
            return Err(HttpError::Resting { host: name });
        }
        let transport = match certificate {
            Certificate::Verified => self.verified.clone(),
            Certificate::Unverified => self.unverified.clone(),
        };
        let asked = ask(transport, &host, &name, request);
        let reply = tokio::time::timeout(timeout, asked).await;
        let reply = reply.unwrap_or_else(|_| {
            Err(HttpError::Timeout {
                host: name,
                timeout,
            })
        });
        // A reply that is too long is the question's fault, which must not delay the questions of others.
        host.note(matches!(reply, Ok(_) | Err(HttpError::TooLong { .. })));
        reply
    }

    fn host(&self, server: Server) -> Arc<Host> {
        let mut hosts = locked(&self.hosts);
        let host = hosts.entry(server).or_insert_with(|| {
            Arc::new(Host {
                slots: Semaphore::new(MAX_AT_ONCE),
                health: Mutex::default(),
            })
        });
        Arc::clone(host)
    }
}

/// A client for the network.
fn transport(guard: &Guard, certificate: Certificate) -> Result<Transport, HttpError> {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = builder
        .dns_resolver(Arc::new(guard.clone()))
        .tls_danger_accept_invalid_certs(certificate == Certificate::Unverified)
        .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(HttpError::Client)?;
    let guard = guard.clone();
    let service = tower::service_fn(move |request: Request<Bytes>| {
        let (client, guard) = (client.clone(), guard.clone());
        async move {
            let request: reqwest::Request = request.try_into()?;
            if let Some(what) = guard.refuses(request.url()) {
                return Err(format!("it is {what}, and not a trusted host").into());
            }
            let reply = client.execute(request).await;
            let reply = reply.map_err(reqwest::Error::without_url)?;
            let reply: Response<reqwest::Body> = reply.into();
            Ok::<_, BoxError>(reply.map(boxed))
        }
    });
    Ok(BoxCloneSyncService::new(service))
}

async fn ask(
    transport: Transport,
    host: &Host,
    name: &str,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let failed = |source: BoxError| HttpError::Connection {
        host: name.to_owned(),
        source,
    };
    let turn = host.slots.acquire().await;
    let _slot = turn.map_err(|error| failed(error.into()))?;
    let reply = transport.oneshot(request).await.map_err(failed)?;
    let (parts, mut body) = reply.into_parts();
    let mut read = BytesMut::new();
    // Read by hand: `Limited` asks for a conversion of its error that a spawned task cannot prove.
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(failed)?.into_data() else {
            continue;
        };
        if read.len() + data.len() > MAX_REPLY {
            let host = name.to_owned();
            return Err(HttpError::TooLong { host });
        }
        read.extend_from_slice(&data);
    }
    Ok(Response::from_parts(parts, read.freeze()))
}

impl Host {
    fn is_resting(&self) -> bool {
        let until = locked(&self.health).rests_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    fn note(&self, replied: bool) {
        let mut health = locked(&self.health);
        if replied {
            *health = Health::default();
            return;
        }
        health.failures = health.failures.saturating_add(1);
        if health.failures >= FAILURES {
            health.rests_until = Some(Instant::now() + REST);
        }
    }
}

fn boxed<B>(body: B) -> Body
where
    B: BodyExt<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// What a panic elsewhere left behind is still a number of failures.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use futures::future::join_all;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn request(uri: &str) -> Request<Bytes> {
        Request::get(uri).body(Bytes::new()).expect("a request")
    }

    #[tokio::test]
    async fn a_router_answers_without_a_socket() {
        let router = Router::new().route("/api", post(|body: String| async move { body + "!" }));
        let request = Request::post("http://prometheus:9090/api").body(Bytes::from("query"));
        let reply = Http::service(router)
            .send(request.expect("a request"), TIMEOUT)
            .await;
        assert_eq!(reply.expect("a reply").body(), "query!");
    }

    #[tokio::test]
    async fn an_error_of_the_server_is_a_reply() {
        let router = Router::new().route("/", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
        let http = Http::service(router);
        for _ in 0..5 {
            let reply = http.send(request("http://a/"), TIMEOUT).await;
            assert_eq!(
                reply.expect("a reply").status(),
                StatusCode::SERVICE_UNAVAILABLE
            );
        }
    }

    #[tokio::test]
    async fn a_huge_reply_is_not_read() {
        let sized = |size: usize| get(move || async move { vec![b'x'; size] });
        let router = Router::new()
            .route("/huge", sized(MAX_REPLY + 1))
            .route("/large", sized(MAX_REPLY));
        let http = Http::service(router);
        for _ in 0..4 {
            let huge = http.send(request("http://a/huge"), TIMEOUT).await;
            assert!(matches!(huge, Err(HttpError::TooLong { .. })), "{huge:?}");
        }
        let large = http.send(request("http://a/large"), TIMEOUT).await;
        assert_eq!(large.expect("a reply").body().len(), MAX_REPLY);
    }

    #[tokio::test]
    async fn a_request_without_a_host_is_not_sent() {
        let reply = Http::service(Router::new())
            .send(request("/"), TIMEOUT)
            .await;
        assert!(matches!(reply, Err(HttpError::NoHost)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_host_is_given_up_at_the_deadline() {
        let router = Router::new().route("/", get(std::future::pending::<()>));
        let reply = Http::service(router)
            .send(request("http://a/"), TIMEOUT)
            .await;
        let error = reply.expect_err("no reply").to_string();
        assert_eq!(error, "no reply of a within 5s");
    }

    #[tokio::test(start_paused = true)]
    async fn four_at_once_and_no_more() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let slow = get(move || async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        });
        let http = Http::service(Router::new().route("/", slow));
        let sent = (0..12).map(|_| http.send(request("http://a/"), TIMEOUT));
        assert!(join_all(sent).await.iter().all(Result::is_ok));
        assert_eq!(seen.load(Ordering::SeqCst), MAX_AT_ONCE);
    }

    /// Fails for host `down` as long as it is told to.
    fn failing(fails: &Arc<AtomicUsize>) -> Http {
        let fails = Arc::clone(fails);
        Http::service(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let fails = request.uri().host() == Some("down") && fails.load(Ordering::SeqCst) > 0;
            async move {
                let broken = || std::io::Error::other("connection refused");
                let reply = Response::new(Full::new(Bytes::new()));
                if fails { Err(broken()) } else { Ok(reply) }
            }
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_host_rests_and_hinders_no_other() {
        let fails = Arc::new(AtomicUsize::new(1));
        let http = failing(&fails);
        for _ in 0..3 {
            let reply = http.send(request("http://down/"), TIMEOUT).await;
            assert!(matches!(reply, Err(HttpError::Connection { .. })));
        }
        let reply = http.send(request("http://down/"), TIMEOUT).await;
        assert!(matches!(reply, Err(HttpError::Resting { .. })));
        assert!(http.send(request("http://up/"), TIMEOUT).await.is_ok());

        tokio::time::advance(REST).await;
        let reply = http.send(request("http://down/"), TIMEOUT).await;
        assert!(
            matches!(reply, Err(HttpError::Connection { .. })),
            "it is tried once"
        );
        let reply = http.send(request("http://down/"), TIMEOUT).await;
        assert!(matches!(reply, Err(HttpError::Resting { .. })));

        fails.store(0, Ordering::SeqCst);
        tokio::time::advance(REST).await;
        for _ in 0..3 {
            assert!(http.send(request("http://down/"), TIMEOUT).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_need_not_prove_himself_does_not_rest_for_one_who_must() {
        let http = failing(&Arc::new(AtomicUsize::new(1)));
        for _ in 0..3 {
            let _ = http.send(request("http://down/"), TIMEOUT).await;
        }
        let reply = http.send(request("http://down/"), TIMEOUT).await;
        assert!(matches!(reply, Err(HttpError::Resting { .. })));
        let certificate = Certificate::Unverified;
        let reply = http
            .send_to(certificate, request("http://down/"), TIMEOUT)
            .await;
        assert!(matches!(reply, Err(HttpError::Connection { .. })));
    }

    #[tokio::test]
    async fn credentials_are_not_repeated() {
        let silent = tower::service_fn(|_: Request<Full<Bytes>>| async {
            Err::<Response<Full<Bytes>>, _>(std::io::Error::other("refused"))
        });
        let reply = Http::service(silent)
            .send(request("http://user:secret@a/"), TIMEOUT)
            .await;
        assert_eq!(reply.expect_err("refused").to_string(), "ask a");
    }
}
