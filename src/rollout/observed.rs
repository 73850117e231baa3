//! What goes into a decision: the world as the adapters saw it, in the core's words.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::analysis::{Counter, MetricPlan};
use crate::crd::hook::HookKind;
use crate::crd::moment::Moment;
use crate::crd::status::Diagnosis;
pub use crate::rollout::routes::{Routes, Weight};

/// The split as it stands in the live route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Read back; `None`: the route does not say what Serin writes (a rule or backend was changed).
    pub routes: Option<Routes>,
    /// Whether the data plane runs it.
    pub acceptance: Acceptance,
    /// The other manager that last wrote the route, if one can be named.
    pub editor: Option<String>,
}

/// The router's own word on a route, at its current generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It runs.
    Accepted,
    /// Not yet; why.
    Pending(String),
    /// It was refused; why.
    Rejected(String),
}

/// Whether Pods serve. "Not yet" is a value, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As many Pods as wanted are ready, and behind the Service.
    Ready,
    /// Not yet; what is missing.
    Progressing(String),
    /// It cannot become ready as it is; why.
    Stuck(String),
}

/// One arm of the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// The revision that it runs.
    pub revision: String,
    /// Pods wanted.
    pub replicas: i32,
    /// Ready Pods that are endpoints of the arm's Service (or only ready, where it has none).
    pub ready: i32,
    /// The same in one word.
    pub readiness: Readiness,
}

/// State of the gate on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// No gate label of this Canary.
    Open,
    /// The gate stands; nothing is held.
    Armed,
    /// The gate holds a template.
    Held,
    /// Serin puts the stable template back.
    Reverting,
    /// A person paused it.
    PausedByOther,
}

/// The target, as far as it decides anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// UID.
    pub uid: String,
    /// State of the gate.
    pub gate: Gate,
    /// Hash of the live template.
    pub revision: String,
    /// Its images.
    pub images: Vec<String>,
    /// Hash of its containers.
    pub containers: String,
    /// Annotation `serin.dev/revision`.
    pub declared: Option<String>,
    /// Value of the bypass label.
    pub bypass: Option<String>,
    /// A GitOps writer wanted another template while it was reverting.
    pub contested: bool,
    /// The ReplicaSets with Pods, the one with the most ready Pods first.
    pub serving: Vec<Serving>,
    /// Pods wanted.
    pub replicas: i32,
    /// Ready Pods of all revisions.
    pub ready: i32,
    /// Ready Pods of the live template that are endpoints of the apex Service.
    pub ready_updated: i32,
    /// Rolled out: every Pod runs the live template, is available, and the controller has seen the spec.
    pub complete: bool,
    /// Available by its condition, or as many Pods as wanted.
    pub available: bool,
    /// The roll made no progress within the target's own deadline; its message.
    pub stuck: Option<String>,
    /// Message of the verdict that stands in its `Progressing` condition, if it is ours.
    pub verdict: Option<String>,
    /// ReplicaSets without Pods that must go while a template is held (SAFETY G11).
    pub leftovers: bool,
    /// Stable's template is kept in a ControllerRevision.
    pub kept: bool,
    /// The GitOps manager that applies it.
    pub gitops: Option<String>,
    /// The manager that last wrote its template.
    pub writer: Option<String>,
    /// Hashes or names of the ConfigMaps and Secrets that stable mounts.
    pub configs: Vec<String>,
}

/// A ReplicaSet of the target that has Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Its name.
    pub replica_set: String,
    /// Hash of its template.
    pub revision: String,
    /// Its images.
    pub images: Vec<String>,
    /// Pods wanted.
    pub replicas: i32,
    /// Ready Pods.
    pub ready: i32,
}

/// The canary workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryArm {
    /// Revision, size and readiness.
    pub arm: Arm,
    /// Its ready Pods, and since when they are.
    pub ready_since: BTreeMap<String, Moment>,
    /// Restarts of its containers so far, in all Pods that exist.
    pub restarts: i32,
    /// Pods that do not start.
    pub diagnosis: Vec<Diagnosis>,
    /// It is being deleted.
    pub deleting: bool,
}

/// State of the lock on the target's autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Name of the autoscaler, if there is one.
    pub autoscaler: Option<String>,
    /// It may not scale down, by our lock.
    pub locked: bool,
    /// `selectPolicy` of another manager, to be given back.
    pub foreign_policy: Option<String>,
    /// Pods that the autoscaler would want for all traffic (SAFETY C4), if it says so.
    pub wants: Option<i32>,
    /// Pods that the autoscaler allows at most.
    pub most: Option<i32>,
    /// A copy for the canary can be made.
    pub copyable: bool,
    /// Why it cannot be locked.
    pub unprotected: Option<String>,
}

/// State of the Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The apex Service exists, and can be used; or why not.
    pub apex: Presence,
    /// The canary Service exists and is ours; or why not.
    pub canary: Presence,
    /// The canary has a ready Pod, so that its Service can lead somewhere.
    pub canary_has_pods: bool,
    /// The canary Service selects the canary's Pods.
    pub selects_canary: bool,
    /// It does, and exactly the ready ones of them are endpoints.
    pub points_at_canary: bool,
    /// The canary Service selects what it shall while idle.
    pub idle: bool,
}

/// Whether an object is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It is there, or this Canary needs none.
    #[default]
    There,
    /// It is not, and Serin makes it.
    Missing,
}

/// Something that the spec or the cluster has wrong; the rollout waits until it is mended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Reason, one of the Event reasons.
    pub reason: &'static str,
    /// Which field or object, what is wrong, and what would be right.
    pub message: String,
    /// How far it reaches.
    pub severity: Severity,
}

/// How far a problem reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be done for this Canary.
    Refused,
    /// Said, but nothing stops.
    Warning,
}

/// A question that only the shell can answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Does a dry run of a template change come back held?
    Gate,
    /// What does the target say right now, not in a cache: its UID, `serin.dev/revision` and template?
    Target,
    /// The counters or the value of this metric.
    Metric(MetricCheck),
    /// What does this hook say?
    Hook(HookCall),
    /// Was this message sent?
    Alert(AlertCall),
}

impl Check {
    /// This reading of a metric.
    #[must_use]
    pub fn metric(name: &str, reading: Reading) -> Self {
        let name = name.to_owned();
        Self::Metric(MetricCheck { name, reading })
    }
}

/// One message to one of the Canary's alerts: its fields are the key by which the receiver knows it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertCall {
    /// The alert's name.
    pub name: String,
    /// The reason of the Event.
    pub reason: String,
    /// The attempt.
    pub attempt: u32,
    /// When it happened.
    pub at: Moment,
}

/// One call of a hook. The same call is never made twice with different meanings, and made again it says so: its fields are a part
/// of the key that it carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookCall {
    /// The hook's name.
    pub name: String,
    /// When it is called.
    pub kind: HookKind,
    /// The attempt.
    pub attempt: u32,
    /// The step, from 0.
    pub step: u32,
    /// Calls in this step before this one.
    pub number: u32,
}

/// What a hook said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReply {
    /// What it wants.
    pub verdict: HookVerdict,
    /// Why, or what went wrong; for people.
    pub reason: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// What a hook wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookVerdict {
    /// Go on.
    Continue,
    /// Not yet.
    Wait,
    /// No, or no answer.
    Refused,
    /// A failed check, by its own word.
    Fail,
    /// An end of this release, by its own word.
    Abort,
}

/// A question to a metrics server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricCheck {
    /// The metric, by its name in the spec, or a built-in one.
    pub name: String,
    /// The reading.
    pub reading: Reading,
}

/// How a metric is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Raw counters of both arms, as they were at this time.
    Counters(Moment),
    /// Raw counters of stable at many times between these two.
    History {
        /// The oldest time.
        from: Moment,
        /// The newest.
        to: Moment,
    },
    /// The bound that nearly all of stable's durations kept in the hour before this time, in milliseconds.
    Usual(Moment),
    /// The value of a template for the window that ends at `at`, measured on the canary.
    Canary {
        /// Begin of the window at the earliest.
        start: Moment,
        /// End of the window.
        at: Moment,
    },
    /// The same, measured on stable.
    Stable {
        /// Begin of the window at the earliest.
        start: Moment,
        /// End of the window.
        at: Moment,
    },
}

/// What the world said to a `Check`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The dry run came back held.
    GateHeld,
    /// It did not; why.
    GateOpen(String),
    /// The live target: its `serin.dev/revision` annotation and the revision of its template. `None`: there is no target.
    Target(Option<LiveTarget>),
    /// Counters of every process of both arms.
    Counters(Vec<Counter>),
    /// Counters of every process of stable, time by time, oldest first.
    History(Vec<Vec<Counter>>),
    /// One value; `None`: no data.
    Value(Option<f64>),
    /// The server could not be asked, or answered with nonsense.
    Unreachable(String),
    /// The server refused the query: a mistake of the configuration.
    Rejected(String),
    /// What a hook said.
    Hook(HookReply),
    /// A message got through, or why it never will.
    Told(Result<(), String>),
    /// The hook is being asked, the message is on its way: the answer calls the Canary.
    Asked,
}

/// The target as a live read saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTarget {
    /// Annotation `serin.dev/revision`.
    pub declared: Option<String>,
    /// Hash of its template.
    pub revision: String,
    /// Version of the object.
    pub resource_version: String,
}

/// The world, as far as it matters for one Canary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The target; `None`: it does not exist.
    pub target: Option<Target>,
    /// The canary workload; `None`: it does not exist.
    pub canary: Option<CanaryArm>,
    /// The route; `None`: it does not exist.
    pub split: Option<Split>,
    /// Services.
    pub services: Services,
    /// Autoscaler.
    pub capacity: Capacity,
    /// What is wrong with spec or cluster.
    pub problems: Vec<Problem>,
    /// Identity of the admission objects; `None`: they are not all there.
    pub policies: Option<String>,
    /// What this provider can do.
    pub abilities: Abilities,
    /// Checks that the configuration asks for.
    pub metrics: Vec<MetricPlan>,
    /// A metrics server is configured.
    pub metrics_server: bool,
    /// Term of the leader that asks.
    pub epoch: i64,
    /// Answers so far in this tick.
    pub answers: BTreeMap<Check, Answer>,
}

/// What a provider can do, as far as the plan depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// How traffic moves.
    pub traffic: TrafficKind,
    /// Seconds that a change needs to reach every proxy once it is accepted.
    pub settle_seconds: u32,
}

/// How a provider moves traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficKind {
    /// By weights of 0 to 100.
    #[default]
    Weighted,
    /// All or nothing (provider `kubernetes`).
    Switched,
    /// By the number of Pods (provider `none`).
    Replicas,
}
