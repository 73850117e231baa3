//! Plays a release: adoption and some minutes of ordinary traffic, the new version, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::Instant;

use crate::cli::embedded;
use crate::cli::simulate::problem::Broken;
use crate::cli::simulate::record::{Record, Recorder};
use crate::cli::simulate::stage::{Script, Stage};
use crate::crd::status::{CanaryStatus, Outcome, Phase, Wait};
use crate::http_client::Http;
use crate::sim::api::Part;
use crate::sim::prometheus;
use crate::sim::traffic::behaviour::version_of_image;
use crate::sim::traffic::ledger::Counts;
use crate::sim::world;

/// A target that is not adopted by then never will be.
const ADOPTION: Duration = Duration::from_secs(900);

/// Ordinary traffic before the new version is shipped: as long as stable's own traffic is looked back on.
const WARM_UP: Duration = Duration::from_secs(600);

/// How long a wait for a person is watched, after the last thing that the scenario has in store.
const PATIENCE: Duration = Duration::from_secs(600);

/// How a simulation is played.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The longest time after the new version was shipped.
    pub limit: Duration,
    /// Every approval that is waited for is given at once.
    pub approve: bool,
}

/// How a release ended, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ended, with what became of it and the reason that was given.
    Over(Outcome, String),
    /// A person is waited for, since so long after the new version was shipped.
    Waits(Duration, String),
    /// It goes on at the end of the simulated time.
    Unfinished(String),
    /// Nothing can be done for the new version, and why.
    Refused(String),
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Report {
    /// Namespace and name of the Canary.
    pub canary: (String, String),
    /// The images of the two versions.
    pub images: (String, String),
    /// When the new version was shipped.
    pub shipped: Timestamp,
    /// From then to the end.
    pub lasted: Duration,
    /// Everything that was said.
    pub records: Vec<Record>,
    /// How it ended.
    pub ending: Ending,
    /// The requests of this time, all of them and those of the new version.
    pub requests: (Counts, Counts),
    /// What was left out of the files.
    pub notes: Vec<String>,
}

/// Plays a release in the present runtime, whose time is paused.
///
/// # Errors
/// Says everything that is wrong with the files.
pub async fn play(script: &Script, rules: Rules) -> Result<Report, Broken> {
    let stage = Stage::set(script)?;
    let recorder = Recorder::new(stage.canary_key());
    let player = Player {
        stage,
        recorder,
        rules,
    };
    player.play().await
}

struct Player {
    stage: Stage,
    recorder: Recorder,
    rules: Rules,
}

impl Player {
    async fn play(self) -> Result<Report, Broken> {
        let mut actors = self.stage.world.actors();
        actors.push(Box::new(self.recorder.clone()));
        let life = tokio::spawn(world::live(self.stage.world.api.clone(), actors));
        let controller = self.controller();
        let report = self.release().await;
        life.abort();
        if let Some(controller) = controller {
            controller.abort();
        }
        report
    }

    /// The real controller; `None`: no client of the cluster could be made.
    fn controller(&self) -> Option<tokio::task::JoinHandle<()>> {
        let api = self.stage.world.api.clone();
        let http = Http::service(prometheus::router(self.stage.world.prometheus.clone()));
        let settings = embedded::settings(self.stage.clock, "serin");
        let connect = move || Ok(world::client(&api, &embedded::account()));
        let controller = embedded::controller(connect, http, settings).ok()?;
        Some(tokio::spawn(controller.run(std::future::pending())))
    }

    async fn release(&self) -> Result<Report, Broken> {
        if let Some(why) = self.adopt().await {
            return Err(self.stage.cast.manifest.refused(&why).into());
        }
        let before = self.counts();
        let shipped = self.stage.clock.now();
        let ending = match self.stage.ship() {
            Ok(()) => self.follow(shipped).await,
            Err(refusal) => Ending::Refused(refusal.message),
        };
        Ok(self.report(shipped, &before, ending))
    }

    /// Waits until the target is adopted and has served for a while; says why it cannot be.
    async fn adopt(&self) -> Option<String> {
        let is_over = |status: &CanaryStatus| status.phase.is_idle() || stalled(status).is_some();
        self.until(ADOPTION, |status| is_over(status).then_some(()))
            .await;
        let status = self.recorder.status().unwrap_or_default();
        if let Some(why) = stalled(&status) {
            return Some(why);
        }
        if !status.phase.is_idle() {
            let why = format!("the target was not adopted: {}", status.message);
            return Some(why);
        }
        self.until(WARM_UP, |status| stalled(status).map(drop))
            .await;
        let status = self.recorder.status().unwrap_or_default();
        stalled(&status)
    }

    /// Follows the release to its end.
    async fn follow(&self, shipped: Timestamp) -> Ending {
        let end = Instant::now() + self.rules.limit;
        let mut waits: Option<(Instant, String)> = None;
        loop {
            let now = Instant::now();
            let mut until = end;
            if let Some((since, _)) = waits.as_ref().filter(|_| !self.has_deadline()) {
                let last = self.stage.scenario.last_change();
                until = end.min(*since + PATIENCE + last.saturating_sub(self.since(shipped)));
            }
            if now >= until {
                return self.give_up(shipped, waits.as_ref());
            }
            let known = waits.as_ref().map(|(_, what)| what.clone());
            let next = self.until(until - now, |status| {
                news(status, shipped, known.as_deref())
            });
            match next.await {
                None => {}
                Some(News::Over(outcome, reason)) => return Ending::Over(outcome, reason),
                Some(News::Refused(why)) => return Ending::Refused(why),
                Some(News::GoesOn) => waits = None,
                Some(News::Waits(what)) if self.rules.approve => {
                    self.approve();
                    waits = Some((Instant::now(), what));
                }
                Some(News::Waits(what)) => waits = Some((Instant::now(), what)),
            }
        }
    }

    fn give_up(&self, shipped: Timestamp, waits: Option<&(Instant, String)>) -> Ending {
        match waits {
            Some((since, what)) => {
                let waited = since.elapsed();
                Ending::Waits(self.since(shipped).saturating_sub(waited), what.clone())
            }
            None => {
                let status = self.recorder.status().unwrap_or_default();
                Ending::Unfinished(format!("{}: {}", status.phase, status.message))
            }
        }
    }

    fn has_deadline(&self) -> bool {
        self.stage.cast.canary.spec.approval_deadline.is_some()
    }

    fn since(&self, begin: Timestamp) -> Duration {
        let time = self.stage.clock.now().duration_since(begin);
        Duration::try_from(time).unwrap_or_default()
    }

    /// A person lets the release go on.
    fn approve(&self) {
        let who = embedded::person("approver");
        let key = self.stage.canary_key();
        let written = self
            .stage
            .world
            .api
            .update(&who, &key, Part::Main, |canary| {
                canary["metadata"]["annotations"]["serin.dev/request"] = json!("promote");
            });
        // The request that stands is still to be handled.
        drop(written);
    }

    /// Lets time pass until the status holds something, at most so long.
    async fn until<T>(
        &self,
        most: Duration,
        mut look: impl FnMut(&CanaryStatus) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.stage.world.api.subscribe();
        let end = Instant::now() + most;
        let mut seen = 0;
        loop {
            changed.mark_unchanged();
            // What is written now is heard by the actors in the same moment, after this.
            tokio::task::yield_now().await;
            let count = self.recorder.count();
            if count != seen {
                seen = count;
                let status = self.recorder.status().unwrap_or_default();
                if let Some(found) = look(&status) {
                    return Some(found);
                }
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => return None,
            }
        }
    }

    fn counts(&self) -> BTreeMap<String, Counts> {
        let traffic = &self.stage.world.traffic;
        let traffic = traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = traffic.ledger(&self.stage.application());
        let versions = ledger.map(|ledger| {
            let versions = ledger.versions().map(str::to_owned);
            versions
                .map(|version| {
                    let counts = ledger.counts(&version);
                    (version, counts)
                })
                .collect()
        });
        versions.unwrap_or_default()
    }

    fn report(
        &self,
        shipped: Timestamp,
        before: &BTreeMap<String, Counts>,
        ending: Ending,
    ) -> Report {
        let stage = &self.stage;
        let candidate = version_of_image(&stage.candidate);
        let mut requests = (Counts::default(), Counts::default());
        for (version, counts) in self.counts() {
            let counts = less(counts, before.get(&version).copied().unwrap_or_default());
            requests.0 += counts;
            if version == candidate {
                requests.1 += counts;
            }
        }
        Report {
            canary: (
                stage.cast.namespace().to_owned(),
                stage.cast.manifest.name().to_owned(),
            ),
            images: (stage.stable.clone(), stage.candidate.clone()),
            shipped,
            lasted: self.since(shipped),
            records: self.recorder.since(shipped),
            ending,
            requests,
            notes: stage.notes.clone(),
        }
    }
}

fn less(counts: Counts, before: Counts) -> Counts {
    Counts {
        answered: counts.answered - before.answered,
        errors: counts.errors - before.errors,
        lost: counts.lost - before.lost,
        copied: counts.copied - before.copied,
    }
}

/// What a status says that was not known.
enum News {
    Over(Outcome, String),
    Waits(String),
    GoesOn,
    Refused(String),
}

fn news(status: &CanaryStatus, shipped: Timestamp, waits: Option<&str>) -> Option<News> {
    let is_over = status.phase != Phase::Failed || status.canary_weight == 0;
    if status.phase.is_idle() && is_over {
        let last = status.history.first();
        let last = last.filter(|it| it.ended_at.timestamp() >= shipped);
        if let Some(last) = last {
            return Some(News::Over(last.outcome, last.reason.clone()));
        }
        let under_test = status.candidate.as_ref().and_then(|it| it.verdict.as_ref());
        let verdict = under_test.filter(|it| it.at.timestamp() >= shipped);
        if let Some(verdict) = verdict {
            return Some(News::Over(verdict.outcome, verdict.reason.clone()));
        }
        return stalled(status).map(News::Refused);
    }
    match (wait(status), waits) {
        (Some(what), Some(known)) if what == known => None,
        (Some(what), _) => Some(News::Waits(what)),
        (None, Some(_)) => Some(News::GoesOn),
        (None, None) => None,
    }
}

/// What a person is waited for.
fn wait(status: &CanaryStatus) -> Option<String> {
    let step = status.step.as_ref();
    let what = match step.and_then(|step| step.waiting) {
        Some(Wait::Approval) => "approval",
        Some(Wait::Paused) => "resume",
        Some(Wait::NoEvidence) => "a person to decide without evidence",
        Some(Wait::Contested) => "the end of a fight over the route",
        None if status.phase == Phase::WaitingPromotion => "approval of the promotion",
        None if status.phase == Phase::Waiting => "approval of the start",
        None => return None,
    };
    let place =
        step.map(|step| format!(" in step {} at {} %", step.progress(), status.canary_weight));
    Some(format!("{what}{}", place.unwrap_or_default()))
}

/// Why nothing can be done for a Canary; a rejected candidate is something else.
fn stalled(status: &CanaryStatus) -> Option<String> {
    let conditions = status.conditions.iter();
    let mut stalled = conditions.filter(|it| it.type_ == "Stalled" && it.status == "True");
    let stalled = stalled.next().filter(|_| status.phase != Phase::Failed);
    stalled.map(|it| format!("{}: {}", it.reason, it.message))
}

/// Milliseconds from one moment to another.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    let time: SignedDuration = to.duration_since(from);
    Duration::try_from(time).unwrap_or_default()
}
