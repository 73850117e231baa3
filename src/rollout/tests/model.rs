//! A world of a few numbers around one Canary: it does at once what the core asks for, and counts requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::analysis::{Counter, Limit, Measure, MetricPlan};
use crate::crd::canary::{Canary, CanarySpec, OnNoData};
use crate::crd::moment::Moment;
use crate::crd::status::{CanaryStatus, Phase};
use crate::objects::mark;
use crate::rollout::advance;
use crate::rollout::decision::{Action, Note, Step};
use crate::rollout::observed::{
    Abilities, Acceptance, AlertCall, Answer, Arm, CanaryArm, Capacity, Check, Gate, HookCall,
    HookReply, LiveTarget, Observed, Presence, Readiness, Reading, Routes, Services, Serving,
    Split, Target, TrafficKind, Weight,
};

/// Requests of both arms up to a time.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    canary: (f64, f64),
    stable: (f64, f64),
}

/// The model.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) canary: Canary,
    pub(crate) seen: Observed,
    pub(crate) now: Timestamp,
    pub(crate) trace: Vec<String>,
    pub(crate) rate: f64,
    pub(crate) errors: f64,
    pub(crate) stable_errors: f64,
    pub(crate) server_down: bool,
    /// What it answers to everything.
    pub(crate) reply: Option<Answer>,
    /// Pods are counted, not proxies.
    pub(crate) by_pods: bool,
    /// What nearly all of stable's durations keep, in milliseconds.
    pub(crate) usual: Option<f64>,
    /// Of the canary's Pods so many are scraped at most.
    pub(crate) scraped: usize,
    /// What stable's Pods counted before.
    pub(crate) history: Vec<Vec<Counter>>,
    /// A canary that is placed gets this readiness.
    pub(crate) health: Readiness,
    /// What the router says of a weight that is written.
    pub(crate) router: Acceptance,
    /// A main release of this revision gets no ready Pod.
    pub(crate) never_starts: Option<String>,
    /// A canary can be placed.
    pub(crate) places: bool,
    /// The lock on the autoscaler takes effect.
    pub(crate) lock_holds: bool,
    /// What a dry run comes back as.
    pub(crate) gate: Answer,
    /// The live target when it is not the one that the cache has: its revision, and what it declares.
    pub(crate) live: Option<(String, Option<String>)>,
    /// What the query of a template finds.
    pub(crate) value: Option<f64>,
    /// The share of the requests that `analysis.match` describes.
    pub(crate) matching: f64,
    /// The share of the requests that reaches the canary whatever the route says, in percent.
    pub(crate) misrouted: Option<u8>,
    /// The controller dies after so many more writes, and another one comes; `None`: it lives.
    pub(crate) dies_after: Option<usize>,
    /// What each hook answers, one call after the other; the last answer stands for all that follow.
    pub(crate) hooks: BTreeMap<String, Vec<HookReply>>,
    /// How long a hook takes to answer.
    pub(crate) hooks_take: Duration,
    /// Calls of hooks, in their order.
    pub(crate) calls: Vec<HookCall>,
    /// What was decided to be told, in its order.
    pub(crate) said: Vec<Note>,
    /// Messages to people that were sent, and how often.
    pub(crate) sent: BTreeMap<AlertCall, usize>,
    /// What becomes of them.
    pub(crate) mail: Result<(), String>,
    /// Those that this controller remembers.
    known: BTreeSet<AlertCall>,
    /// When each of the calls began.
    begun: BTreeMap<HookCall, Timestamp>,
    /// The weight in force, and since when.
    in_force: Option<(Routes, Timestamp)>,
    counts: Vec<(Timestamp, Counts)>,
    next: Option<Duration>,
}

impl Model {
    /// A Canary with this analysis over a running target of three Pods, not adopted yet.
    pub(crate) fn new(analysis: &serde_json::Value) -> Self {
        let canary = serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
            "metadata": {"name": "app", "namespace": "shop", "uid": "c1", "generation": 1},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
                "service": {"port": 80}, "analysis": analysis,
            },
        }));
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Self {
            canary: canary.unwrap(),
            seen: observed(),
            now: start,
            trace: Vec::new(),
            rate: 200.0,
            errors: 0.0,
            stable_errors: 0.0,
            server_down: false,
            reply: None,
            by_pods: false,
            usual: None,
            scraped: usize::MAX,
            history: Vec::new(),
            health: Readiness::Ready,
            router: Acceptance::Accepted,
            never_starts: None,
            places: true,
            lock_holds: true,
            gate: Answer::GateHeld,
            live: None,
            value: None,
            matching: 0.0,
            misrouted: None,
            dies_after: None,
            hooks: BTreeMap::new(),
            hooks_take: Duration::ZERO,
            calls: Vec::new(),
            said: Vec::new(),
            sent: BTreeMap::new(),
            mail: Ok(()),
            known: BTreeSet::new(),
            begun: BTreeMap::new(),
            in_force: None,
            counts: vec![
                (start - Duration::from_secs(3600), Counts::default()),
                (
                    start,
                    Counts {
                        stable: (720_000.0, 0.0),
                        ..Counts::default()
                    },
                ),
            ],
            next: None,
        }
    }

    /// Adopted and idle.
    pub(crate) fn adopted(analysis: &serde_json::Value) -> Self {
        let mut model = Self::new(analysis);
        model.run();
        assert_eq!(model.phase(), Phase::Initialized, "{:#?}", model.trace);
        model.trace.clear();
        model
    }

    pub(crate) fn status(&self) -> CanaryStatus {
        self.canary.status.clone().unwrap_or_default()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.status().phase
    }

    pub(crate) fn target(&mut self) -> &mut Target {
        self.seen.target.as_mut().unwrap()
    }

    /// When it wants to be called again.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.next
    }

    pub(crate) fn weight(&self) -> u8 {
        self.seen
            .split
            .as_ref()
            .and_then(|split| split.routes)
            .map_or(0, |routes| routes.canary.percent())
    }

    /// Somebody changes the template; the gate holds it.
    pub(crate) fn ship(&mut self, revision: &str) {
        let target = self.target();
        target.revision = revision.to_owned();
        target.containers = format!("containers of {revision}");
        target.images = vec![format!("app:{revision}")];
        target.gate = Gate::Held;
        target.complete = false;
    }

    /// Somebody writes a request.
    pub(crate) fn ask(&mut self, request: &str) {
        let annotations = self.canary.metadata.annotations.get_or_insert_default();
        annotations.insert(mark::REQUEST.to_owned(), request.to_owned());
        annotations.insert(mark::REQUESTED_BY.to_owned(), "alice".to_owned());
    }

    /// Somebody deletes the Canary.
    pub(crate) fn delete(&mut self) {
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now);
        self.canary.metadata.deletion_timestamp = Some(now);
    }

    /// Somebody changes the spec.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut CanarySpec)) {
        change(&mut self.canary.spec);
        let generation = self.canary.metadata.generation.unwrap_or(0);
        self.canary.metadata.generation = Some(generation + 1);
    }

    /// The canary has so many ready Pods, and the target so many.
    pub(crate) fn lose_pods(&mut self, canary: i32, target: i32) {
        if let Some(seen) = &mut self.seen.canary {
            seen.arm.ready = canary;
            if canary < seen.arm.replicas {
                seen.arm.readiness = Readiness::Progressing("Pods are missing".to_owned());
            }
        }
        self.target().ready = target;
        self.target().ready_updated = target;
    }

    /// The router runs what is written.
    pub(crate) fn accept(&mut self) {
        self.router = Acceptance::Accepted;
        if let Some(split) = &mut self.seen.split {
            split.acceptance = Acceptance::Accepted;
        }
    }

    /// The metrics server lost all that it knew.
    pub(crate) fn forget_the_past(&mut self) {
        self.counts.drain(..self.counts.len() - 1);
    }

    /// Ticks until a weight is in force.
    pub(crate) fn run_to(&mut self, weight: u8) {
        self.run_until(|model| {
            model.weight() == weight && model.status().traffic.accepted_at.is_some()
        });
        assert_eq!(self.weight(), weight, "{:#?}", self.trace);
    }

    /// Ticks for so long, and goes on even if nothing is due.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            let acted = self.tick();
            let most = Duration::try_from(until.duration_since(self.now)).unwrap();
            let wait = match (acted, self.next) {
                (true, _) => Duration::from_millis(50),
                (false, Some(wait)) => wait,
                (false, None) => most,
            };
            self.pass(wait.min(most).max(Duration::from_millis(1)));
        }
    }

    /// Where in the trace this stands for the first time.
    pub(crate) fn at(&self, line: &str) -> Option<usize> {
        self.trace.iter().position(|said| said == line)
    }

    /// What was written into the route, in its order.
    pub(crate) fn routings(&self) -> Vec<&str> {
        let lines = self.trace.iter().map(String::as_str);
        lines.filter(|line| line.starts_with("Route")).collect()
    }

    /// Whether a line of the trace begins so.
    pub(crate) fn did(&self, what: &str) -> bool {
        self.trace.iter().any(|line| line.starts_with(what))
    }

    /// Ticks until nothing is due any more.
    pub(crate) fn run(&mut self) {
        self.run_until(|_| false);
    }

    /// Ticks until nothing is due any more, or `done`.
    pub(crate) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..2000 {
            let acted = self.tick();
            if done(self) {
                return;
            }
            match (acted, self.next) {
                (true, _) => self.pass(Duration::from_millis(50)),
                (false, Some(wait)) => self.pass(wait),
                (false, None) => return,
            }
        }
        panic!(
            "never at rest: {:#?}",
            self.trace.iter().rev().take(20).collect::<Vec<_>>()
        );
    }

    /// Time goes by, requests arrive.
    pub(crate) fn pass(&mut self, time: Duration) {
        let routes = self.seen.split.as_ref().and_then(|split| split.routes);
        let routes = routes.unwrap_or_default();
        let share = f64::from(self.misrouted.unwrap_or(self.weight())) / 100.0;
        let matched = if routes.by_request() {
            self.matching
        } else {
            0.0
        };
        let share = matched + (1.0 - matched) * share;
        let copies = f64::from(routes.mirror.percent()) / 100.0;
        let count = self.rate * time.as_secs_f64();
        let mut counts = self.counts.last().unwrap().1;
        counts.canary.0 += count * (share + copies);
        counts.canary.1 += count * (share + copies) * self.errors;
        counts.stable.0 += count * (1.0 - share);
        counts.stable.1 += count * (1.0 - share) * self.stable_errors;
        self.now += time;
        self.counts.push((self.now, counts));
    }

    /// One tick; true if anything was written.
    pub(crate) fn tick(&mut self) -> bool {
        self.seen.answers.clear();
        self.look_at_route();
        for _ in 0..8 {
            match advance(&self.canary, &self.seen, self.now) {
                Step::Ask(checks) => {
                    assert!(!checks.is_empty());
                    let answers: BTreeMap<Check, Answer> = checks
                        .into_iter()
                        .map(|check| (check.clone(), self.answer(&check)))
                        .collect();
                    self.seen.answers.extend(answers);
                }
                Step::Act(decision) => {
                    self.next = [decision.requeue, self.answer_is_due()]
                        .into_iter()
                        .flatten()
                        .min();
                    let before = self.status();
                    let changed = before != decision.status;
                    if before.phase != decision.status.phase {
                        self.trace
                            .push(format!("{} -> {}", before.phase, decision.status.phase));
                    }
                    for note in &decision.notes {
                        assert_ne!(note.reason, "InvariantBreach", "{}", note.message);
                    }
                    self.said.extend(decision.notes.clone());
                    let acted = !decision.actions.is_empty();
                    if changed && !self.lives() {
                        return true;
                    }
                    self.canary.status = Some(decision.status);
                    for action in decision.actions {
                        if !self.lives() {
                            return true;
                        }
                        self.act(action);
                    }
                    return changed || acted;
                }
            }
        }
        panic!("the core keeps asking");
    }

    /// Whether the controller lives to make one more write. Its successor does, in the next term.
    fn lives(&mut self) -> bool {
        match self.dies_after {
            Some(0) => {
                self.dies_after = None;
                self.seen.epoch += 1;
                self.known.clear();
                false
            }
            Some(writes) => {
                self.dies_after = Some(writes - 1);
                true
            }
            None => true,
        }
    }

    /// When the next hook answers, which calls the Canary.
    fn answer_is_due(&self) -> Option<Duration> {
        let due = self.begun.values().map(|begun| *begun + self.hooks_take);
        let next = due.filter(|due| *due > self.now).min()?;
        Duration::try_from(next.duration_since(self.now)).ok()
    }

    /// A hook is asked; a call that was begun goes on.
    fn hear(&mut self, call: &HookCall) -> Answer {
        if !self.begun.contains_key(call) {
            self.calls.push(call.clone());
            self.begun.insert(call.clone(), self.now);
        }
        if self.now < self.begun[call] + self.hooks_take {
            return Answer::Asked;
        }
        let before = self.calls.iter().take_while(|it| *it != call);
        let index = before.filter(|it| it.name == call.name).count();
        let all = &self.hooks[&call.name];
        Answer::Hook(all[index.min(all.len() - 1)].clone())
    }

    fn answer(&mut self, check: &Check) -> Answer {
        match check {
            Check::Hook(call) => self.hear(call),
            Check::Alert(call) => {
                if self.known.insert(call.clone()) {
                    *self.sent.entry(call.clone()).or_default() += 1;
                }
                Answer::Told(self.mail.clone())
            }
            Check::Gate => self.gate.clone(),
            Check::Target => Answer::Target(self.seen.target.as_ref().map(|target| {
                let cached = (target.revision.clone(), target.declared.clone());
                let (revision, declared) = self.live.clone().unwrap_or(cached);
                LiveTarget {
                    declared,
                    revision,
                    resource_version: "1".to_owned(),
                }
            })),
            Check::Metric(_) if self.server_down => {
                Answer::Unreachable("connection refused".to_owned())
            }
            Check::Metric(_) if self.reply.is_some() => self.reply.clone().unwrap(),
            Check::Metric(metric) => match metric.reading {
                Reading::Counters(at) => Answer::Counters(self.counters(at)),
                Reading::History { .. } => Answer::History(self.history.clone()),
                Reading::Usual(_) => Answer::Value(self.usual),
                _ => Answer::Value(self.value),
            },
        }
    }

    /// What had been counted at a time; between two ticks requests arrive evenly.
    fn counted(&self, at: Timestamp) -> Option<Counts> {
        let next = self.counts.partition_point(|(time, _)| *time <= at);
        let (begin, base) = *self.counts.get(next.checked_sub(1)?)?;
        let Some((end, more)) = self.counts.get(next) else {
            return Some(base);
        };
        let part = at.duration_since(begin).as_secs_f64() / end.duration_since(begin).as_secs_f64();
        let mix = |from: (f64, f64), to: (f64, f64)| {
            let of = |from: f64, to: f64| from + (to - from) * part;
            (of(from.0, to.0), of(from.1, to.1))
        };
        Some(Counts {
            canary: mix(base.canary, more.canary),
            stable: mix(base.stable, more.stable),
        })
    }

    fn counters(&self, at: Moment) -> Vec<Counter> {
        let Some(counts) = self.counted(at.timestamp()) else {
            return Vec::new();
        };
        let counter = |process: String, canary: bool, (all, bad): (f64, f64)| Counter {
            process,
            canary,
            canary_pod: canary && self.by_pods,
            all,
            bad,
            at: at.as_seconds(),
        };
        let stable = counter("proxy".to_owned(), false, counts.stable);
        if !self.by_pods {
            return vec![counter("proxy".to_owned(), true, counts.canary), stable];
        }
        let pods = self.pods();
        let (all, bad) = counts.canary;
        let each = (all / pods.len() as f64, bad / pods.len() as f64);
        let canary = pods.into_iter().take(self.scraped);
        let canary = canary.map(|pod| counter(pod, true, each));
        canary.chain([stable]).collect()
    }

    /// Names of the canary's Pods.
    fn pods(&self) -> Vec<String> {
        let replicas = self.seen.canary.as_ref().map_or(1, |it| it.arm.replicas);
        (0..replicas.max(1))
            .map(|pod| format!("pod-{pod}"))
            .collect()
    }

    /// What is in force, and since when.
    fn look_at_route(&mut self) {
        let accepted = self
            .seen
            .split
            .as_ref()
            .filter(|split| split.acceptance == Acceptance::Accepted);
        let Some(split) = accepted else {
            self.in_force = None;
            return;
        };
        let routes = split.routes.unwrap_or_default();
        if self.in_force.is_none_or(|(known, _)| known != routes) {
            self.in_force = Some((routes, self.now));
        }
    }

    /// Whether the canary would get more than it does.
    fn raises(&self, routes: Routes) -> bool {
        let written = self.seen.split.as_ref().and_then(|split| split.routes);
        let written = written.unwrap_or_default();
        written.or(routes) != written
    }

    /// What no action may ever do, whatever the invariants in the core say.
    fn judge(&self, action: &Action) {
        let target = self.seen.target.as_ref();
        match action {
            Action::Remove if self.seen.abilities.traffic != TrafficKind::Replicas => {
                let settled = match self.in_force {
                    // The core counts in whole milliseconds.
                    Some((routes, since)) => {
                        let early = since + self.settling() - Duration::from_millis(1);
                        !routes.reach() && self.now > early
                    }
                    // Without a target there is nobody to lead users to, whatever the router says.
                    None => self.seen.split.is_none() || target.is_none() && self.weight() == 0,
                };
                assert!(
                    settled,
                    "removed while it may get requests: {:#?}",
                    self.trace
                );
            }
            Action::Unlock => assert!(self.seen.canary.is_none(), "unlocked too early"),
            Action::Route(routes) if self.raises(*routes) => {
                let arm = &self.seen.canary.as_ref().expect("a canary").arm;
                let part = routes.canary.max(routes.mirror).percent();
                let part = if routes.by_request() { 100 } else { part };
                let share = match self.canary.spec.canary.replicas {
                    None => u32::from(part) * target.unwrap().replicas as u32,
                    Some(_) => 1,
                };
                assert!(
                    arm.ready as u32 >= share.div_ceil(100),
                    "{arm:?} for {routes:?}"
                );
                assert!(
                    self.seen.services.points_at_canary,
                    "its Service leads elsewhere"
                );
                let capacity = &self.seen.capacity;
                let open = capacity.autoscaler.is_some() && capacity.unprotected.is_none();
                assert!(!open || capacity.locked, "requests before the lock");
            }
            Action::Place { autoscale, .. } => {
                assert!(
                    !autoscale || self.seen.capacity.locked,
                    "copied before the lock"
                );
                let going = self
                    .seen
                    .canary
                    .as_ref()
                    .is_some_and(|canary| canary.deleting);
                assert!(!going, "written to while it goes");
            }
            Action::ScaleUp(pods) => {
                let most = self.seen.capacity.most.unwrap_or(i32::MAX);
                assert!(*pods <= most, "more than the autoscaler allows");
            }
            Action::Arm => assert!(self.in_force.is_some(), "armed without a route"),
            _ => {}
        }
    }

    fn settling(&self) -> Duration {
        Duration::from_secs(self.seen.abilities.settle_seconds.into())
    }

    fn act(&mut self, action: Action) {
        self.judge(&action);
        self.trace.push(format!("{action:?}"));
        match action {
            Action::Adopt => {
                self.canary.metadata.finalizers = Some(vec![mark::FINALIZER.to_owned()])
            }
            Action::LetGo => self.canary.metadata.finalizers = None,
            Action::Acknowledge(_) => self.canary.metadata.annotations = None,
            Action::Serve => self.seen.services.canary = Presence::There,
            Action::Arm => self.target().gate = Gate::Armed,
            Action::Disarm => {
                if let Some(target) = &mut self.seen.target {
                    target.gate = Gate::Open;
                }
            }
            Action::Preserve { .. } => self.target().kept = true,
            Action::Lock => self.seen.capacity.locked = self.lock_holds,
            Action::Unlock => self.seen.capacity.locked = false,
            Action::Place {
                revision, replicas, ..
            } => self.place(revision, replicas),
            Action::Idle => {
                self.point(false);
            }
            Action::Remove => self.seen.canary = None,
            Action::Route(routes) => self.route(routes),
            Action::Release { revision } => self.release(&revision),
            Action::Revert { revision } => {
                self.ship(&revision);
            }
            Action::Reverted => self.target().gate = Gate::Armed,
            Action::Verdict(text) => self.target().verdict = text,
            Action::ScaleUp(replicas) => self.resize(replicas),
            Action::Evict(_) | Action::Restart(_) | Action::GiveBack | Action::Forget => {}
        }
    }

    /// The target has so many Pods, and all are ready.
    pub(crate) fn resize(&mut self, replicas: i32) {
        let target = self.target();
        target.replicas = replicas;
        target.ready = replicas;
        target.ready_updated = replicas;
    }

    fn place(&mut self, revision: String, replicas: i32) {
        if !self.places {
            return;
        }
        let ready = if self.health == Readiness::Ready {
            replicas
        } else {
            0
        };
        let arm = Arm {
            revision,
            replicas,
            ready,
            readiness: self.health.clone(),
        };
        self.seen.canary = Some(CanaryArm {
            arm,
            ready_since: (0..replicas)
                .map(|pod| (format!("pod-{pod}"), Moment::new(self.now)))
                .collect(),
            restarts: 0,
            diagnosis: Vec::new(),
            deleting: false,
        });
        self.point(true);
    }

    /// The canary Service selects the canary's Pods, or stable's.
    fn point(&mut self, at_canary: bool) {
        let services = &mut self.seen.services;
        services.selects_canary = at_canary;
        services.points_at_canary = at_canary;
        services.idle = !at_canary;
    }

    /// The controller died between the two writes that place a canary: its Pods are there, and its Service selects stable's.
    pub(crate) fn lose_the_second_write(&mut self) {
        self.point(false);
        if let Some(canary) = &mut self.seen.canary {
            canary.arm.readiness = Readiness::Progressing("the Service lacks its Pods".to_owned());
        }
    }

    fn route(&mut self, routes: Routes) {
        self.seen.split = Some(Split {
            routes: Some(routes),
            acceptance: self.router.clone(),
            editor: None,
        });
    }

    fn release(&mut self, revision: &str) {
        let starts = self.never_starts.as_deref() != Some(revision);
        let target = self.target();
        assert_eq!(target.revision, revision);
        target.gate = Gate::Armed;
        target.verdict = None;
        target.complete = starts;
        target.stuck = None;
        target.ready_updated = if starts { target.replicas } else { 0 };
        if starts {
            target.ready = target.replicas;
            target.serving = serving(revision);
        } else {
            target.stuck = Some("ReplicaSet app has timed out progressing".to_owned());
        }
    }
}

/// A running target that nothing was made for yet.
fn observed() -> Observed {
    Observed {
        target: Some(target("v1")),
        services: Services {
            apex: Presence::There,
            canary: Presence::Missing,
            canary_has_pods: true,
            selects_canary: false,
            points_at_canary: false,
            idle: true,
        },
        capacity: Capacity::default(),
        policies: Some("p1".to_owned()),
        abilities: Abilities {
            traffic: TrafficKind::Weighted,
            settle_seconds: 5,
        },
        metrics: vec![success_rate()],
        metrics_server: true,
        epoch: 1,
        ..Observed::default()
    }
}

/// A weight as the route has it.
pub(crate) fn routes(weight: u8) -> Option<Routes> {
    Some(Routes {
        canary: Weight::new(weight),
        ..Routes::default()
    })
}

pub(crate) fn serving(revision: &str) -> Vec<Serving> {
    vec![Serving {
        replica_set: format!("app-{revision}"),
        revision: revision.to_owned(),
        images: vec![format!("app:{revision}")],
        replicas: 3,
        ready: 3,
    }]
}

pub(crate) fn target(revision: &str) -> Target {
    Target {
        uid: "t1".to_owned(),
        gate: Gate::Open,
        revision: revision.to_owned(),
        images: vec![format!("app:{revision}")],
        containers: format!("containers of {revision}"),
        declared: None,
        bypass: None,
        contested: false,
        serving: serving(revision),
        replicas: 3,
        ready: 3,
        ready_updated: 3,
        complete: true,
        available: true,
        stuck: None,
        verdict: None,
        leftovers: false,
        kept: false,
        gitops: None,
        writer: Some("kubectl".to_owned()),
        configs: Vec::new(),
    }
}

/// Half a second, at the 99th percentile.
pub(crate) fn duration() -> MetricPlan {
    let mut plan = success_rate();
    plan.name = "request-duration".to_owned();
    plan.limit.min = None;
    plan.limit.slower_than_ms = Some(500.0);
    plan
}

pub(crate) fn success_rate() -> MetricPlan {
    MetricPlan {
        name: "request-success-rate".to_owned(),
        measure: Measure::Share,
        limit: Limit {
            min: Some(99.0),
            max: None,
            tolerated_millionths: Some(10_000),
            slower_than_ms: None,
        },
        on_no_data: OnNoData::Wait,
        dry_run: false,
        min_samples: None,
        window_seconds: 60,
        default: true,
    }
}
