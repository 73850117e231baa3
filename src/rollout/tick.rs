//! One tick in the making: the new status, the notes and the next wake-up, while the phases work on them.

use std::time::Duration;

use crate::crd::affinity::Cookie;
use crate::crd::canary::{Canary, CanarySpec};
use crate::crd::moment::Moment;
use crate::crd::status::{CanaryStatus, CandidateStatus, Phase, StepStatus};
use crate::objects::mark;
use crate::rollout::decision::Note;
use crate::rollout::observed::{
    Acceptance, Answer, CanaryArm, Check, Observed, Routes, Severity, Target, TrafficKind, Weight,
};

/// Either the value, or what has to be asked first.
pub(crate) type Asked<T> = Result<T, Vec<Check>>;

/// How many corrections of a route within `CONTEST_WINDOW` make it contested (LIFECYCLE).
pub(crate) const CONTEST_LIMIT: usize = 3;
/// See `CONTEST_LIMIT`.
pub(crate) const CONTEST_WINDOW: Duration = Duration::from_secs(300);

/// One tick in the making.
pub(crate) struct Tick<'a> {
    pub(crate) canary: &'a Canary,
    pub(crate) spec: &'a CanarySpec,
    pub(crate) seen: &'a Observed,
    pub(crate) now: Moment,
    pub(crate) status: CanaryStatus,
    pub(crate) notes: Vec<Note>,
    /// Places in `notes` of those that are no message to people.
    pub(crate) muted: Vec<usize>,
    /// Id of a request whose annotation has to go.
    pub(crate) acknowledge: Option<String>,
    wake: Option<Moment>,
}

impl<'a> Tick<'a> {
    pub(crate) fn new(canary: &'a Canary, seen: &'a Observed, now: Moment) -> Self {
        let status = canary.status.clone().unwrap_or_default();
        Self {
            canary,
            spec: &canary.spec,
            seen,
            now,
            status,
            notes: Vec::new(),
            muted: Vec::new(),
            acknowledge: None,
            wake: None,
        }
    }

    /// The answer to a check, or the check as a question.
    pub(crate) fn answer(&self, check: Check) -> Asked<&'a Answer> {
        self.seen.answers.get(&check).ok_or_else(|| vec![check])
    }

    /// Comes back at this time at the latest.
    pub(crate) fn wake_at(&mut self, at: Moment) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Comes back after so many seconds at the latest.
    pub(crate) fn wake_in(&mut self, seconds: u64) {
        self.wake_at(self.now.after(Duration::from_secs(seconds)));
    }

    /// Time until the next wake-up, if one is set.
    pub(crate) fn requeue(&self) -> Option<Duration> {
        self.wake
            .map(|wake| wake.since(self.now).max(Duration::from_millis(20)))
    }

    /// The state in one sentence.
    pub(crate) fn say(&mut self, message: impl Into<String>) {
        self.status.message = message.into();
    }

    pub(crate) fn note(&mut self, reason: &'static str, message: impl Into<String>) {
        self.notes.push(Note {
            reason,
            warning: false,
            message: message.into(),
        });
    }

    pub(crate) fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.notes.push(Note {
            reason,
            warning: true,
            message: message.into(),
        });
    }

    /// The next note is no message to people, if so.
    pub(crate) fn mute_next(&mut self, quiet: bool) {
        if quiet {
            self.muted.push(self.notes.len());
        }
    }

    pub(crate) fn target(&self) -> Option<&'a Target> {
        self.seen.target.as_ref()
    }

    pub(crate) fn canary_arm(&self) -> Option<&'a CanaryArm> {
        self.seen.canary.as_ref()
    }

    pub(crate) fn candidate(&self) -> Option<&CandidateStatus> {
        self.status.candidate.as_ref()
    }

    pub(crate) fn candidate_revision(&self) -> &str {
        self.status
            .candidate
            .as_ref()
            .map_or("", |candidate| &candidate.revision)
    }

    pub(crate) fn stable_revision(&self) -> &str {
        self.status
            .stable
            .as_ref()
            .map_or("", |stable| &stable.revision)
    }

    pub(crate) fn step(&self) -> Option<&StepStatus> {
        self.status.step.as_ref()
    }

    pub(crate) fn deleting(&self) -> bool {
        self.canary.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn has_finalizer(&self) -> bool {
        let finalizers = self.canary.metadata.finalizers.as_ref();
        finalizers.is_some_and(|all| all.iter().any(|finalizer| finalizer == mark::FINALIZER))
    }

    pub(crate) fn kind(&self) -> TrafficKind {
        self.seen.abilities.traffic
    }

    pub(crate) fn progress_deadline(&self) -> Duration {
        Duration::from_secs(
            u64::try_from(self.spec.progress_deadline_seconds.max(1)).unwrap_or(600),
        )
    }

    pub(crate) fn interval(&self) -> Duration {
        std::time::Duration::from(self.spec.analysis.interval).max(Duration::from_secs(1))
    }

    pub(crate) fn go(&mut self, phase: Phase) {
        self.status.phase = phase;
    }

    /// The first thing that makes the whole spec unusable, if there is one.
    pub(crate) fn refusal(&self) -> Option<&'a str> {
        let refused =
            |problem: &&crate::rollout::observed::Problem| problem.severity == Severity::Refused;
        self.seen
            .problems
            .iter()
            .find(refused)
            .map(|problem| problem.message.as_str())
    }

    /// What the canary shall get.
    pub(crate) fn wanted(&self) -> Routes {
        Routes::wanted(&self.status.traffic)
    }

    /// The canary shall get nothing from now on.
    pub(crate) fn leave(&mut self) {
        self.want(Routes::default());
    }

    /// Wants other routes from now on. What was accepted before says nothing about them.
    pub(crate) fn want(&mut self, routes: Routes) {
        if self.wanted() != routes || self.status.traffic.wanted_at.is_none() {
            self.keep_users(routes);
            let traffic = &mut self.status.traffic;
            traffic.wanted = routes.canary.percent();
            traffic.matched = routes.matched;
            traffic.header_routes = routes.headers;
            traffic.mirror = routes.mirror.percent();
            traffic.wanted_at = Some(self.now);
            traffic.accepted_at = None;
            if !routes.reach() {
                traffic.backed = 0;
            }
            self.sense();
        }
    }

    /// The first share of an attempt comes with a cookie of its own, which stays as it is until the canary gets nothing any more.
    fn keep_users(&mut self, routes: Routes) {
        let Some(affinity) = self.spec.analysis.session_affinity.as_ref() else {
            return;
        };
        if routes.canary == Weight::ZERO || self.status.traffic.wanted > 0 {
            return;
        }
        let revision = self.candidate_revision();
        let mut shares: Vec<u8> = self.status.plan.iter().map(|step| step.weight).collect();
        shares.retain(|share| (1..100).contains(share));
        shares.dedup();
        self.status.traffic.cookie = Some(Cookie {
            name: affinity.cookie_name.clone(),
            attempt: format!("{revision}-{}", self.now.timestamp().as_second()),
            attributes: affinity.attributes(),
            shares,
        });
    }

    /// Compares the route with what is wanted: accepted, on its way, or changed by somebody else.
    pub(crate) fn sense(&mut self) {
        let wanted = Some(self.wanted());
        let traffic = &mut self.status.traffic;
        let Some(split) = &self.seen.split else {
            traffic.accepted_at = None;
            traffic.written = 0;
            traffic.beside = false;
            return;
        };
        let written = split.routes;
        if let Some(written) = written {
            traffic.written = written.canary.percent();
            traffic.beside = written.beside();
        }
        if written == wanted && split.acceptance == Acceptance::Accepted {
            self.accept();
        } else if self.status.traffic.accepted_at.take().is_some() && written != wanted {
            self.contest(split.editor.clone(), written);
        }
    }

    fn accept(&mut self) {
        let backed = self.canary_arm().map_or(0, |canary| canary.arm.ready);
        let reached = self.wanted().reach();
        let traffic = &mut self.status.traffic;
        if traffic.accepted_at.is_none() {
            traffic.accepted_at = Some(self.now);
            // Without traffic nothing is carried, whatever still runs.
            traffic.backed = if reached { backed } else { 0 };
            if !reached {
                traffic.cookie = None;
            }
            self.status.canary_weight = traffic.wanted;
        }
    }

    /// Somebody else changed a route that was in force.
    fn contest(&mut self, editor: Option<String>, written: Option<Routes>) {
        let now = self.now;
        let corrections = &mut self.status.traffic.corrections;
        corrections.retain(|at| now.since(*at) < CONTEST_WINDOW);
        corrections.push(now);
        let often = corrections.len() > CONTEST_LIMIT;
        let who = editor.unwrap_or_else(|| "somebody else".to_owned());
        let what = written.map_or_else(
            || "its rules".to_owned(),
            |written| format!("the weight to {written}"),
        );
        let text = format!(
            "{who} changed the route ({what}); it is put back to {}",
            self.wanted()
        );
        if often {
            self.warn(
                "RouteContested",
                format!("{text}; more than {CONTEST_LIMIT} times in 5 minutes"),
            );
        } else {
            self.warn("RouteNotReady", text);
        }
    }

    pub(crate) fn contested(&self) -> bool {
        let now = self.now;
        self.status
            .traffic
            .corrections
            .iter()
            .filter(|at| now.since(**at) < CONTEST_WINDOW)
            .count()
            > CONTEST_LIMIT
    }

    /// The wanted weight is accepted.
    pub(crate) fn in_force(&self) -> bool {
        self.status.traffic.accepted_at.is_some()
    }

    /// When the wanted weight has reached every proxy, as far as one can know; `None` while it is not accepted.
    pub(crate) fn settled_at(&self) -> Option<Moment> {
        let settle = Duration::from_secs(u64::from(self.seen.abilities.settle_seconds));
        let since = self.status.traffic.accepted_at;
        since.or_else(|| self.left_at()).map(|at| at.after(settle))
    }

    /// When weight 0 was wanted of an application that goes as a whole. The Service behind its route may be gone too, and then no
    /// router accepts the route any more; there is no stable that users could be kept from, either.
    fn left_at(&self) -> Option<Moment> {
        let none = self.written().is_some_and(|written| !written.reach());
        let left = self.deleting() && self.target().is_none() && none;
        self.status.traffic.wanted_at.filter(|_| left)
    }

    pub(crate) fn settled(&self) -> bool {
        self.settled_at().is_some_and(|at| at <= self.now)
    }

    /// What the route says now.
    pub(crate) fn written(&self) -> Option<Routes> {
        self.seen.split.as_ref().and_then(|split| split.routes)
    }
}
