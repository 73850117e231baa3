//! Plans: from the ways in which a spec can state its steps to one list, frozen when an attempt begins.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crd::canary::{Analysis, Step};
use crate::crd::header_route::{HeaderRoute, Standing};
use crate::crd::status::{Pause, PlannedStep};
use crate::rollout::observed::{Routes, TrafficKind};

/// Weights when the spec states none.
const DEFAULT_WEIGHTS: [u8; 3] = [10, 50, 100];

/// The plan of an attempt: weights with their checks and pauses, in order. Never empty.
#[must_use]
pub fn freeze(analysis: &Analysis, traffic: TrafficKind) -> Vec<PlannedStep> {
    let mut plan = if analysis.steps.is_empty() {
        by_weights(analysis, traffic)
    } else {
        by_steps(&analysis.steps)
    };
    let ends_open = plan.last().is_none_or(|last| last.weight < 100);
    if traffic == TrafficKind::Switched && ends_open {
        plan.push(at(100));
    }
    if let Some(bake) = analysis.bake
        && let Some(last) = plan.last_mut()
    {
        last.pause = last.pause.or(Some(Pause {
            seconds: Some(seconds(bake.into())),
        }));
    }
    if !analysis.matches.is_empty() {
        match_requests(&mut plan);
    }
    plan
}

/// A step at this weight and nothing else.
fn at(weight: u8) -> PlannedStep {
    PlannedStep {
        weight,
        ..PlannedStep::default()
    }
}

/// Matching requests go to the canary in every step, but for a pause before anything is deployed.
fn match_requests(plan: &mut [PlannedStep]) {
    for (index, step) in plan.iter_mut().enumerate() {
        step.matched = index > 0 || Routes::planned(step).reach() || step.checks > 0;
    }
}

fn by_weights(analysis: &Analysis, traffic: TrafficKind) -> Vec<PlannedStep> {
    let checks = analysis.checks.max(1);
    let mirror = analysis
        .mirror
        .then(|| percent(analysis.mirror_weight.unwrap_or(100)));
    let alone = traffic == TrafficKind::Switched || tries_matches_alone(analysis);
    if alone || analysis.iterations.is_some() {
        return vec![PlannedStep {
            checks: analysis.iterations.unwrap_or(checks).max(1),
            mirror: mirror.unwrap_or(0),
            ..at(0)
        }];
    }
    let copies = mirror.map(|mirror| PlannedStep {
        checks,
        mirror,
        ..at(0)
    });
    let weights = weights(analysis).into_iter();
    let weighted = weights.map(|weight| PlannedStep {
        checks,
        ..at(weight)
    });
    copies.into_iter().chain(weighted).collect()
}

/// A/B testing: without weights of one's own matching requests alone go to the canary.
fn tries_matches_alone(analysis: &Analysis) -> bool {
    let weighted = !analysis.step_weights.is_empty() || analysis.step_weight.is_some();
    !analysis.matches.is_empty() && !weighted
}

fn percent(weight: i32) -> u8 {
    u8::try_from(weight.clamp(1, 100)).unwrap_or(100)
}

fn weights(analysis: &Analysis) -> Vec<u8> {
    if !analysis.step_weights.is_empty() {
        return analysis
            .step_weights
            .iter()
            .map(|weight| percent(*weight))
            .collect();
    }
    let Some(by) = analysis.step_weight else {
        return DEFAULT_WEIGHTS.to_vec();
    };
    let by = by.clamp(1, 100);
    let most = analysis.max_weight.unwrap_or(100).clamp(by, 100);
    (1..=most / by).map(|count| percent(count * by)).collect()
}

/// The header routes of explicit steps, in the order in which they begin: a step of the plan names them by their positions.
#[must_use]
pub(crate) fn header_routes(analysis: &Analysis) -> Vec<HeaderRoute> {
    let said = analysis.steps.iter();
    let said = said.filter_map(|step| step.set_header_route.as_ref());
    said.filter(|route| !route.matches.is_empty())
        .cloned()
        .collect()
}

/// Explicit steps: a change of the traffic opens a step; checks and pauses that follow belong to it.
fn by_steps(steps: &[Step]) -> Vec<PlannedStep> {
    let mut plan: Vec<PlannedStep> = Vec::new();
    let mut named = Named::default();
    for step in steps {
        let before = plan.last();
        if let Some(weight) = step.set_weight {
            plan.push(PlannedStep {
                weight: share(weight),
                ..traffic(before)
            });
        } else if let Some(mirror) = step.set_mirror {
            plan.push(PlannedStep {
                mirror: share(mirror),
                ..traffic(before)
            });
        } else if let Some(route) = &step.set_header_route {
            let mut next = traffic(before);
            next.header_routes = named.change(next.header_routes, route);
            plan.push(next);
        } else if let Some(checks) = step.checks {
            open(&mut plan, |last| last.checks == 0).checks = checks;
        } else if let Some(pause) = &step.pause {
            let pause = Pause {
                seconds: pause.duration.map(|duration| seconds(duration.into())),
            };
            open(&mut plan, |_| true).pause = Some(pause);
        }
    }
    if plan.is_empty() {
        vec![PlannedStep {
            checks: 1,
            ..at(100)
        }]
    } else {
        plan
    }
}

/// The header routes so far: how many there were, and the position of the last one of each name.
#[derive(Default)]
struct Named<'a> {
    count: usize,
    positions: BTreeMap<&'a str, usize>,
}

impl<'a> Named<'a> {
    /// What stands after a step that begins or ends one.
    fn change(&mut self, before: Standing, route: &'a HeaderRoute) -> Standing {
        let ended = self.positions.remove(route.name.as_str());
        let rest = ended.map_or(before, |position| before.without(position));
        if route.matches.is_empty() {
            return rest;
        }
        self.count += 1;
        self.positions.insert(&route.name, self.count);
        rest.with(self.count)
    }
}

/// A step with the same traffic as another, and nothing else.
fn traffic(of: Option<&PlannedStep>) -> PlannedStep {
    of.map_or_else(PlannedStep::default, |of| PlannedStep {
        mirror: of.mirror,
        header_routes: of.header_routes,
        ..at(of.weight)
    })
}

/// A share in percent; beyond the ends of the range the end.
fn share(percent: i32) -> u8 {
    u8::try_from(percent.clamp(0, 100)).unwrap_or(100)
}

/// The step that the next entry belongs to: the last one if it still takes it, else a new one with the same traffic.
fn open(plan: &mut Vec<PlannedStep>, takes: impl Fn(&PlannedStep) -> bool) -> &mut PlannedStep {
    let fits = plan
        .last()
        .is_some_and(|last| last.pause.is_none() && takes(last));
    if !fits {
        let next = traffic(plan.last());
        plan.push(next);
    }
    let last = plan.len() - 1;
    &mut plan[last]
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(
        duration
            .as_secs()
            .max(u64::from(duration.subsec_nanos() > 0)),
    )
    .unwrap_or(u32::MAX)
}
