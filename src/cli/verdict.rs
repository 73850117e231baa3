//! Whether the release that somebody waits for has ended, and how. Pure, so that each race is a row in a test.

use crate::cli::exit::Exit;
use crate::crd::canary::Canary;
use crate::crd::status::{CanaryStatus, Outcome, Phase};
use crate::objects::{Deployment, mark};

/// Characters of a hash from which on a beginning may stand for the whole.
const ENOUGH: usize = 6;

/// What is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// The revision that was named: `spec.revision`, or the hash of a Pod template.
    pub revision: Option<String>,
    /// The candidate that was last seen under test while waiting. What becomes of it decides.
    pub following: Option<String>,
}

impl Goal {
    /// Notes the candidate that is under test now. True if it takes the place of another.
    pub fn follow(&mut self, canary: &Canary) -> bool {
        let Some(status) = &canary.status else {
            return false;
        };
        let under_test = status
            .candidate
            .as_ref()
            .filter(|_| !status.phase.is_idle());
        let Some(candidate) = under_test.filter(|candidate| candidate.verdict.is_none()) else {
            return false;
        };
        let before = self.following.replace(candidate.revision.clone());
        before.is_some_and(|before| before != candidate.revision)
    }
}

/// How the wait ends; `None`: not yet. A status that does not know the newest spec or template decides nothing, so that a wait
/// may begin in the instant after an apply.
#[must_use]
pub fn verdict(canary: &Canary, target: Option<&Deployment>, goal: &Goal) -> Option<Exit> {
    let status = canary.status.as_ref()?;
    if canary.metadata.deletion_timestamp.is_some() {
        return Some(Exit::Failed);
    }
    if status.observed_generation != canary.metadata.generation || status.restart_at.is_some() {
        return None;
    }
    match status.phase {
        Phase::Failed => rejected(canary, status, target?, goal),
        Phase::Initialized | Phase::Succeeded => settled(canary, status, target?, goal),
        Phase::Terminating => Some(Exit::Failed),
        _ => misconfigured(status).then_some(Exit::Failed),
    }
}

/// Nothing can be done for this Canary until its configuration is mended.
fn misconfigured(status: &CanaryStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Stalled" && condition.status == "True")
}

fn rejected(
    canary: &Canary,
    status: &CanaryStatus,
    target: &Deployment,
    goal: &Goal,
) -> Option<Exit> {
    let candidate = status.candidate.as_ref()?;
    let same = target.template.revision == candidate.revision
        || (!candidate.containers.is_empty() && target.template.containers == candidate.containers);
    // Another template is on the target, and the status knows nothing of it yet; or stable's, and the hold will end.
    if !same {
        return None;
    }
    let meant = goal.revision.as_deref().is_none_or(|wanted| {
        means(wanted, &candidate.revision)
            || candidate.requested.as_deref() == Some(wanted)
            || canary.spec.revision.as_deref() == Some(wanted)
    });
    meant.then_some(Exit::Failed)
}

fn settled(
    canary: &Canary,
    status: &CanaryStatus,
    target: &Deployment,
    goal: &Goal,
) -> Option<Exit> {
    if misconfigured(status) {
        return Some(Exit::Failed);
    }
    let stable = &status.stable.as_ref()?.revision;
    // Held, or not what the status calls stable: a template that the controller has not seen yet, or is about to release.
    if target.meta.labels.contains_key(mark::HELD) || target.template.revision != *stable {
        return None;
    }
    if let Some(following) = goal
        .following
        .as_deref()
        .filter(|following| following != stable)
    {
        return followed(status, following, goal);
    }
    let Some(wanted) = goal.revision.as_deref() else {
        return Some(Exit::Done);
    };
    if means(wanted, stable) || declares(canary, target, wanted) {
        return Some(Exit::Done);
    }
    over(status, wanted)
}

/// What became of a candidate that was seen under test and is not stable now.
fn followed(status: &CanaryStatus, following: &str, goal: &Goal) -> Option<Exit> {
    let wanted = goal.revision.as_deref();
    // Another release than the one that was named: that one is still to come, if it was not over before.
    match wanted.filter(|wanted| !means(wanted, following)) {
        Some(wanted) => over(status, wanted),
        None => Some(Exit::Failed),
    }
}

/// A revision that is neither stable nor under test, but ended badly within the history.
fn over(status: &CanaryStatus, wanted: &str) -> Option<Exit> {
    let last = status
        .history
        .iter()
        .find(|release| means(wanted, &release.revision))?;
    let badly = matches!(
        last.outcome,
        Outcome::RolledBack | Outcome::Aborted | Outcome::Superseded
    );
    badly.then_some(Exit::Failed)
}

/// The spec asks for this revision, and the target carries it.
fn declares(canary: &Canary, target: &Deployment, wanted: &str) -> bool {
    let on_target = target.meta.annotations.get(mark::REVISION);
    canary.spec.revision.as_deref() == Some(wanted)
        && on_target.is_none_or(|declared| declared == wanted)
}

/// The whole hash, or enough of its beginning.
fn means(wanted: &str, revision: &str) -> bool {
    wanted == revision || (wanted.len() >= ENOUGH && revision.starts_with(wanted))
}

/// An abort or a rollback has done what was asked: what was under test is rejected for that reason, or a release ended.
#[must_use]
pub fn called_off(canary: &Canary, target: Option<&Deployment>, goal: &Goal) -> Option<Exit> {
    let status = canary.status.as_ref()?;
    let verdict_of = status
        .candidate
        .as_ref()
        .and_then(|candidate| candidate.verdict.as_ref());
    let aborted = verdict_of.is_some_and(|verdict| verdict.outcome == Outcome::Aborted);
    if status.phase == Phase::Failed && aborted {
        return (status.traffic.written == 0).then_some(Exit::Done);
    }
    verdict(canary, target, goal)
}

/// Where a release stands, in a line.
#[must_use]
pub fn progress(canary: &Canary) -> String {
    let Some(status) = &canary.status else {
        return "not seen by the controller yet".to_owned();
    };
    let mut line = status.phase.to_string();
    if !status.phase.is_idle() {
        line.push_str(&format!(" {}%", status.canary_weight));
    }
    if let Some(step) = status.step.as_ref().filter(|_| !status.phase.is_idle()) {
        line.push_str(&format!(", step {} of {}", step.index + 1, step.of));
    }
    if !status.message.is_empty() {
        line.push_str(&format!(": {}", status.message));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A Canary in this state, with a target that carries this template, held or not.
    struct Row {
        name: &'static str,
        status: Value,
        template: &'static str,
        held: bool,
        revision: Option<&'static str>,
        following: Option<&'static str>,
        expected: Option<Exit>,
    }

    fn row(
        name: &'static str,
        status: Value,
        template: &'static str,
        expected: Option<Exit>,
    ) -> Row {
        Row {
            name,
            status,
            template,
            held: false,
            revision: None,
            following: None,
            expected,
        }
    }

    impl Row {
        fn held(self) -> Self {
            Self { held: true, ..self }
        }

        fn revision(self, revision: &'static str) -> Self {
            Self {
                revision: Some(revision),
                ..self
            }
        }

        fn following(self, following: &'static str) -> Self {
            Self {
                following: Some(following),
                ..self
            }
        }

        fn canary(&self) -> Canary {
            let mut status = json!({"observedGeneration": 7, "stable": {"revision": "stable-1"}});
            for (key, value) in self.status.as_object().unwrap() {
                status[key] = value.clone();
            }
            serde_json::from_value(json!({
                "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
                "metadata": {"name": "web", "namespace": "shop", "generation": 7},
                "spec": {"targetRef": {"name": "web"}, "revision": "chart-2"},
                "status": status
            }))
            .unwrap()
        }

        fn target(&self) -> Deployment {
            let mut target = Deployment::default();
            target.template.revision = self.template.to_owned();
            target.template.containers = format!("containers of {}", self.template);
            target
                .meta
                .annotations
                .insert(mark::REVISION.to_owned(), "chart-2".to_owned());
            if self.held {
                target
                    .meta
                    .labels
                    .insert(mark::HELD.to_owned(), "true".to_owned());
            }
            target
        }
    }

    fn rejected_status() -> Value {
        json!({"phase": "Failed", "candidate": {"revision": "bad-99", "containers": "containers of bad-99", "requested": "chart-2",
            "verdict": {"outcome": "RolledBack", "reason": "errors", "at": "2030-01-01T00:00:00Z"}}})
    }

    fn history(revision: &str, outcome: &str) -> Value {
        json!({"phase": "Initialized", "history": [{"revision": revision, "outcome": outcome, "endedAt": "2030-01-01T00:00:00Z"}]})
    }

    fn check(rows: Vec<Row>) {
        for row in rows {
            let goal = Goal {
                revision: row.revision.map(str::to_owned),
                following: row.following.map(str::to_owned),
            };
            assert_eq!(
                verdict(&row.canary(), Some(&row.target()), &goal),
                row.expected,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn nothing_is_decided_by_a_status_that_is_behind() {
        let idle = || json!({"phase": "Succeeded"});
        check(vec![
            row("idle", idle(), "stable-1", Some(Exit::Done)),
            row(
                "spec not seen",
                json!({"phase": "Succeeded", "observedGeneration": 6}),
                "stable-1",
                None,
            ),
            row("held, not seen yet", idle(), "new-222", None).held(),
            row("stable put back, hold not ended", idle(), "stable-1", None).held(),
            row(
                "slipped past the gate, not seen yet",
                idle(),
                "new-222",
                None,
            ),
            row(
                "restart asked for",
                json!({"phase": "Succeeded", "restartAt": "2030-01-01T00:00:00Z"}),
                "stable-1",
                None,
            ),
            row("rejected", rejected_status(), "bad-99", Some(Exit::Failed)).held(),
            row(
                "newer than the rejected one",
                rejected_status(),
                "new-222",
                None,
            )
            .held(),
            row(
                "stable put back after a rejection",
                rejected_status(),
                "stable-1",
                None,
            )
            .held(),
        ]);
    }

    #[test]
    fn phases_in_between_are_not_the_end() {
        for phase in [
            "Initializing",
            "Waiting",
            "Progressing",
            "WaitingPromotion",
            "Promoting",
            "Finalising",
        ] {
            check(vec![
                row("in between", json!({"phase": phase}), "new-222", None).held(),
            ]);
        }
        let stalled = json!({"phase": "Initializing", "conditions": [{"type": "Stalled", "status": "True", "reason": "NameTaken",
            "message": "", "lastTransitionTime": "2030-01-01T00:00:00Z"}]});
        check(vec![row(
            "cannot begin",
            stalled,
            "stable-1",
            Some(Exit::Failed),
        )]);
    }

    #[test]
    fn what_was_followed_decides() {
        check(vec![
            row(
                "promoted",
                json!({"phase": "Succeeded"}),
                "stable-1",
                Some(Exit::Done),
            )
            .following("stable-1"),
            row(
                "given up",
                history("new-222", "Aborted"),
                "stable-1",
                Some(Exit::Failed),
            )
            .following("new-222"),
            row(
                "another than the named one",
                history("new-222", "Aborted"),
                "stable-1",
                None,
            )
            .following("new-222")
            .revision("later-3"),
        ]);
    }

    #[test]
    fn a_named_revision_is_the_only_one_that_counts() {
        let idle = || json!({"phase": "Succeeded"});
        check(vec![
            row("stable by hash", idle(), "stable-1", Some(Exit::Done)).revision("stable-1"),
            row(
                "stable by its beginning",
                idle(),
                "stable-1",
                Some(Exit::Done),
            )
            .revision("stable"),
            row("too short a beginning", idle(), "stable-1", None).revision("stab"),
            row(
                "by the chart's revision",
                idle(),
                "stable-1",
                Some(Exit::Done),
            )
            .revision("chart-2"),
            row("not come yet", idle(), "stable-1", None).revision("chart-3"),
            row(
                "rejected by hash",
                rejected_status(),
                "bad-99",
                Some(Exit::Failed),
            )
            .held()
            .revision("bad-99"),
            row(
                "rejected by the chart's revision",
                rejected_status(),
                "bad-99",
                Some(Exit::Failed),
            )
            .held()
            .revision("chart-2"),
            row(
                "another one was rejected",
                rejected_status(),
                "bad-99",
                None,
            )
            .held()
            .revision("chart-3"),
            row(
                "over before",
                history("new-222", "RolledBack"),
                "stable-1",
                Some(Exit::Failed),
            )
            .revision("new-222"),
            row(
                "was stable before",
                history("old-000", "Promoted"),
                "stable-1",
                None,
            )
            .revision("old-000"),
        ]);
    }

    #[test]
    fn a_wait_follows_the_candidate_under_test() {
        let under = |revision: &str| {
            row(
                "",
                json!({"phase": "Progressing", "candidate": {"revision": revision}}),
                "",
                None,
            )
            .canary()
        };
        let mut goal = Goal::default();
        assert!(!goal.follow(&under("new-222")));
        assert!(!goal.follow(&under("new-222")));
        assert!(goal.follow(&under("later-3")));
        assert_eq!(goal.following.as_deref(), Some("later-3"));
    }

    #[test]
    fn an_abort_is_done_once_no_traffic_is_left() {
        let status = |written: u8| {
            json!({"phase": "Failed", "traffic": {"written": written}, "candidate": {"revision": "new-222",
                "verdict": {"outcome": "Aborted", "reason": "", "at": "2030-01-01T00:00:00Z"}}})
        };
        let ended = |written| {
            called_off(
                &row("", status(written), "", None).canary(),
                None,
                &Goal::default(),
            )
        };
        assert_eq!((ended(10), ended(0)), (None, Some(Exit::Done)));
    }
}
