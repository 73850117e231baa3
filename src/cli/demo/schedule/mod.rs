//! When which application ships what, and approvals that nobody gave. Pure: the time and the Canaries in, orders out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::cli::demo::applications::{ALL, Application, End};
use crate::cli::demo::words::tag;
use crate::crd::canary::Canary;
use crate::crd::status::{CanaryStatus, Outcome, Phase, Wait};

/// How the demo behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// It ships by itself.
    pub ships: bool,
    /// One release of each application, and then it ends.
    pub once: bool,
    /// From its begin to the first release.
    pub prelude: SignedDuration,
    /// From one release to the next one of another application.
    pub gap: SignedDuration,
    /// From the end of an application's release to its next one.
    pub rest: SignedDuration,
    /// How long an approval is left to people.
    pub patience: SignedDuration,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            ships: true,
            once: false,
            prelude: SignedDuration::from_secs(2),
            gap: SignedDuration::from_millis(1500),
            rest: SignedDuration::from_secs(30),
            patience: SignedDuration::from_secs(40),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// This application gets an image with this tag.
    Ship(&'static str, String),
    /// The pause of this application is ended.
    Approve(&'static str),
}

/// A release that was shipped.
#[derive(Clone, Debug)]
struct Release {
    tag: String,
    at: Timestamp,
    /// What became of it, and when.
    end: Option<(End, Timestamp)>,
    approved: bool,
}

/// An application and its releases.
#[derive(Clone, Debug)]
struct Turn {
    application: Application,
    /// The number of its next release.
    round: u32,
    release: Option<Release>,
    /// What became of the first release.
    first: Option<End>,
}

/// What was shipped, and what is next.
#[derive(Clone, Debug)]
pub struct Schedule {
    habits: Habits,
    turns: Vec<Turn>,
    began: Timestamp,
    /// When the next release may be shipped.
    free: Timestamp,
}

impl Schedule {
    /// A schedule that begins at a time.
    #[must_use]
    pub fn new(habits: Habits, now: Timestamp) -> Self {
        let turns = ALL.map(|application| Turn {
            application,
            round: 0,
            release: None,
            first: None,
        });
        Self {
            habits,
            turns: turns.to_vec(),
            began: now,
            free: now,
        }
    }

    /// What is to be done now.
    pub fn due(&mut self, now: Timestamp, canaries: &BTreeMap<String, Canary>) -> Vec<Order> {
        let mut orders = Vec::new();
        for turn in &mut self.turns {
            let status = status(canaries, turn.application.name);
            turn.watch(now, status);
            orders.extend(turn.approve(now, status, self.habits.patience));
        }
        if self.habits.ships && self.free <= now {
            orders.extend(self.next(now, canaries, |due| due <= now));
        }
        orders
    }

    /// The next release for somebody who asks for it; `None`: every application is busy.
    pub fn asked(&mut self, now: Timestamp, canaries: &BTreeMap<String, Canary>) -> Option<Order> {
        self.next(now, canaries, |_| true)
    }

    /// Ships what is due first of those that are ready.
    fn next(
        &mut self,
        now: Timestamp,
        canaries: &BTreeMap<String, Canary>,
        is_due: impl Fn(Timestamp) -> bool,
    ) -> Option<Order> {
        let (habits, began) = (self.habits, self.began);
        let ready = self.turns.iter_mut().filter_map(|turn| {
            let due = turn.next(habits, began).filter(|due| is_due(*due))?;
            let status = status(canaries, turn.application.name)?;
            is_ready(&turn.application, status, now).then_some((due, turn))
        });
        let (_, turn) = ready.min_by_key(|(due, _)| *due)?;
        self.free = later(now, habits.gap);
        Some(turn.ship(now))
    }

    /// What became of every first release: `Ok` if it is as expected; `None`: some are still under way.
    #[must_use]
    pub fn verdict(&self) -> Option<Result<(), String>> {
        let mut wrong = Vec::new();
        for turn in &self.turns {
            let (end, expected) = (turn.first?, turn.application.expected(0));
            if end != expected {
                let name = turn.application.name;
                wrong.push(format!("{name} was to be {expected:?} and is {end:?}"));
            }
        }
        Some(if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join(", "))
        })
    }

    /// The applications whose first release has not ended.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let open = self.turns.iter().filter(|turn| turn.first.is_none());
        open.map(|turn| turn.application.name).collect()
    }
}

impl Turn {
    /// When its next release is due; `None`: not while this one is under way.
    fn next(&self, habits: Habits, began: Timestamp) -> Option<Timestamp> {
        match &self.release {
            None => Some(later(began, habits.prelude)),
            Some(_) if habits.once => None,
            Some(release) => release.end.map(|(_, at)| later(at, habits.rest)),
        }
    }

    fn ship(&mut self, now: Timestamp) -> Order {
        let tag = self.application.tag(self.round);
        self.round += 1;
        self.release = Some(Release {
            tag: tag.clone(),
            at: now,
            end: None,
            approved: false,
        });
        Order::Ship(self.application.name, tag)
    }

    /// Notes what became of the release.
    fn watch(&mut self, now: Timestamp, status: Option<&CanaryStatus>) {
        let Some(release) = self.release.as_mut().filter(|it| it.end.is_none()) else {
            return;
        };
        let end = match status {
            None => Some(End::Overtaken),
            Some(status) => ended(status, &release.tag, release.at),
        };
        release.end = end.map(|end| (end, now));
        self.first = self.first.or(end);
    }

    /// Approves what nobody else did.
    fn approve(
        &mut self,
        now: Timestamp,
        status: Option<&CanaryStatus>,
        patience: SignedDuration,
    ) -> Option<Order> {
        let release = self.release.as_mut()?;
        let step = status?.step.as_ref()?;
        let since = step
            .paused_at
            .filter(|_| step.waiting == Some(Wait::Approval))?;
        if release.approved || later(since.timestamp(), patience) > now {
            return None;
        }
        release.approved = true;
        Some(Order::Approve(self.application.name))
    }
}

/// Nothing stands in the way of a release: the canary of the last one is gone, and what users' requests go by has settled.
fn is_ready(application: &Application, status: &CanaryStatus, now: Timestamp) -> bool {
    let settles = SignedDuration::from_secs(application.settles());
    let accepted = status.traffic.accepted_at;
    let settled = accepted.is_some_and(|at| later(at.timestamp(), settles) <= now);
    status.phase.is_idle() && settled
}

/// What became of a version that was shipped at a time; `None`: nothing yet.
fn ended(status: &CanaryStatus, shipped: &str, at: Timestamp) -> Option<End> {
    let of = |images: &[String]| tag(images) == shipped;
    let stable = status.stable.as_ref().is_some_and(|it| of(&it.images));
    let candidate = status.candidate.as_ref().filter(|it| of(&it.images));
    let mut since = status
        .history
        .iter()
        .filter(|it| it.ended_at.timestamp() > at);
    if let Some(release) = since.clone().find(|it| of(&it.images)) {
        return Some(match release.outcome {
            Outcome::Promoted => End::Promoted,
            Outcome::RolledBack | Outcome::Aborted => End::Rejected,
            Outcome::Superseded | Outcome::Skipped | Outcome::Bypassed => End::Overtaken,
        });
    }
    match status.phase {
        Phase::Succeeded if stable => Some(End::Promoted),
        Phase::Failed if candidate.is_some_and(|it| it.verdict.is_some()) => Some(End::Rejected),
        // Another release came in its place.
        phase if phase.is_idle() => since.next().map(|_| End::Overtaken),
        _ => None,
    }
}

fn status<'a>(canaries: &'a BTreeMap<String, Canary>, name: &str) -> Option<&'a CanaryStatus> {
    canaries.get(name)?.status.as_ref()
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
