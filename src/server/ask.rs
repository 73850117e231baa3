//! Asking for a verb: a request is written to the Canary, in the name of the person who asks.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;
use tracing::info;

use crate::cluster::Subject;
use crate::crd::canary::Canary;
use crate::crd::request::{Request, clean};
use crate::objects::mark;
use crate::rollout::verbs::{self, Offer, VERBS};
use crate::server::State;
use crate::server::access::{Access, VERB_LIFE, Wish, hash};
use crate::server::admit::Admitted;
use crate::server::api::{bad, missing};
use crate::server::cache::{Cache, Hash};
use crate::server::problem::Problem;
use crate::server::wanted::{self, Wanted};

/// How long a key that was used is remembered.
const KEY_LIFE: Duration = Duration::from_secs(600);
/// Keys that are remembered.
const KEYS: usize = 1024;

/// A request that is to be written to a Canary.
#[derive(Clone, Debug)]
pub struct Order {
    /// The Canary, as it was seen.
    pub canary: Arc<Canary>,
    /// Text of the annotation.
    pub text: String,
    /// Who asks.
    pub by: String,
    /// What people are told, as an Event.
    pub told: String,
    /// Identity of the request: the same one is told once.
    pub id: String,
}

/// Why a request was not written.
#[derive(Clone, Debug)]
pub enum NotWritten {
    /// The Canary is gone.
    Missing,
    /// Another request stands there and is not handled yet, or others keep writing.
    Busy(String),
    /// The API server refuses it, for this reason.
    Refused(String),
    /// The API server could not be reached, or does not let Serin write; the reason is for the log.
    Unanswered(String),
}

/// Writes a request to a Canary.
pub type Write = Arc<dyn Fn(Order) -> BoxFuture<'static, Result<(), NotWritten>> + Send + Sync>;

/// Makes an identity for a request that brings no key.
pub type Identity = fn() -> String;

/// Where requests go, and which were made lately. A clone is the same.
#[derive(Clone)]
pub struct Desk {
    write: Write,
    identity: Identity,
    lately: Arc<Mutex<Cache<Lately>>>,
}

/// What was asked with a key, and what was answered.
#[derive(Clone)]
struct Lately {
    asked: String,
    answer: Accepted,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk whose requests are written so.
    #[must_use]
    pub fn new(write: Write, identity: Identity) -> Self {
        Self {
            write,
            identity,
            lately: Arc::new(Mutex::new(Cache::new(KEYS))),
        }
    }

    fn lately(&self, hash: &Hash) -> Option<Lately> {
        let kept = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(hash, Instant::now())
    }

    fn keep(&self, hash: Hash, lately: Lately) {
        let mut kept = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(hash, lately, Instant::now() + KEY_LIFE);
    }
}

/// A request that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its identity, which `lastRequest.id` has once it is handled.
    pub id: String,
    /// The verb.
    pub verb: &'static str,
    /// Namespace of the Canary.
    pub namespace: String,
    /// The Canary.
    pub name: String,
    /// The revision that it is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What will happen.
    pub message: String,
}

/// `POST /api/v1/namespaces/{namespace}/canaries/{name}/{verb}`
pub(super) async fn ask(
    Extract(state): Extract<State>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    Extension(admitted): Extension<Admitted>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let Path((namespace, name, verb)) = path.map_err(|rejection| bad(rejection.body_text()))?;
    let unknown = || {
        let detail = format!(
            "there is no verb {verb:?}; the verbs are {}",
            VERBS.join(", ")
        );
        Problem::new(StatusCode::NOT_FOUND, detail)
    };
    let verb = VERBS.into_iter().find(|known| *known == verb);
    let verb = verb.ok_or_else(unknown)?;
    let wanted = wanted::read(verb, &headers, body).await?;
    let person = Access::person_of(&admitted.caller)?;
    let question = Question {
        person,
        place: (namespace, name),
        wanted,
    };
    let answer = question.answer(&state).await;
    question.audit(&answer);
    answer.map(|answer| (StatusCode::ACCEPTED, Json(answer)))
}

/// Somebody asks for a verb.
struct Question<'a> {
    person: &'a Arc<Subject>,
    place: (String, String),
    wanted: Wanted,
}

impl Question<'_> {
    async fn answer(&self, state: &State) -> Result<Accepted, Problem> {
        let (namespace, name) = &self.place;
        let wish = Wish {
            verb: "update",
            subresource: self.wanted.verb,
            namespace: namespace.clone(),
            name: name.clone(),
        };
        state.access.may(self.person, &wish, VERB_LIFE).await?;
        let canary = state.recorder.canary(&self.place);
        let canary = canary.ok_or_else(|| missing(&self.place))?;
        let hash = self.wanted.key.as_ref().map(|key| {
            let uid = canary.identity();
            hash(&[&uid, &self.person.name, key])
        });
        if let Some(lately) = hash.as_ref().and_then(|hash| state.desk.lately(hash)) {
            return self.again(lately);
        }
        let answer = match self.stands(&canary) {
            Some(answer) => answer?,
            None => self.write(state, canary).await?,
        };
        if let Some(hash) = hash {
            let asked = self.wanted.fingerprint();
            let answer = answer.clone();
            state.desk.keep(hash, Lately { asked, answer });
        }
        Ok(answer)
    }

    /// The same key once more: the same answer, if the same is asked.
    fn again(&self, lately: Lately) -> Result<Accepted, Problem> {
        if lately.asked == self.wanted.fingerprint() {
            return Ok(lately.answer);
        }
        Err(used())
    }

    /// The answer to a key that another replica, or this one before it started anew, has taken already.
    fn stands(&self, canary: &Canary) -> Option<Result<Accepted, Problem>> {
        let key = self.wanted.key.as_ref()?;
        let status = canary.status.as_ref();
        let last = status.and_then(|status| status.last_request.as_ref());
        if let Some(last) = last.filter(|last| last.id == *key) {
            let same = last.verb == self.wanted.verb
                && last.by.as_deref() == Some(self.person.name.as_str());
            let message = last.message.clone().unwrap_or_default();
            return Some(same.then(|| self.accepted(key, message)).ok_or_else(used));
        }
        let annotations = canary.metadata.annotations.as_ref()?;
        let by = annotations.get(mark::REQUESTED_BY).map(String::as_str);
        let same = annotations.get(mark::REQUEST) == Some(&self.request(canary, key).text())
            && by == Some(self.person.name.as_str());
        same.then(|| Ok(self.accepted(key, "it is written already".to_owned())))
    }

    async fn write(&self, state: &State, canary: Arc<Canary>) -> Result<Accepted, Problem> {
        let effect = self.allowed(&canary)?;
        let id = self.wanted.key.clone();
        let id = id.unwrap_or_else(state.desk.identity);
        let order = Order {
            text: self.request(&canary, &id).text(),
            by: self.person.name.clone(),
            told: self.told(),
            canary,
            id: id.clone(),
        };
        let offers = verbs::allowed(&order.canary);
        let written = (state.desk.write)(order).await;
        written.map_err(|failure| self.problem(failure, &offers))?;
        Ok(self.accepted(&id, effect))
    }

    /// What will happen; or why it does not fit now.
    fn allowed(&self, canary: &Canary) -> Result<String, Problem> {
        let offers = verbs::allowed(canary);
        let verb = self.wanted.verb;
        let Some(offer) = offers.iter().find(|offer| offer.verb == verb) else {
            let phase = canary.status.as_ref().map(|status| status.phase);
            let phase = phase.unwrap_or_default();
            let detail = format!("{verb} does not fit now: the phase is {phase}");
            return Err(Problem::conflict(detail, names(&offers)));
        };
        let Some(revision) = &self.wanted.revision else {
            return Ok(offer.effect.clone());
        };
        let refused = |why| {
            let detail = format!("{verb} is meant for revision {revision}, {why}");
            Problem::conflict(detail, names(&offers))
        };
        if self.puts_back(canary) {
            let why = "which is not among the promoted ones of the history, or serves already";
            return returns(canary, revision).ok_or_else(|| refused(why));
        }
        verbs::is_candidate(canary, revision)
            .then(|| offer.effect.clone())
            .ok_or_else(|| refused("which is not the candidate"))
    }

    /// A rollback while idle names what it puts back.
    fn puts_back(&self, canary: &Canary) -> bool {
        let status = canary.status.as_ref();
        self.wanted.verb == "rollback" && status.is_none_or(|status| status.phase.is_idle())
    }

    fn request(&self, canary: &Canary, id: &str) -> Request {
        let mut request = Request::new(self.wanted.verb, id.to_owned());
        request.reason.clone_from(&self.wanted.reason);
        let revision = self.wanted.revision.as_deref().map(clean);
        if self.puts_back(canary) {
            request.to = revision;
        } else {
            request.revision = revision;
        }
        request
    }

    fn told(&self) -> String {
        let mut text = format!("{} asked for {}", self.person.name, self.wanted.verb);
        if let Some(revision) = &self.wanted.revision {
            text.push_str(&format!(" of revision {revision}"));
        }
        if let Some(reason) = &self.wanted.reason {
            text.push_str(&format!(": {reason}"));
        }
        text
    }

    fn accepted(&self, id: &str, message: String) -> Accepted {
        let (namespace, name) = self.place.clone();
        Accepted {
            id: id.to_owned(),
            verb: self.wanted.verb,
            namespace,
            name,
            revision: self.wanted.revision.clone(),
            message,
        }
    }

    fn problem(&self, failure: NotWritten, offers: &[Offer]) -> Problem {
        match failure {
            NotWritten::Missing => missing(&self.place),
            NotWritten::Busy(why) => Problem::conflict(why, names(offers)),
            NotWritten::Refused(why) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why),
            NotWritten::Unanswered(reason) => {
                tracing::warn!(error = reason, "a request could not be written");
                let detail = "the request could not be written; nothing was changed, as far as is known: try again with the same key";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }

    fn audit(&self, answer: &Result<Accepted, Problem>) {
        let (namespace, name) = &self.place;
        let (outcome, id, detail) = match answer {
            Ok(accepted) => (StatusCode::ACCEPTED, accepted.id.as_str(), ""),
            Err(problem) => (problem.status(), "", problem.detail()),
        };
        info!(
            target: "audit",
            user = self.person.name,
            verb = self.wanted.verb,
            canary.namespace = namespace,
            canary.name = name,
            revision = self.wanted.revision,
            reason = self.wanted.reason,
            id,
            outcome = outcome.as_u16(),
            detail,
            "asked for {} of {namespace}/{name}: {outcome}",
            self.wanted.verb,
        );
    }
}

/// What a rollback to this revision would do, if it is allowed.
fn returns(canary: &Canary, revision: &str) -> Option<String> {
    let mut history = canary.status.iter().flat_map(|status| &status.history);
    let found = history.find(|release| {
        release.revision == revision && verbs::rollback_to(canary, release).is_some()
    });
    verbs::rollback_to(canary, found?)
}

fn names(offers: &[Offer]) -> Vec<&'static str> {
    offers.iter().map(|offer| offer.verb).collect()
}

fn used() -> Problem {
    let detail = "this Idempotency-Key was used for something else: take a new one";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
