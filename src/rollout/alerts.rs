//! Messages to people. What is to be told goes into the status with the transition itself, and leaves it when it was told: a crash
//! in between loses nothing, and what was told is not told again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crd::alert::{Alert, Alerts, Severity, Version};
use crate::rollout::decision::Note;
use crate::rollout::observed::{AlertCall, Answer, Check};
use crate::rollout::tick::{Asked, Tick};

/// The same thing, in the same step, is told again only after so long.
const AGAIN: Duration = Duration::from_secs(3600);
/// Messages that wait at most; the oldest is given up for another.
const MOST: usize = 16;
/// Characters of a message that are kept.
const LONGEST: usize = 1024;
/// Images of one arm that are named.
const IMAGES: usize = 4;

/// How bad what an Event says is; `None`: people are not told, because something else that is told follows from it, or because
/// it is the answer to one of them.
fn severity(note: &Note) -> Option<Severity> {
    Some(match note.reason {
        "CandidateHeld" | "Promoted" | "Superseded" | "Skipped" => Severity::Info,
        "RequestRefused" | "RouteNotReady" | "WebhookFailed" | "DeadlineExceeded"
        | "WeightMismatch" | "NotificationFailed" => return None,
        "Rejected" | "PromotionStuck" | "FinaliseStuck" | "GateUnarmed" | "TargetLost"
        | "StableLost" | "InvariantBreach" => Severity::Error,
        _ if note.warning => Severity::Warn,
        _ => return None,
    })
}

/// Adds what this tick says to what people are to be told.
pub(crate) fn raise(tick: &mut Tick<'_>) {
    if tick.spec.analysis.alerts.is_empty() {
        tick.status.alerts = None;
        return;
    }
    for (index, note) in tick.notes.clone().iter().enumerate() {
        if let Some(severity) = severity(note).filter(|_| !tick.muted.contains(&index)) {
            raise_one(tick, note, severity);
        }
    }
    let pending = tick.status.alerts.as_ref().map(|alerts| &alerts.pending);
    let told_now = |alert: &Alert| alert.at == tick.now;
    if pending.is_some_and(|pending| pending.iter().any(told_now)) {
        // Only what is written down is sent.
        tick.wake_at(tick.now);
    }
}

fn raise_one(tick: &mut Tick<'_>, note: &Note, severity: Severity) {
    let all = tick.spec.analysis.alerts.iter();
    let to = all.filter(|route| route.severity <= severity);
    let to: Vec<String> = to.map(|route| route.name.clone()).collect();
    if to.is_empty() {
        return;
    }
    let alert = describe(tick, note, severity, to);
    let alerts = tick.status.alerts.get_or_insert_default();
    if alerts.attempt != alert.attempt {
        alerts.attempt = alert.attempt;
        alerts.raised.clear();
    }
    if is_news(alerts, &alert) {
        alerts.pending.push(alert);
        let surplus = alerts.pending.len().saturating_sub(MOST);
        alerts.pending.drain(..surplus);
    }
}

/// Whether it was not said of this step already. Each gate that waits says so once, and several may in one step.
fn is_news(alerts: &mut Alerts, alert: &Alert) -> bool {
    if alert.reason == "GateWaiting" {
        return true;
    }
    let step = alert.step.as_deref().unwrap_or("-");
    let key = format!("{}/{step}", alert.reason);
    let known = alerts.raised.get(&key);
    if known.is_some_and(|at| alert.at.since(*at) < AGAIN) {
        return false;
    }
    alerts.raised.insert(key, alert.at);
    true
}

fn describe(tick: &Tick<'_>, note: &Note, severity: Severity, to: Vec<String>) -> Alert {
    let status = &tick.status;
    let version = |revision: &str, images: &[String]| Version {
        revision: revision.to_owned(),
        images: images.iter().take(IMAGES).cloned().collect(),
    };
    let last = status.history.first().map_or(0, |release| release.attempt);
    // A verdict takes the step away.
    let before = tick.canary.status.as_ref();
    let before = before.and_then(|status| status.progress.clone());
    Alert {
        reason: note.reason.to_owned(),
        severity,
        at: tick.now,
        attempt: tick.candidate().map_or(last, |candidate| candidate.attempt),
        step: status.progress.clone().or(before),
        weight: status.traffic.wanted,
        candidate: tick.candidate().map(|it| version(&it.revision, &it.images)),
        stable: status
            .stable
            .as_ref()
            .map(|it| version(&it.revision, &it.images)),
        message: note.message.chars().take(LONGEST).collect(),
        to,
    }
}

/// Sends what is written down. What got through, or never will, is forgotten.
pub(crate) fn tell(tick: &mut Tick<'_>) -> Asked<()> {
    let Some(mut alerts) = tick.status.alerts.take() else {
        return Ok(());
    };
    let (mut missing, mut failures) = (Vec::new(), BTreeMap::new());
    for alert in &mut alerts.pending {
        let mut left = Vec::new();
        for name in std::mem::take(&mut alert.to) {
            match outcome(tick, alert, &name) {
                Err(checks) => missing.extend(checks),
                Ok(Outcome::Open) => left.push(name),
                Ok(Outcome::Told) => {}
                Ok(Outcome::Failed(why)) => {
                    drop(failures.insert(name, (alert.reason.clone(), why)))
                }
            }
        }
        alert.to = left;
    }
    if !missing.is_empty() {
        return Err(missing);
    }
    alerts.pending.retain(|alert| !alert.to.is_empty());
    tick.status.alerts = Some(alerts);
    for (name, (reason, why)) in failures {
        tick.warn(
            "NotificationFailed",
            format!("alert {name:?} could not be told of {reason}: {why}"),
        );
    }
    Ok(())
}

/// What became of one message to one address.
enum Outcome {
    /// It is on its way.
    Open,
    /// It got through, or nobody waits for it any more.
    Told,
    /// It will not get through.
    Failed(String),
}

fn outcome(tick: &Tick<'_>, alert: &Alert, name: &str) -> Asked<Outcome> {
    let mut routes = tick.spec.analysis.alerts.iter();
    if !routes.any(|route| route.name == name) {
        return Ok(Outcome::Told);
    }
    let call = AlertCall {
        name: name.to_owned(),
        reason: alert.reason.clone(),
        attempt: alert.attempt,
        at: alert.at,
    };
    Ok(match tick.answer(Check::Alert(call))? {
        Answer::Told(Ok(())) => Outcome::Told,
        Answer::Told(Err(why)) => Outcome::Failed(why.clone()),
        _ => Outcome::Open,
    })
}
