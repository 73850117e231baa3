//! How many Pods an arm needs.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::crd::status::Phase;
use crate::rollout::observed::{Routes, TrafficKind};
use crate::rollout::tick::Tick;

/// Pods that the canary needs to carry this weight (SAFETY C4): its share of stable's wanted size rounded up, at least one, or what
/// the spec says. With blue/green it is always the whole size, and where matching requests go to it, too: nobody knows how many
/// they are.
pub(crate) fn canary(tick: &Tick<'_>, routes: Routes) -> i32 {
    let whole = whole(tick);
    match &tick.spec.canary.replicas {
        Some(IntOrString::Int(count)) => (*count).max(1),
        Some(IntOrString::String(percent)) => {
            share(whole, percent.trim_end_matches('%').parse().unwrap_or(100))
        }
        None if tick.kind() == TrafficKind::Switched || routes.by_request() => whole.max(1),
        None => share(whole, i32::from(routes.canary.max(routes.mirror).percent())),
    }
}

/// Pods that carry all traffic: stable's wanted size, or what its autoscaler would want if it saw all of it.
fn whole(tick: &Tick<'_>) -> i32 {
    let wanted = tick.target().map_or(1, |target| target.replicas);
    wanted.max(tick.seen.capacity.wants.unwrap_or(0)).max(1)
}

fn share(whole: i32, percent: i32) -> i32 {
    let pods = (i64::from(whole) * i64::from(percent) + 99) / 100;
    i32::try_from(pods).unwrap_or(i32::MAX).max(1)
}

/// Pods of stable that all traffic needs: as many as were wanted when the attempt began, or now (SAFETY, *need*), as far as the
/// autoscaler allows them.
pub(crate) fn need(tick: &Tick<'_>) -> i32 {
    let at_start = tick.candidate().map_or(0, |candidate| candidate.need);
    within(tick, at_start)
}

/// Pods that the main release needs before traffic returns to it: never fewer than the canary had, unless the spec asked for more
/// of those than its share (SAFETY C6).
pub(crate) fn way_back(tick: &Tick<'_>) -> i32 {
    let canary = tick.canary_arm().map_or(0, |canary| canary.arm.replicas);
    let grown = if tick.spec.canary.replicas.is_none() {
        canary
    } else {
        0
    };
    within(tick, need(tick).max(grown))
}

/// So many Pods, or as many as the autoscaler allows; at least those that are wanted now.
fn within(tick: &Tick<'_>, pods: i32) -> i32 {
    let most = tick.seen.capacity.most.unwrap_or(i32::MAX);
    pods.min(most)
        .max(tick.target().map_or(0, |target| target.replicas))
}

/// Pods that the main release must be scaled up to, if it is too small for the traffic that has to come back (SAFETY C6, C7).
pub(crate) fn widen(tick: &Tick<'_>) -> Option<i32> {
    let sent = written(tick) > 0 && tick.kind() != TrafficKind::Replicas;
    let wanted = match tick.status.phase {
        Phase::Finalising => way_back(tick),
        _ if !tick.wanted().reach() && retreat_weight(tick) > 0 => need(tick),
        _ => return None,
    };
    let target = tick.target()?;
    (sent && target.replicas < wanted).then_some(wanted)
}

/// The weight on the way back: 0, or as much as stable is too small for (SAFETY C7).
pub(crate) fn retreat_weight(tick: &Tick<'_>) -> u8 {
    let Some(target) = tick.target() else {
        // The canary is all there is, unless the Canary goes too: then the whole application does.
        return if tick.deleting() { 0 } else { written(tick) };
    };
    let canary_ready = tick.canary_arm().map_or(0, |canary| canary.arm.ready);
    let need = need(tick).max(1);
    if canary_ready == 0 || i64::from(target.ready) * 10 >= i64::from(need) * 9 {
        return 0;
    }
    let kept = 100 - i64::from(target.ready) * 100 / i64::from(need);
    u8::try_from(kept.clamp(0, 100))
        .unwrap_or(0)
        .min(written(tick))
}

fn written(tick: &Tick<'_>) -> u8 {
    tick.written().map_or(0, |written| written.canary.percent())
}
