//! What a person may ask for now, and what it will do, as far as spec and status tell: the answer comes before the request, and
//! `request` still decides. What only a look at the cluster tells (a rejected canary that is still being removed, a GitOps manager)
//! is not known here.

use crate::crd::canary::Canary;
use crate::crd::status::{CanaryStatus, Outcome, Phase, PlannedStep, Release, StepStatus, Wait};
use crate::rollout::observed::Routes;

/// Every verb.
pub const VERBS: [&str; 10] = [
    "promote",
    "promote-full",
    "abort",
    "pause",
    "resume",
    "retry",
    "skip",
    "rollback",
    "restart",
    "undo",
];

/// A verb that is allowed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The verb.
    pub verb: &'static str,
    /// What will happen, in a sentence.
    pub effect: String,
    /// It takes traffic or checks away, or puts another version on the target.
    pub danger: bool,
}

/// The verbs that are allowed now, each with what it will do.
#[must_use]
pub fn allowed(canary: &Canary) -> Vec<Offer> {
    let initial = CanaryStatus::default();
    let state = State {
        canary,
        status: canary.status.as_ref().unwrap_or(&initial),
    };
    if canary.metadata.deletion_timestamp.is_some() || state.status.phase == Phase::Terminating {
        return Vec::new();
    }
    let offer = |verb| {
        let (effect, danger) = state.effect(verb)?;
        Some(Offer {
            verb,
            effect,
            danger,
        })
    };
    VERBS.into_iter().filter_map(offer).collect()
}

/// Whether a request that is meant for this revision is meant for the candidate.
#[must_use]
pub fn is_candidate(canary: &Canary, revision: &str) -> bool {
    let status = canary.status.as_ref();
    let candidate = status.and_then(|status| status.candidate.as_ref());
    candidate.is_some_and(|candidate| {
        candidate.revision == revision || candidate.requested.as_deref() == Some(revision)
    })
}

/// What a rollback to this finished attempt would do; nothing where it is not allowed now.
#[must_use]
pub fn rollback_to(canary: &Canary, release: &Release) -> Option<String> {
    let status = canary.status.as_ref()?;
    let ends = canary.metadata.deletion_timestamp.is_some();
    let state = State { canary, status };
    (!ends && state.can_return(release)).then(|| state.return_to(release))
}

fn waits_for_hooks(step: &StepStatus) -> bool {
    step.hooks.iter().any(|it| it.passed_at.is_none())
}

struct State<'a> {
    canary: &'a Canary,
    status: &'a CanaryStatus,
}

/// What happens, and whether it is worth a question.
type Effect = Option<(String, bool)>;

impl State<'_> {
    fn effect(&self, verb: &str) -> Effect {
        let in_progress = self.in_progress();
        match verb {
            "promote" => self.promote(),
            "promote-full" if in_progress || self.rejected() => Some(self.promote_full()),
            "abort" if in_progress || self.promoting() => Some(self.abort()),
            "pause" if in_progress && self.waiting().is_none() => Some(self.pause()),
            "resume" => self.resume(),
            "retry" if self.rejected() => Some(self.retry()),
            "skip" if in_progress => Some(self.skip()),
            "rollback" => self.rollback(),
            "restart" => self.restart(),
            "undo" if in_progress || self.promoting() || self.rejected() => Some(self.undo()),
            _ => None,
        }
    }

    fn in_progress(&self) -> bool {
        let open = matches!(
            self.status.phase,
            Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion
        );
        let candidate = self.status.candidate.as_ref();
        open && candidate.is_some_and(|candidate| candidate.verdict.is_none())
    }

    fn promoting(&self) -> bool {
        self.status.phase == Phase::Promoting
    }

    /// What was rejected is still on the target, and held. Another template in its place is told by the conditions.
    fn rejected(&self) -> bool {
        let replaced = self
            .status
            .conditions
            .iter()
            .any(|found| found.reason == "AnotherTemplate" && found.status == "True");
        let held = !replaced && self.status.revert.is_none();
        self.status.phase == Phase::Failed && self.status.candidate.is_some() && held
    }

    fn step(&self) -> Option<&StepStatus> {
        self.status.step.as_ref()
    }

    fn waiting(&self) -> Option<Wait> {
        self.step().and_then(|step| step.waiting)
    }

    fn planned(&self, index: Option<u32>) -> Option<&PlannedStep> {
        let index = usize::try_from(index?).ok()?;
        self.status.plan.get(index)
    }

    fn promote(&self) -> Effect {
        let step = self.step().filter(|_| self.in_progress())?;
        let unproven = match step.waiting {
            Some(Wait::Paused) => return None,
            Some(Wait::NoEvidence | Wait::Contested) => " The release is marked Unproven.",
            Some(Wait::Approval) => "",
            None if waits_for_hooks(step) => return Some((self.without_hooks(step), true)),
            None if step.paused_at.is_some() => "",
            None => return None,
        };
        Some((format!("{}{unproven}", self.next_step()), false))
    }

    fn without_hooks(&self, step: &StepStatus) -> String {
        let waiting = step.hooks.iter().filter(|it| it.passed_at.is_none());
        let names: Vec<_> = waiting.map(|it| it.name.as_str()).collect();
        format!(
            "{} goes on without the go-ahead of the hook {}. The history marks it Forced.",
            self.candidate(),
            names.join(", ")
        )
    }

    /// What follows once the step that it is in has passed.
    fn next_step(&self) -> String {
        let step = self.step();
        let next = step.map(|step| step.index + 1);
        let before = self.planned(step.map(|step| step.index));
        let before = before.map_or(0, |planned| planned.weight);
        let candidate = self.candidate();
        let plain = |planned: &PlannedStep| !Routes::planned(planned).beside();
        match (self.planned(next), step) {
            (Some(planned), _) if before == 0 && planned.weight == 100 => {
                format!("All traffic is switched to {candidate}.")
            }
            (Some(planned), Some(step)) if plain(planned) => format!(
                "Step {} of {} begins: {} % of the traffic goes to {candidate}.",
                step.index + 2,
                step.of,
                planned.weight
            ),
            (Some(planned), Some(step)) => format!(
                "Step {} of {} begins: {candidate} gets {}.",
                step.index + 2,
                step.of,
                Routes::planned(planned)
            ),
            _ => format!("{} is rolled to {candidate}.", self.target()),
        }
    }

    fn promote_full(&self) -> (String, bool) {
        let skipped = if self.rejected() {
            "It was rejected, and is promoted all the same"
        } else {
            "Every check and pause that is left is skipped"
        };
        let effect = format!(
            "{skipped}: {} is rolled to {}. The history marks it Forced, with your name.",
            self.target(),
            self.candidate()
        );
        (effect, true)
    }

    fn abort(&self) -> (String, bool) {
        let (candidate, stable) = (self.candidate(), self.stable());
        let effect = if self.promoting() {
            format!(
                "{candidate} is rejected; where {} runs it already, {stable} is put back first.",
                self.target()
            )
        } else if self.status.canary_weight > 0 || self.routes().reach() {
            format!(
                "All traffic goes back to {stable} at once; {candidate} is rejected and its Pods are deleted."
            )
        } else {
            format!("{candidate} is rejected and its Pods are deleted; it has no traffic.")
        };
        (effect, true)
    }

    fn routes(&self) -> Routes {
        Routes::wanted(&self.status.traffic)
    }

    fn pause(&self) -> (String, bool) {
        let candidate = self.candidate();
        let routes = self.routes();
        let effect = if !routes.reach() {
            format!("{candidate} stays without traffic until `resume`.")
        } else if routes.beside() {
            format!("{candidate} keeps {routes} until `resume`.")
        } else {
            format!("{routes} of the traffic stays with {candidate} until `resume`.")
        };
        (effect, false)
    }

    fn resume(&self) -> Effect {
        let step = self.step().filter(|_| self.in_progress())?;
        let waits = matches!(
            step.waiting,
            Some(Wait::Paused | Wait::NoEvidence | Wait::Contested)
        );
        let effect = format!(
            "Step {} of {} goes on with its checks, at {} of the traffic.",
            step.index + 1,
            step.of,
            self.routes()
        );
        waits.then_some((effect, false))
    }

    fn retry(&self) -> (String, bool) {
        let effect = format!(
            "A new attempt for {} begins, from its first step.",
            self.candidate()
        );
        (effect, false)
    }

    fn skip(&self) -> (String, bool) {
        let number = self.step().map_or(1, |step| step.index + 1);
        let effect = format!(
            "Step {number} counts as passed without the rest of its checks. {} The history marks it Forced, with your name.",
            self.next_step()
        );
        (effect, true)
    }

    fn rollback(&self) -> Effect {
        if self.in_progress() || self.promoting() {
            return Some(self.abort());
        }
        let mut history = self.status.history.iter();
        let last = history.find(|release| self.can_return(release))?;
        Some((self.return_to(last), true))
    }

    /// It was promoted before, is not what serves, and nothing is in its way.
    fn can_return(&self, release: &Release) -> bool {
        let stable = self.status.stable.as_ref();
        let stable = stable.map_or("", |stable| &stable.revision);
        self.status.phase.is_idle()
            && release.outcome == Outcome::Promoted
            && release.revision != stable
    }

    fn return_to(&self, release: &Release) -> String {
        format!(
            "{}, which was promoted before, is put back on {} at once, without analysis.",
            version(&release.images, &release.revision),
            self.target()
        )
    }

    fn restart(&self) -> Effect {
        let stable = self.stable();
        if self.in_progress() || self.rejected() {
            let effect = format!(
                "The Pods of {stable} are evicted one by one, within their disruption budgets."
            );
            return Some((effect, false));
        }
        let gated = |found: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            found.type_ == "Gated" && found.status == "True"
        };
        let idle = matches!(self.status.phase, Phase::Initialized | Phase::Succeeded);
        let effect = format!("A canary of {stable} itself is tried, step by step.");
        (idle && self.status.conditions.iter().any(gated)).then_some((effect, false))
    }

    fn undo(&self) -> (String, bool) {
        let effect = format!("{} is put back on {}", self.stable(), self.target());
        let effect = if self.in_progress() {
            format!("{} is rejected, and {effect}.", self.candidate())
        } else {
            format!("{effect}, which ends the hold.")
        };
        (effect, true)
    }

    fn target(&self) -> String {
        let target = &self.canary.spec.target_ref;
        format!("{} {}", target.kind, target.name)
    }

    fn candidate(&self) -> String {
        let candidate = self.status.candidate.as_ref();
        candidate.map_or_else(
            || "the candidate".to_owned(),
            |candidate| version(&candidate.images, &candidate.revision),
        )
    }

    fn stable(&self) -> String {
        let stable = self.status.stable.as_ref();
        stable.map_or_else(
            || "the stable version".to_owned(),
            |stable| version(&stable.images, &stable.revision),
        )
    }
}

/// A version as people know it: by its images, else by its revision.
fn version(images: &[String], revision: &str) -> String {
    if images.is_empty() {
        format!("revision {revision}")
    } else {
        images.join(", ")
    }
}
