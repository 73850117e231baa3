//! Hooks: those that are asked whether a step may go on, those that are checks, those that may roll back, and those that are told how
//! it ended. An answer that has not come yet holds nothing up but what waits for it.

use std::time::Duration;

use crate::crd::hook::{Afterwards, Hook, HookKind, HookStatus};
use crate::crd::moment::Moment;
use crate::crd::status::{CheckStatus, CheckVerdict, Outcome, Phase, StepStatus};
use crate::rollout::checks::Round;
use crate::rollout::observed::{Answer, Check, HookCall, HookReply, HookVerdict};
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{attempt, progress};

/// Kinds that stand before the first weight: the weight is wanted only after them.
const BEFORE_WEIGHT: [HookKind; 3] = [
    HookKind::ConfirmRollout,
    HookKind::PreRollout,
    HookKind::ConfirmTrafficIncrease,
];

fn hooks<'a>(tick: &Tick<'a>, kind: HookKind) -> impl Iterator<Item = &'a Hook> + use<'a> {
    let all = tick.spec.analysis.webhooks.iter();
    all.filter(move |hook| hook.kind == kind)
}

/// A step's weight has to wait for a hook.
pub(crate) fn precede_weight(tick: &Tick<'_>) -> bool {
    let precedes = |hook: &Hook| BEFORE_WEIGHT.contains(&hook.kind);
    tick.spec.analysis.webhooks.iter().any(precedes)
}

/// What a hook says to a call; `None`: it is still being asked.
fn ask(tick: &Tick<'_>, hook: &Hook, step: u32, number: u32) -> Asked<Option<HookReply>> {
    let call = HookCall {
        name: hook.name.clone(),
        kind: hook.kind,
        attempt: tick.candidate().map_or(0, |candidate| candidate.attempt),
        step,
        number,
    };
    Ok(match tick.answer(Check::Hook(call))? {
        Answer::Hook(reply) => Some(reply.clone()),
        _ => None,
    })
}

/// Whether every hook of a kind lets the step go on. Until then the message says who does not, and when it is asked again.
pub(crate) fn pass(tick: &mut Tick<'_>, kind: HookKind) -> Asked<bool> {
    let mut all = true;
    for hook in hooks(tick, kind) {
        all &= passes(tick, hook)?;
        if tick.status.phase == Phase::Failed {
            return Ok(false);
        }
    }
    Ok(all)
}

/// What is known of a hook among those of a step or of an attempt.
fn entry<'a>(known: &'a mut Vec<HookStatus>, hook: &Hook, now: Moment) -> &'a mut HookStatus {
    let at = known.iter().position(|it| it.name == hook.name);
    let at = at.unwrap_or_else(|| {
        known.push(HookStatus {
            name: hook.name.clone(),
            since: now,
            answers: 0,
            next_at: now,
            passed_at: None,
            message: String::new(),
        });
        known.len() - 1
    });
    &mut known[at]
}

/// The intent comes first: who asks for the first time has written down before that he does, and what for.
fn is_due(known: &HookStatus, now: Moment) -> bool {
    known.next_at <= now && known.since < now
}

/// When a hook of a step is asked for the first time. A test calls the canary by its Service: not before every node knows whom that
/// leads to now, or it tests stable.
fn first(tick: &Tick<'_>, hook: &Hook) -> Moment {
    let settle = match hook.kind {
        HookKind::PreRollout => tick.seen.abilities.settle_seconds,
        _ => 0,
    };
    tick.now.after(Duration::from_secs(u64::from(settle)))
}

fn of_step<'a>(tick: &'a mut Tick<'_>, hook: &Hook) -> Option<&'a mut HookStatus> {
    let (now, first) = (tick.now, first(tick, hook));
    let step = tick.status.step.as_mut()?;
    let known = entry(&mut step.hooks, hook, now);
    if known.answers == 0 && known.since == now {
        known.next_at = first;
    }
    Some(known)
}

fn passes(tick: &mut Tick<'_>, hook: &Hook) -> Asked<bool> {
    let index = tick.step().map_or(0, |step| step.index);
    let Some(known) = of_step(tick, hook).cloned() else {
        return Ok(false);
    };
    if known.passed_at.is_some() {
        return Ok(true);
    }
    let reply = if is_due(&known, tick.now) {
        ask(tick, hook, index, known.answers)?
    } else {
        None
    };
    match reply {
        Some(reply) => Ok(answered(tick, hook, &reply)),
        None => {
            stand(tick, hook, &known);
            Ok(false)
        }
    }
}

/// An answer of a hook that is waited for.
fn answered(tick: &mut Tick<'_>, hook: &Hook, reply: &HookReply) -> bool {
    let (now, interval) = (tick.now, tick.interval());
    let Some(known) = of_step(tick, hook) else {
        return false;
    };
    known.answers += 1;
    known.message.clone_from(&reply.reason);
    known.next_at = now.after(reply.retry_after.unwrap_or(interval));
    let first = known.answers == 1;
    let check = hook.kind == HookKind::PreRollout;
    match reply.verdict {
        HookVerdict::Continue => {
            known.passed_at = Some(now);
            let text = describe(hook, "goes on", &reply.reason);
            tick.note("GateOpened", text);
            return true;
        }
        HookVerdict::Abort => end(tick, hook, reply),
        HookVerdict::Refused | HookVerdict::Fail if check || reply.verdict == HookVerdict::Fail => {
            fail(tick, hook, reply);
        }
        _ if first => {
            let text = describe(hook, "does not go on yet", &reply.reason);
            tick.mute_next(hook.mute_alert);
            tick.warn("GateWaiting", text);
        }
        _ => {}
    }
    if tick.status.phase != Phase::Failed
        && let Some(known) = of_step(tick, hook).cloned()
    {
        stand(tick, hook, &known);
    }
    false
}

/// Stands still until the hook says yes, a person goes on without it, or the approval's deadline ends it.
fn stand(tick: &mut Tick<'_>, hook: &Hook, known: &HookStatus) {
    tick.go(match hook.kind {
        HookKind::ConfirmRollout => Phase::Waiting,
        HookKind::ConfirmPromotion => Phase::WaitingPromotion,
        _ => Phase::Progressing,
    });
    let said = if known.answers == 0 {
        "it is being asked".to_owned()
    } else {
        known.message.clone()
    };
    tick.say(describe(hook, "is waited for", &said));
    if !is_due(known, tick.now) {
        tick.wake_at(known.next_at);
    }
    progress::extend(tick);
    let allowed = tick.spec.approval_deadline.map(Duration::from);
    let Some(allowed) = allowed else { return };
    let expires = known.since.after(allowed);
    if expires > tick.now {
        return tick.wake_at(expires);
    }
    let reason = format!(
        "{} did not go on within {} s: {said}",
        title(hook),
        allowed.as_secs()
    );
    attempt::fail(tick, Outcome::RolledBack, reason, None);
}

/// Whether hooks of a kind are still to say yes. They are asked from now on.
pub(crate) fn demand(tick: &mut Tick<'_>, kind: HookKind) -> bool {
    let mut missing = false;
    for hook in hooks(tick, kind) {
        missing |= of_step(tick, hook).is_some_and(|known| known.passed_at.is_none());
    }
    missing
}

/// Whether hooks of a kind are asked already.
pub(crate) fn are_asked(tick: &Tick<'_>, kind: HookKind) -> bool {
    let known = tick.step().map_or(&[][..], |step| &step.hooks);
    hooks(tick, kind).any(|hook| known.iter().any(|it| it.name == hook.name))
}

/// A person goes on without the hooks that are waited for; whether there were any.
pub(crate) fn overrule(step: &mut StepStatus, now: Moment) -> bool {
    let waiting = step.hooks.iter_mut().filter(|it| it.passed_at.is_none());
    let mut any = false;
    for it in waiting {
        it.passed_at = Some(now);
        "a person went on".clone_into(&mut it.message);
        any = true;
    }
    any
}

fn fail(tick: &mut Tick<'_>, hook: &Hook, reply: &HookReply) {
    let reason = describe(hook, "refused", &reply.reason);
    tick.status.failed_checks += 1;
    let limit = tick.spec.analysis.threshold.max(1);
    let count = tick.status.failed_checks;
    tick.mute_next(hook.mute_alert);
    tick.warn("CheckFailed", format!("{reason} ({count} of {limit})"));
    progress::judge_failures(tick, &reason);
}

fn end(tick: &mut Tick<'_>, hook: &Hook, reply: &HookReply) {
    let reason = describe(hook, "ends the release", &reply.reason);
    attempt::fail(tick, Outcome::RolledBack, reason, None);
}

fn title(hook: &Hook) -> String {
    format!("{} hook {:?}", hook.kind, hook.name)
}

/// `rollout hook "smoke" refused: 503`.
fn describe(hook: &Hook, what: &str, reason: &str) -> String {
    let why = if reason.is_empty() { "" } else { ": " };
    format!("{} {what}{why}{reason}", title(hook))
}

/// What the hooks of a round come to; `None`: not all have answered.
pub(crate) fn round(tick: &mut Tick<'_>, round: &Round) -> Asked<Option<Vec<CheckStatus>>> {
    let index = tick.step().map_or(0, |step| step.index);
    let (mut checks, mut missing) = (Vec::new(), None);
    for hook in hooks(tick, HookKind::Rollout) {
        match ask(tick, hook, index, tick.status.iterations)? {
            Some(reply) if reply.verdict == HookVerdict::Abort => {
                end(tick, hook, &reply);
                return Ok(None);
            }
            Some(reply) => checks.push(check(hook, reply, round.at)),
            None => missing = Some(hook),
        }
    }
    if let Some(hook) = missing {
        tick.say(describe(hook, "is being asked", ""));
        return Ok(None);
    }
    Ok(Some(checks))
}

fn check(hook: &Hook, reply: HookReply, at: Moment) -> CheckStatus {
    CheckStatus {
        name: hook.name.clone(),
        verdict: match reply.verdict {
            HookVerdict::Continue => CheckVerdict::Pass,
            HookVerdict::Wait => CheckVerdict::NoData,
            HookVerdict::Refused | HookVerdict::Fail | HookVerdict::Abort => CheckVerdict::Fail,
        },
        value: None,
        stable: None,
        limit: None,
        samples: None,
        message: Some(reply.reason).filter(|reason| !reason.is_empty()),
        at,
    }
}

/// Asks the hooks that may roll back, once an interval; one that says so ends the attempt.
pub(crate) fn watch(tick: &mut Tick<'_>) -> Asked<()> {
    let (now, interval) = (tick.now, tick.interval());
    for hook in hooks(tick, HookKind::Rollback) {
        let memory = tick.status.memory.get_or_insert_default();
        let known = entry(&mut memory.hooks, hook, now).clone();
        if !is_due(&known, now) {
            tick.wake_at(known.next_at);
            continue;
        }
        let Some(reply) = ask(tick, hook, 0, known.answers)? else {
            continue;
        };
        let next = now.after(reply.retry_after.unwrap_or(interval));
        let memory = tick.status.memory.get_or_insert_default();
        let known = entry(&mut memory.hooks, hook, now);
        known.answers += 1;
        known.next_at = next;
        tick.wake_at(next);
        if reply.verdict == HookVerdict::Abort {
            end(tick, hook, &reply);
            return Ok(());
        }
    }
    Ok(())
}

/// From now on the hooks of this kind have to be told of the attempt that ended.
pub(crate) fn remember(tick: &mut Tick<'_>, outcome: Outcome) {
    let told = hooks(tick, HookKind::PostRollout).map(|hook| hook.name.clone());
    let told: Vec<_> = told.collect();
    let Some(candidate) = tick.candidate().filter(|_| !told.is_empty()) else {
        return;
    };
    tick.status.afterwards = Some(Afterwards {
        attempt: candidate.attempt,
        revision: candidate.revision.clone(),
        outcome,
        hooks: told,
    });
}

/// Tells the hooks how it ended; what they say changes nothing.
pub(crate) fn tell(tick: &mut Tick<'_>) -> Asked<()> {
    let Some(afterwards) = tick.status.afterwards.clone() else {
        return Ok(());
    };
    let mut left = Vec::new();
    for name in afterwards.hooks.clone() {
        let mut all = hooks(tick, HookKind::PostRollout);
        let Some(hook) = all.find(|hook| hook.name == name) else {
            continue;
        };
        let call = HookCall {
            name: name.clone(),
            kind: hook.kind,
            attempt: afterwards.attempt,
            step: 0,
            number: 0,
        };
        let Answer::Hook(reply) = tick.answer(Check::Hook(call))? else {
            left.push(name);
            continue;
        };
        if reply.verdict != HookVerdict::Continue {
            tick.warn(
                "WebhookFailed",
                describe(hook, "was told in vain", &reply.reason),
            );
        }
    }
    tick.status.afterwards = Some(Afterwards {
        hooks: left,
        ..afterwards
    })
    .filter(|it| !it.hooks.is_empty());
    Ok(())
}
