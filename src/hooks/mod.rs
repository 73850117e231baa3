//! What is sent to a hook, and what its answer means. The first five keys of the body are Flagger's wire format, so that its load
//! tester and every hook that was written for it work unchanged.

mod credentials;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::crd::hook::{Hook, HookKind};
use crate::crd::status::{CanaryStatus, Outcome};
use crate::rollout::observed::{HookCall, HookReply, HookVerdict};

pub use crate::hooks::credentials::{CredentialError, Credentials};

/// Bytes of an answer that are read as a verdict.
const LONGEST: usize = 64 * 1024;
/// Characters of a reason that are kept.
const REASON: usize = 1024;

/// An Event, as a hook of type `event` is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Its message.
    pub message: &'a str,
    /// It is a warning.
    pub warning: bool,
    /// When it happened.
    pub at: Timestamp,
}

/// The key of a call: the same for each try and after a restart, and of no other call.
#[must_use]
pub fn key(canary: &Canary, call: &HookCall) -> String {
    let HookCall {
        name,
        kind,
        attempt,
        step,
        number,
    } = call;
    format!(
        "{}/{attempt}/{kind}/{step}/{name}/{number}",
        canary.identity()
    )
}

/// The request of a call; `deadline` is when no answer is waited for any more.
///
/// # Errors
///
/// If the hook's address is no address.
pub fn request(
    canary: &Canary,
    hook: &Hook,
    call: &HookCall,
    deadline: Timestamp,
) -> Result<Request<Bytes>, http::Error> {
    let key = key(canary, call);
    let metadata = json!(hook.metadata);
    let mut serin = state(canary, hook, call);
    serin["idempotencyKey"] = json!(key);
    serin["deadline"] = json!(deadline.to_string());
    let body = body(canary, call, &metadata, &serin);
    post(hook, &key, &body)
}

/// The request that tells a hook of an Event.
///
/// # Errors
///
/// If the hook's address is no address.
pub fn tell(
    canary: &Canary,
    hook: &Hook,
    call: &HookCall,
    told: Told<'_>,
) -> Result<Request<Bytes>, http::Error> {
    let mut metadata = json!(hook.metadata);
    metadata["eventMessage"] = json!(told.message);
    metadata["eventType"] = json!(if told.warning { "Warning" } else { "Normal" });
    metadata["timestamp"] = json!(told.at.as_millisecond().to_string());
    let serin = state(canary, hook, call);
    let key = format!("{}/{}", key(canary, call), told.at.as_microsecond());
    post(hook, &key, &body(canary, call, &metadata, &serin))
}

fn post(hook: &Hook, key: &str, body: &Value) -> Result<Request<Bytes>, http::Error> {
    Request::builder()
        .method(Method::POST)
        .uri(&hook.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Bytes::from(body.to_string()))
}

fn body(canary: &Canary, call: &HookCall, metadata: &Value, serin: &Value) -> Value {
    json!({
        "name": canary.metadata.name, "namespace": canary.home(), "phase": phase(canary, call.kind),
        "checksum": serin["revision"], "metadata": metadata, "serin": serin,
    })
}

/// Flagger's word: hooks and gates say `Progressing`, whatever waits for them.
fn phase(canary: &Canary, kind: HookKind) -> String {
    let status = canary.status.as_ref();
    match kind {
        HookKind::PostRollout => {
            let ended = status.and_then(|status| status.afterwards.as_ref());
            let good = ended.is_some_and(|ended| ended.outcome == Outcome::Promoted);
            if good { "Succeeded" } else { "Failed" }.to_owned()
        }
        HookKind::Event => status
            .map_or_else(Default::default, |status| status.phase)
            .to_string(),
        _ => "Progressing".to_owned(),
    }
}

/// What Serin adds of its own.
fn state(canary: &Canary, hook: &Hook, call: &HookCall) -> Value {
    let none = CanaryStatus::default();
    let status = canary.status.as_ref().unwrap_or(&none);
    let ended = status.afterwards.as_ref();
    let ended = ended.filter(|_| call.kind == HookKind::PostRollout);
    let candidate = status.candidate.as_ref();
    let revision = ended.map(|ended| &ended.revision);
    let revision = revision.or(candidate.map(|candidate| &candidate.revision));
    let revision = revision.or(status.stable.as_ref().map(|stable| &stable.revision));
    let (target, service) = (canary.target_name(), canary.service_name());
    json!({
        "version": "v1", "type": hook.kind, "hook": hook.name, "uid": canary.identity(),
        "run": call.attempt, "revision": revision,
        "stableRevision": status.stable.as_ref().map(|stable| &stable.revision),
        "images": candidate.map(|candidate| &candidate.images),
        "outcome": ended.map(|ended| ended.outcome),
        "step": call.step + 1, "steps": status.plan.len(), "check": call.number + 1,
        "weight": {"desired": status.traffic.wanted, "observed": status.traffic.observed},
        "failedChecks": status.failed_checks,
        "canary": {"workload": format!("{target}-canary"), "service": canary.canary_service_name()},
        "stable": {"workload": target, "service": service},
    })
}

/// Whether another try may help.
#[must_use]
pub fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// An answer in words of ours; every field may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    verdict: Option<Verdict>,
    #[serde(default)]
    reason: String,
    retry_after: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Continue,
    Wait,
    Fail,
    Abort,
}

/// What an answer means. Only a server that is `trusted` is quoted.
#[must_use]
pub fn reply(kind: HookKind, answer: &Response<Bytes>, trusted: bool) -> HookReply {
    let status = answer.status();
    let said = said(answer.body()).filter(|_| status.is_success());
    let quote = |text: &str| {
        let text: String = text.trim().chars().take(REASON).collect();
        if trusted { text } else { String::new() }
    };
    let Some((said, verdict)) = said.and_then(|said| said.verdict.map(|verdict| (said, verdict)))
    else {
        return plain(
            kind,
            status,
            &quote(&String::from_utf8_lossy(answer.body())),
        );
    };
    HookReply {
        verdict: match verdict {
            Verdict::Continue => HookVerdict::Continue,
            Verdict::Wait => HookVerdict::Wait,
            Verdict::Fail => HookVerdict::Fail,
            Verdict::Abort => HookVerdict::Abort,
        },
        reason: quote(&said.reason),
        retry_after: said.retry_after.as_deref().and_then(wait),
    }
}

fn said(body: &Bytes) -> Option<Said> {
    let text = body.get(..body.len().min(LONGEST))?;
    serde_json::from_slice(text).ok()
}

/// Between a second and an hour.
fn wait(text: &str) -> Option<Duration> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
    let told: kube::core::Duration = text.parse().ok().filter(|_| !text.is_empty())?;
    Some(Duration::from(told).clamp(least, most))
}

/// An answer without a verdict: its status is one. In Flagger's sense, yes of a rollback hook is "roll back".
fn plain(kind: HookKind, status: StatusCode, body: &str) -> HookReply {
    let verdict = match (kind, status.is_success()) {
        (HookKind::Rollback, true) => HookVerdict::Abort,
        (_, true) => HookVerdict::Continue,
        (_, false) => HookVerdict::Refused,
    };
    let separator = if body.is_empty() { "" } else { ": " };
    HookReply {
        verdict,
        reason: format!("it answered {}{separator}{body}", status.as_u16()),
        retry_after: None,
    }
}

/// No answer at all.
#[must_use]
pub fn silence(why: &str) -> HookReply {
    HookReply {
        verdict: HookVerdict::Refused,
        reason: why.to_owned(),
        retry_after: None,
    }
}
