//! Who asks, and what they may do: the API server is asked, and its answers are kept for a while. Tokens are kept as hashes alone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use futures::future::BoxFuture;
use ring::digest::{Context, SHA256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use crate::cluster::Subject;
use crate::server::cache::{Cache, Hash};
use crate::server::problem::Problem;

/// How long it is believed whose token it is (SAFETY 4).
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long somebody who may read is believed to may.
pub(super) const READ_LIFE: Duration = Duration::from_secs(300);
/// The same of verbs.
pub(super) const VERB_LIFE: Duration = Duration::from_secs(10);
/// How long a refusal is believed, of a token too.
const DENIED_LIFE: Duration = Duration::from_secs(30);
/// People, and answers about them, that are kept; an entry has some hundred bytes.
const KEPT: usize = 4096;
/// Questions to the API server at the same time: those who send rubbish must not keep it busy.
const QUESTIONS: usize = 16;
/// Bytes of the longest token that is asked about.
const LONGEST_TOKEN: usize = 8 * 1024;

/// A bearer token, which is never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token itself, for the one who has to judge it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The token of a request; `None`: it has none.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = all.next() else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default();
        let (scheme, token) = text.split_once(' ').unwrap_or_default();
        let token = token.trim();
        let fits = (1..=LONGEST_TOKEN).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if all.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") || !fits {
            return Err(unauthorized(
                "one header `Authorization: Bearer TOKEN` is expected",
            ));
        }
        Ok(Some(Self(token.to_owned())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Something that somebody wants to do with Canaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// `get`, `list` or `update`.
    pub verb: &'static str,
    /// The verb of a release; empty: the Canary itself.
    pub subresource: &'static str,
    /// The namespace; empty: all.
    pub namespace: String,
    /// The Canary; empty: all.
    pub name: String,
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} canaries", self.verb)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        match self.namespace.as_str() {
            "" => f.write_str(" in all namespaces"),
            namespace => write!(f, " in namespace {namespace}"),
        }
    }
}

/// The API server did not answer, with the reason for the log.
#[derive(Clone, Debug)]
pub struct Unanswered(pub String);

/// Whose token it is; `None`: nobody's, or not for us.
pub type Identify =
    Arc<dyn Fn(Token) -> BoxFuture<'static, Result<Option<Subject>, Unanswered>> + Send + Sync>;
/// Whether somebody may do this.
pub type Authorize =
    Arc<dyn Fn(Arc<Subject>, Wish) -> BoxFuture<'static, Result<bool, Unanswered>> + Send + Sync>;

/// Who may come in. A clone is the same door.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    anonymous_reads: bool,
    identify: Identify,
    authorize: Authorize,
    known: Mutex<Cache<Arc<Subject>>>,
    unknown: Mutex<Cache<()>>,
    answers: Mutex<Cache<bool>>,
    asking: Semaphore,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("anonymous_reads", &self.0.anonymous_reads)
            .finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// This person, by this token.
    Known(Arc<Subject>, Token),
}

impl Access {
    /// A door; with `anonymous_reads` everybody who reaches it may read.
    #[must_use]
    pub fn new(anonymous_reads: bool, identify: Identify, authorize: Authorize) -> Self {
        Self(Arc::new(Inner {
            anonymous_reads,
            identify,
            authorize,
            known: Mutex::new(Cache::new(KEPT)),
            unknown: Mutex::new(Cache::new(KEPT)),
            answers: Mutex::new(Cache::new(KEPT)),
            asking: Semaphore::new(QUESTIONS),
        }))
    }

    /// Who sends a request with these headers.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        match Token::of(headers)? {
            Some(token) => {
                let person = self.person(&token).await?;
                Ok(Caller::Known(person, token))
            }
            None if self.0.anonymous_reads => Ok(Caller::Anonymous),
            None => Err(unauthorized(
                "who asks is not known: send `Authorization: Bearer TOKEN`, for instance of `kubectl create token`",
            )),
        }
    }

    /// Lets somebody read, or says which permission is missing.
    pub(super) async fn read(&self, caller: &Caller, wish: &Wish) -> Result<(), Problem> {
        match caller {
            _ if self.0.anonymous_reads => Ok(()),
            Caller::Known(person, _) => self.may(person, wish, READ_LIFE).await,
            Caller::Anonymous => Err(unauthorized("who asks is not known")),
        }
    }

    /// The person, for what nobody may do anonymously.
    pub(super) fn person_of(caller: &Caller) -> Result<&Arc<Subject>, Problem> {
        match caller {
            Caller::Known(person, _) => Ok(person),
            Caller::Anonymous => Err(unauthorized(
                "a verb needs somebody who asks: send `Authorization: Bearer TOKEN`",
            )),
        }
    }

    /// Whether somebody who was let in may go on reading. If the API server does not answer, yes: it said so before.
    pub(super) async fn still(&self, caller: &Caller, wish: &Wish) -> bool {
        let refused = |problem: Problem| problem.status() != StatusCode::SERVICE_UNAVAILABLE;
        let known = match caller {
            Caller::Known(_, token) => self.person(token).await.map(drop),
            Caller::Anonymous => Ok(()),
        };
        if known.is_err_and(refused) {
            return false;
        }
        !self.read(caller, wish).await.is_err_and(refused)
    }

    /// Lets somebody do this, or says which permission is missing. A yes is believed for `life`.
    pub(super) async fn may(
        &self,
        person: &Arc<Subject>,
        wish: &Wish,
        life: Duration,
    ) -> Result<(), Problem> {
        let key = hash_of_wish(person, wish);
        let known = lock(&self.0.answers).get(&key, Instant::now());
        let allowed = match known {
            Some(allowed) => allowed,
            None => {
                let question = (self.0.authorize)(person.clone(), wish.clone());
                let allowed = self.ask("what they may do", question).await?;
                let life = if allowed { life } else { DENIED_LIFE };
                lock(&self.0.answers).put(key, allowed, Instant::now() + life);
                allowed
            }
        };
        if allowed {
            return Ok(());
        }
        let detail = format!("{} has no permission to {wish}", person.name);
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    async fn person(&self, token: &Token) -> Result<Arc<Subject>, Problem> {
        let key = hash(&[token.secret()]);
        let now = Instant::now();
        if let Some(person) = lock(&self.0.known).get(&key, now) {
            return Ok(person);
        }
        if lock(&self.0.unknown).get(&key, now).is_some() {
            return Err(bad_token());
        }
        let question = (self.0.identify)(token.clone());
        let Some(person) = self.ask("who it is", question).await? else {
            lock(&self.0.unknown).put(key, (), Instant::now() + DENIED_LIFE);
            return Err(bad_token());
        };
        let person = Arc::new(person);
        lock(&self.0.known).put(key, person.clone(), Instant::now() + TOKEN_LIFE);
        Ok(person)
    }

    async fn ask<T>(
        &self,
        what: &'static str,
        question: BoxFuture<'static, Result<T, Unanswered>>,
    ) -> Result<T, Problem> {
        // Never closed, so a place always comes.
        let _place = self.0.asking.acquire().await.ok();
        question.await.map_err(|Unanswered(reason)| {
            warn!(error = reason, "the API server could not be asked {what}");
            let detail = format!("the API server could not be asked {what}; try again");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })
    }
}

fn bad_token() -> Problem {
    unauthorized("the token is not valid here: it is unknown, expired, or meant for somebody else")
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One hash of several texts; where one ends is a part of it.
pub(super) fn hash(parts: &[&str]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn hash_of_wish(person: &Subject, wish: &Wish) -> Hash {
    let Wish {
        verb,
        subresource,
        namespace,
        name,
    } = wish;
    let mut parts = vec![
        *verb,
        *subresource,
        namespace,
        name,
        &person.name,
        &person.uid,
    ];
    parts.extend(person.groups.iter().map(String::as_str));
    for (key, values) in &person.extra {
        parts.push(key);
        parts.extend(values.iter().map(String::as_str));
    }
    hash(&parts)
}
