//! What happened to a Canary, in words for people who see one for the first time. Pure: two states in, lines out.

use kube::ResourceExt;

use crate::cli::demo::applications::End;
use crate::cli::screen::Colour;
use crate::crd::canary::Canary;
use crate::crd::status::{
    CanaryStatus, CandidateStatus, CheckStatus, CheckVerdict, Outcome, Phase, RequestOutcome, Wait,
};

/// What is found of every Pod in its first seconds.
const PASSING: [&str; 2] = ["NotReady", "NotStarted"];

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether that is good.
    pub tone: Colour,
    /// What happened.
    pub text: String,
}

impl Line {
    /// A line in this tone.
    #[must_use]
    pub fn new(tone: Colour, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }
}

/// What happened between two states of a Canary; without the first one, since it was made.
#[must_use]
pub fn tell(before: Option<&Canary>, now: &Canary) -> Vec<Line> {
    let status = |canary: &Canary| canary.status.clone().unwrap_or_default();
    let change = Change {
        canary: now,
        before: before.map(status).unwrap_or_default(),
        now: status(now),
    };
    let parts = [
        change.adopted(),
        change.asked(),
        change.held(),
        change.diagnosed(),
        change.checked(),
        change.waits(),
        change.promoting(),
        change.rejected(),
        change.weighed(),
        change.promoted(),
        change.put_back(),
        change.stuck(),
    ];
    parts.into_iter().flatten().collect()
}

/// What became of a release between two states; `None`: none has ended.
#[must_use]
pub fn end(before: Option<&Canary>, now: &Canary) -> Option<End> {
    let outcome = |canary: &Canary| {
        let candidate = canary.status.as_ref()?.candidate.as_ref()?;
        let verdict = candidate.verdict.as_ref()?;
        Some((candidate.attempt, verdict.outcome))
    };
    let phase = |canary: &Canary| canary.status.as_ref().map(|status| status.phase);
    if phase(now) == Some(Phase::Succeeded) && before.and_then(phase) != Some(Phase::Succeeded) {
        return before.map(|_| End::Promoted);
    }
    let (ended, known) = (outcome(now)?, before.and_then(outcome));
    match ended.1 {
        _ if known == Some(ended) => None,
        Outcome::RolledBack | Outcome::Aborted => Some(End::Rejected),
        Outcome::Promoted => None,
        Outcome::Superseded | Outcome::Skipped | Outcome::Bypassed => Some(End::Overtaken),
    }
}

struct Change<'a> {
    canary: &'a Canary,
    before: CanaryStatus,
    now: CanaryStatus,
}

impl Change<'_> {
    fn adopted(&self) -> Option<Line> {
        let adopted =
            self.before.phase == Phase::Initializing && self.now.phase == Phase::Initialized;
        let tag = self.stable();
        adopted.then(|| {
            let text =
                format!("{tag} is running; from now on, a new version is held and tried first");
            Line::new(Colour::Faint, text)
        })
    }

    fn asked(&self) -> Option<Line> {
        let request = self.now.last_request.as_ref()?;
        if self.before.last_request.as_ref().map(|last| &last.id) == Some(&request.id) {
            return None;
        }
        let by = request.by.as_deref().unwrap_or("somebody");
        let verb = &request.verb;
        Some(match request.outcome {
            RequestOutcome::Accepted => Line::new(Colour::Strong, format!("{by} asked for {verb}")),
            RequestOutcome::Refused => {
                let why = request.message.as_deref().unwrap_or_default();
                Line::new(
                    Colour::Bad,
                    format!("{by} asked for {verb}, which is refused: {why}"),
                )
            }
        })
    }

    fn held(&self) -> Option<Line> {
        let candidate = self.now.candidate.as_ref()?;
        if self.attempt() == Some(candidate.attempt) || candidate.verdict.is_some() {
            return None;
        }
        let (new, old) = (tag(&candidate.images), self.stable());
        let text = match self.provider() {
            "kubernetes" => {
                format!("{new} is held and started beside {old}, without users at first")
            }
            _ => format!(
                "{new} is held: {old} stays as it is, and a canary of {new} is started beside it"
            ),
        };
        Some(Line::new(Colour::Plain, text))
    }

    fn diagnosed(&self) -> Option<Line> {
        let serious = |status: &CanaryStatus| {
            let mut found = status.diagnosis.iter();
            found
                .find(|found| !PASSING.contains(&found.reason.as_str()))
                .cloned()
        };
        let found = serious(&self.now)?;
        if serious(&self.before).is_some() {
            return None;
        }
        let text = format!("does not start: {}, {}", found.reason, found.message);
        Some(Line::new(Colour::Bad, text))
    }

    fn checked(&self) -> Option<Line> {
        let worst = self.now.checks.first()?;
        let same = self.attempt() == self.candidate().map(|candidate| candidate.attempt);
        if !same || self.before.iterations == self.now.iterations || self.is_over() {
            return None;
        }
        if self.now.failed_checks > self.before.failed_checks {
            let text = format!("check failed: {}", in_full(worst));
            return Some(Line::new(Colour::Bad, text));
        }
        // Who waits for a person is checked on, which is no news as long as it goes well.
        let passed = matches!(worst.verdict, CheckVerdict::Pass | CheckVerdict::Unproven);
        if passed && waiting(&self.before).is_some() && waiting(&self.now).is_some() {
            return None;
        }
        let measured = in_short(&self.now.checks);
        Some(match worst.verdict {
            CheckVerdict::Pass => Line::new(Colour::Plain, format!("check passed: {measured}")),
            CheckVerdict::Unproven if self.now.canary_weight == 0 => Line::new(
                Colour::Plain,
                format!("check passed, without users: {measured}"),
            ),
            CheckVerdict::Unproven => {
                let text =
                    format!("check passed, though by too few requests to prove it: {measured}");
                Line::new(Colour::Busy, text)
            }
            _ => Line::new(Colour::Faint, format!("no verdict yet: {}", in_full(worst))),
        })
    }

    /// The candidate has its verdict, which says what the last check said.
    fn is_over(&self) -> bool {
        self.candidate()
            .is_some_and(|candidate| candidate.verdict.is_some())
    }

    fn waits(&self) -> Option<Line> {
        let now = waiting(&self.now)?;
        if waiting(&self.before) == Some(now) {
            return None;
        }
        let name = self.canary.name_any();
        let text = match now {
            Wait::Approval => format!(
                "waits for a person: `serin promote {name}` goes on, `serin abort {name}` goes back"
            ),
            Wait::Paused => format!("is paused; `serin resume {name}` goes on"),
            Wait::NoEvidence => format!("lacks evidence; `serin promote {name}` goes on without"),
            Wait::Contested => {
                format!("somebody else keeps changing the route; `serin resume {name}` tries again")
            }
        };
        Some(Line::new(Colour::Busy, text))
    }

    fn promoting(&self) -> Option<Line> {
        let begins = self.now.phase == Phase::Promoting && self.before.phase != Phase::Promoting;
        let new = self.candidate().map(|candidate| tag(&candidate.images))?;
        begins.then(|| {
            let text = match self.provider() {
                "kubernetes" => format!("every check passed: users are switched to {new}, and then the Deployment is rolled to it"),
                _ => format!("every check passed: the Deployment itself is rolled to {new} now"),
            };
            Line::new(Colour::Good, text)
        })
    }

    fn rejected(&self) -> Option<Line> {
        let verdict = self.candidate()?.verdict.as_ref()?;
        let known = self
            .before
            .candidate
            .as_ref()
            .and_then(|it| it.verdict.as_ref());
        if known == Some(verdict) {
            return None;
        }
        let (new, reason) = (self.candidate().map(|it| tag(&it.images))?, &verdict.reason);
        Some(match verdict.outcome {
            Outcome::Promoted | Outcome::Skipped => return None,
            Outcome::RolledBack => Line::new(Colour::Bad, format!("{new} is REJECTED: {reason}")),
            Outcome::Aborted => Line::new(Colour::Bad, format!("{new} is called off: {reason}")),
            Outcome::Superseded => Line::new(Colour::Plain, format!("{new} is {reason}")),
            Outcome::Bypassed => Line::new(Colour::Busy, format!("{new}: {reason}")),
        })
    }

    fn weighed(&self) -> Option<Line> {
        let weight = self.now.canary_weight;
        if weight == self.before.canary_weight {
            return None;
        }
        let switched = self.provider() == "kubernetes";
        let text = match self.now.phase {
            Phase::Failed | Phase::Initialized if weight == 0 => match self.provider() {
                "none" => format!("all Pods run {} again", self.stable()),
                _ => format!("all requests go to {} again", self.stable()),
            },
            Phase::Promoting if weight > 0 && switched => {
                let new = tag(&self.candidate()?.images);
                format!("the Service is switched: all requests go to {new} now")
            }
            Phase::Progressing | Phase::WaitingPromotion if weight > 0 => {
                let new = tag(&self.candidate()?.images);
                match self.provider() {
                    "none" => format!("{new} is {weight} % of the Pods now"),
                    _ => format!("{weight} % of the requests go to {new} now"),
                }
            }
            _ => return None,
        };
        Some(Line::new(Colour::Plain, text))
    }

    fn promoted(&self) -> Option<Line> {
        let ends = self.now.phase == Phase::Succeeded && self.before.phase != Phase::Succeeded;
        ends.then(|| {
            let text = format!("{} is PROMOTED: it is the main release now", self.stable());
            Line::new(Colour::Good, text)
        })
    }

    fn put_back(&self) -> Option<Line> {
        let back = self.now.phase == Phase::Initialized && self.before.phase == Phase::Failed;
        back.then(|| {
            let text = format!(
                "the Deployment says {} again; nothing is held",
                self.stable()
            );
            Line::new(Colour::Plain, text)
        })
    }

    /// What is wrong with the Canary itself or with the cluster.
    fn stuck(&self) -> Option<Line> {
        let find = |status: &CanaryStatus| {
            let mut all = status.conditions.iter();
            let stalled = all.find(|it| it.type_ == "Stalled" && it.status == "True");
            stalled.filter(|it| it.reason != "CanaryFailed").cloned()
        };
        let now = find(&self.now)?;
        let known = find(&self.before).is_some_and(|known| known.message == now.message);
        (!known).then(|| Line::new(Colour::Bad, format!("is stuck: {}", now.message)))
    }

    /// The attempt that was under way before.
    fn attempt(&self) -> Option<u32> {
        self.before
            .candidate
            .as_ref()
            .map(|candidate| candidate.attempt)
    }

    fn candidate(&self) -> Option<&CandidateStatus> {
        self.now.candidate.as_ref()
    }

    fn stable(&self) -> &str {
        self.now
            .stable
            .as_ref()
            .map_or("stable", |stable| tag(&stable.images))
    }

    fn provider(&self) -> &str {
        self.canary.spec.provider.as_deref().unwrap_or_default()
    }
}

fn waiting(status: &CanaryStatus) -> Option<Wait> {
    status.step.as_ref().and_then(|step| step.waiting)
}

/// The version as people say it: the tag of the first image.
#[must_use]
pub fn tag(images: &[String]) -> &str {
    let image = images.first().map_or("", String::as_str);
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or(image, |(_, tag)| tag)
}

/// A check with all that is known of it.
fn in_full(check: &CheckStatus) -> String {
    let mut text = check.name.clone();
    if let Some(value) = &check.value {
        text.push_str(&format!(" {value}"));
    }
    if let Some(limit) = &check.limit {
        text.push_str(&format!(", the limit is {limit}"));
    }
    if let Some(samples) = check.samples.filter(|samples| *samples > 0) {
        text.push_str(&format!(" (of {samples} requests)"));
    }
    if let Some(message) = &check.message {
        text.push_str(&format!(": {message}"));
    }
    text
}

/// The checks and their values. Not those about the weight, which say nothing of the version; readiness if there is nothing else.
fn in_short(checks: &[CheckStatus]) -> String {
    let one = |check: &CheckStatus| {
        let value = check.value.as_ref()?;
        Some(match &check.limit {
            Some(limit) => format!("{} {value} ({limit})", check.name),
            None => format!("{} {value}", check.name),
        })
    };
    let (metrics, others): (Vec<_>, Vec<_>) = checks
        .iter()
        .filter(|check| check.name != "weight")
        .partition(|check| check.name != "readiness");
    let measured: Vec<_> = metrics.into_iter().filter_map(one).collect();
    if measured.is_empty() {
        let ready: Vec<_> = others.into_iter().filter_map(one).collect();
        return ready.join(", ");
    }
    measured.join(", ")
}

#[cfg(test)]
mod tests;
