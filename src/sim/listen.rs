//! The API server at a socket: HTTP/1.1 without encryption, for kubectl and other programs on the same machine.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::sim::api::{Api, Who};
use crate::sim::rbac::{self, Access};
use crate::sim::refusal::Refusal;
use crate::sim::requests::{answer, refused};
use crate::sim::store::Key;

/// Connections at the same time; more wait in the kernel's queue. A watch holds one for as long as it lasts.
const CONNECTIONS: usize = 512;
/// How long a connection may be silent: longer than clients written in Go keep one that they do not use.
const SILENCE: Duration = Duration::from_secs(120);
/// How long requests in flight are waited for at the end; watches would go on for ever.
const FAREWELL: Duration = Duration::from_millis(500);

const AUTHENTICATED: &str = "system:authenticated";
const ACCOUNT: &str = "system:serviceaccount:";

/// Who may come in, and as whom.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Who has which token.
    pub tokens: BTreeMap<String, Who>,
    /// Who somebody without a token is; without it, nobody comes in so. kubectl sends no token where there is no encryption.
    pub stranger: Option<Who>,
}

impl People {
    /// Who asks, by the headers of a request: the owner of a token, or whom he may be in his place.
    ///
    /// # Errors
    /// 401 for a token that nobody has, and 403 for somebody who may not ask in another's place.
    pub fn who(&self, api: &Api, headers: &HeaderMap) -> Result<Who, Refusal> {
        let known = match headers.get(header::AUTHORIZATION) {
            None => self.stranger.clone(),
            Some(value) => {
                let (scheme, token) = text(value).split_once(' ').unwrap_or_default();
                let bearer = scheme.eq_ignore_ascii_case("bearer");
                let mine = self.tokens.get(token.trim()).cloned();
                let issued = || api.token(token.trim());
                let issued = || issued().filter(|token| token.is_for_server(api.now()));
                mine.or_else(|| issued().map(|token| token.who))
                    .filter(|_| bearer)
            }
        };
        let who = known.ok_or_else(|| Refusal::new(401, "Unauthorized", "Unauthorized"))?;
        match headers.get("impersonate-user") {
            Some(user) => instead(api, &who, text(user), headers),
            None if headers.contains_key("impersonate-group") => Err(Refusal::bad_request(
                "requested groups without impersonating a user",
            )),
            None => Ok(who),
        }
    }
}

/// The person in whose place `who` asks.
fn instead(api: &Api, who: &Who, user: &str, headers: &HeaderMap) -> Result<Who, Refusal> {
    let mut groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .map(|group| text(group).to_owned())
        .collect();
    let account = user
        .strip_prefix(ACCOUNT)
        .and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => may_be(api, who, ("serviceaccounts", namespace, name))?,
        None => may_be(api, who, ("users", "", user))?,
    }
    for group in &groups {
        may_be(api, who, ("groups", "", group))?;
    }
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    let known = [AUTHENTICATED, "system:unauthenticated"];
    if !groups.iter().any(|group| known.contains(&group.as_str())) {
        groups.push(AUTHENTICATED.to_owned());
    }
    Ok(Who {
        user: user.to_owned(),
        groups,
        manager: who.manager.clone(),
    })
}

fn may_be(api: &Api, who: &Who, other: (&str, &str, &str)) -> Result<(), Refusal> {
    let (resource, namespace, name) = other;
    let access = Access {
        user: &who.user,
        groups: &who.groups,
        verb: "impersonate",
        resource,
        namespace,
        name,
        ..Access::default()
    };
    if rbac::allows(&api.state().store, &access) {
        return Ok(());
    }
    let key = Key::new("", resource, namespace, name);
    Err(Refusal::forbidden(&key, &rbac::refused(&access)))
}

fn text(value: &http::HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// Serves until `shutdown` ends; then takes no connection any more, lets requests in flight finish, and cuts watches.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    people: People,
    shutdown: impl Future<Output = ()>,
) {
    let people = Arc::new(people);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (api, people, closed) = (api.clone(), people.clone(), closed.clone());
        connections.spawn(async move {
            connection(stream, api, people, closed).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    closing.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (tokio::net::TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so that a place always comes.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small lines of a watch must not wait for more; where that cannot be said, they are late and nothing else.
                drop(stream.set_nodelay(true));
                return (stream, place);
            }
            // Out of file descriptors, say: connections that end free some.
            Err(error) => {
                warn!(%error, "could not take a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    api: Api,
    people: Arc<People>,
    mut closed: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, people) = (api.clone(), people.clone());
        async move { Ok::<_, Infallible>(admit(&api, &people, request.map(Body::new)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return ended(result),
        _ = closed.wait_for(|closed| *closed) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(result) = tokio::time::timeout(FAREWELL, connection).await {
        ended(result);
    }
}

async fn admit(api: &Api, people: &People, request: Request<Body>) -> Response<Body> {
    match people.who(api, request.headers()) {
        Ok(who) => answer(api, &who, request).await,
        Err(refusal) => refused(&refusal),
    }
}

fn ended(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        debug!(%error, "a connection ended early");
    }
}

/// A kubeconfig with one context. Clients that send no token without encryption come in as the stranger.
#[must_use]
pub fn kubeconfig(address: SocketAddr, token: &str, context: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": context, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, "namespace": "default"}}],
        "current-context": context,
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::clock::Clock;

    fn people() -> People {
        let who = |user: &str, group: &str| Who {
            user: user.to_owned(),
            groups: vec![group.to_owned()],
            manager: "none".to_owned(),
        };
        People {
            tokens: [
                ("t-ada".to_owned(), who("ada", "system:masters")),
                ("t-bob".to_owned(), who("bob", "people")),
            ]
            .into(),
            stranger: None,
        }
    }

    fn headers(rows: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for row in rows.split('|').filter(|row| !row.is_empty()) {
            let (name, value) = row.split_once('=').unwrap();
            let name: header::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn who_asks_follows_from_the_headers() {
        let api = Api::new(Clock::simulated());
        let ada = "authorization=Bearer t-ada";
        let account = "impersonate-user=system:serviceaccount:apps:robot";
        for (rows, want) in [
            ("", "401"),
            ("authorization=Bearer wrong", "401"),
            ("authorization=Basic t-ada", "401"),
            ("authorization=bearer t-bob", "bob people"),
            (ada, "ada system:masters"),
            (
                &format!("{ada}|impersonate-user=eve"),
                "eve system:authenticated",
            ),
            (
                &format!("{ada}|impersonate-user=eve|impersonate-group=a|impersonate-group=b"),
                "eve a b system:authenticated",
            ),
            (
                &format!("{ada}|{account}"),
                "system:serviceaccount:apps:robot system:serviceaccounts system:serviceaccounts:apps system:authenticated",
            ),
            (
                &format!("{ada}|{account}|impersonate-group=a"),
                "system:serviceaccount:apps:robot a system:authenticated",
            ),
            (
                "authorization=Bearer t-bob|impersonate-user=eve",
                "403 users \"eve\" is forbidden: User \"bob\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            ),
            (&format!("{ada}|impersonate-group=a"), "400"),
        ] {
            let got = match people().who(&api, &headers(rows)) {
                Ok(who) => format!("{} {}", who.user, who.groups.join(" ")),
                Err(refusal) => format!("{} {}", refusal.code, refusal.message),
            };
            assert!(got.starts_with(want), "{rows}: {got}");
        }
        let stranger = People {
            stranger: Some(Who::system("stranger")),
            ..people()
        };
        let who = |rows| stranger.who(&api, &headers(rows)).map(|who| who.user);
        assert_eq!(who("").unwrap(), "system:stranger");
        assert_eq!(
            who("authorization=Bearer wrong").unwrap_err().code,
            401,
            "a wrong token is not none"
        );
    }

    fn open(api: &Api) -> (DuplexStream, watch::Sender<bool>) {
        let (ours, theirs) = duplex(64 * 1024);
        let (closing, closed) = watch::channel(false);
        tokio::spawn(connection(theirs, api.clone(), Arc::new(people()), closed));
        (ours, closing)
    }

    async fn until(stream: &mut DuplexStream, end: &str) -> String {
        let mut text = String::new();
        let mut some = [0; 4096];
        while !text.contains(end) {
            let count = stream.read(&mut some).await.unwrap();
            assert!(count > 0, "it ended after {text}");
            text.push_str(&String::from_utf8_lossy(&some[..count]));
        }
        text
    }

    fn ask(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t-ada\r\n\r\n")
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_takes_several_requests() {
        let (mut stream, _closing) = open(&Api::new(Clock::simulated()));
        for path in ["/version", "/api/v1/namespaces/default"] {
            stream.write_all(ask(path).as_bytes()).await.unwrap();
            let reply = until(&mut stream, "}").await;
            assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_told_and_is_cut_at_the_end() {
        let api = Api::new(Clock::simulated());
        let (mut stream, closing) = open(&api);
        let path = ask("/api/v1/namespaces?watch=true");
        stream.write_all(path.as_bytes()).await.unwrap();
        until(&mut stream, "kube-system").await;
        api.add_namespace("later");
        until(&mut stream, "later").await;
        closing.send_replace(true);
        let mut rest = Vec::new();
        let end = tokio::time::timeout(2 * FAREWELL, stream.read_to_end(&mut rest));
        assert!(end.await.is_ok(), "it goes on");
    }

    #[test]
    fn a_kubeconfig_names_address_token_and_context() {
        let text = kubeconfig("127.0.0.1:81".parse().unwrap(), "t-ada", "here");
        let config: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(config["current-context"], "here");
        assert_eq!(
            config["clusters"][0]["cluster"]["server"],
            "http://127.0.0.1:81"
        );
        assert_eq!(config["users"][0]["user"]["token"], "t-ada");
    }
}
