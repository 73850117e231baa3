//! The demo as it goes on: releases are shipped, and what becomes of them is told.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::cli::demo::applications::{ALL, Application, End, HOME};
use crate::cli::demo::page;
use crate::cli::demo::schedule::{Habits, Order, Schedule};
use crate::cli::demo::stage::Stage;
use crate::cli::demo::words::{self, Line};
use crate::cli::request::request;
use crate::cli::screen::Colour;
use crate::crd::canary::Canary;
use crate::objects::mark;

/// How often the schedule is looked at.
const BEAT: Duration = Duration::from_millis(200);

/// So long `--once` waits for the ends of all releases.
const LONGEST: u64 = 180;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Seconds since the demo began.
    pub seconds: u64,
    /// About which application; empty: about all.
    pub about: String,
    /// What happened.
    pub line: Line,
}

/// What a person at the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The next release.
    Ship,
    /// The end.
    End,
}

/// Why it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// Somebody wanted it so.
    Asked,
    /// Every application's first release came to the end that it was to have.
    Complete,
    /// It did not, and why.
    Wrong(String),
}

/// What it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why it is over.
    pub over: Over,
    /// How long it took.
    pub seconds: u64,
    /// Versions that were promoted.
    pub promoted: u32,
    /// Versions that were rejected.
    pub rejected: u32,
}

/// Where the story goes, line by line.
pub type Audience<'a> = &'a mut (dyn FnMut(&Told) -> Result<()> + Send);

/// A show that is under way.
struct Show<'a> {
    stage: &'a Stage,
    audience: Audience<'a>,
    schedule: Schedule,
    canaries: BTreeMap<String, Canary>,
    promoted: u32,
    rejected: u32,
    began: Timestamp,
    client: Client,
}

/// Goes on until somebody wants it to end or, once, until every application's first release has ended.
///
/// # Errors
/// When the cluster does not do what the demo wants, or nobody listens any more.
pub async fn play(
    stage: &Stage,
    habits: Habits,
    wishes: impl Stream<Item = Wish> + Send,
    audience: Audience<'_>,
) -> Result<Ended> {
    let began = stage.clock.now();
    let mut show = Show {
        stage,
        audience,
        schedule: Schedule::new(habits, began),
        canaries: BTreeMap::new(),
        promoted: 0,
        rejected: 0,
        began,
        client: stage.client("demo"),
    };
    let canaries: Api<Canary> = Api::all(show.client.clone());
    let events = watcher(canaries, watcher::Config::default()).default_backoff();
    let (mut events, mut wishes) = (events.boxed(), wishes.boxed());
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            // A watch that broke off is made again, and lists what there is.
            Some(event) = events.next() => event.map_or(Ok(()), |event| show.note(event))?,
            Some(wish) = wishes.next() => match wish {
                Wish::Ship => show.ship_next().await?,
                Wish::End => return Ok(show.ended(Over::Asked)),
            },
            _ = beat.tick() => show.carry_on().await?,
        }
        if let Some(over) = show.verdict().filter(|_| habits.once) {
            return Ok(show.ended(over));
        }
    }
}

impl Show<'_> {
    fn tell(&mut self, about: &str, line: Line) -> Result<()> {
        let told = Told {
            seconds: self.seconds(),
            about: about.to_owned(),
            line,
        };
        (self.audience)(&told)
    }

    fn seconds(&self) -> u64 {
        let passed = self.stage.clock.now().duration_since(self.began);
        u64::try_from(passed.as_secs()).unwrap_or_default()
    }

    fn ended(&self, over: Over) -> Ended {
        Ended {
            over,
            seconds: self.seconds(),
            promoted: self.promoted,
            rejected: self.rejected,
        }
    }

    fn note(&mut self, event: watcher::Event<Canary>) -> Result<()> {
        match event {
            watcher::Event::Apply(canary) | watcher::Event::InitApply(canary) => self.see(canary),
            watcher::Event::Delete(canary) => {
                let name = called(&canary);
                self.canaries.remove(&name);
                self.tell(
                    &name,
                    Line::new(
                        Colour::Busy,
                        "the Canary was deleted; nothing is held any more",
                    ),
                )
            }
            watcher::Event::Init | watcher::Event::InitDone => Ok(()),
        }
    }

    fn see(&mut self, canary: Canary) -> Result<()> {
        let name = called(&canary);
        let before = self.canaries.get(&name);
        let mut lines = words::tell(before, &canary);
        let application = ALL.iter().find(|it| it.name == name);
        match words::end(before, &canary) {
            Some(End::Promoted) => self.promoted += 1,
            Some(End::Rejected) => {
                self.rejected += 1;
                lines.extend(application.and_then(|it| self.damage(it, &canary)));
            }
            Some(End::Overtaken) | None => {}
        }
        let status = canary.status.as_ref();
        if let Some(application) =
            application.filter(|_| status.is_some_and(|it| it.phase.is_idle()))
        {
            self.stage.open(application);
        }
        self.canaries.insert(name.clone(), canary);
        lines
            .into_iter()
            .try_for_each(|line| self.tell(&name, line))
    }

    /// What users had of a rejected version.
    fn damage(&self, application: &Application, canary: &Canary) -> Option<Line> {
        let candidate = canary.status.as_ref()?.candidate.as_ref()?;
        let version = words::tag(&candidate.images).split('-').next()?;
        application.traffic()?;
        let seen = self.stage.counts(application, Some(version));
        let failed = match seen.errors {
            0 => "none of them failed".to_owned(),
            errors => format!("{} of them failed", page::thousands(errors)),
        };
        let text = match seen.answered {
            0 => format!("no request of a user ever reached {version}"),
            reached => format!(
                "{} requests had reached it, and {failed}",
                page::thousands(reached)
            ),
        };
        Some(Line::new(Colour::Faint, text))
    }

    async fn carry_on(&mut self) -> Result<()> {
        if !self.stage.works() {
            bail!("the cluster or the controller ended by itself; --log debug may tell why");
        }
        let now = self.stage.clock.now();
        for order in self.schedule.due(now, &self.canaries) {
            self.obey(order).await?;
        }
        Ok(())
    }

    async fn ship_next(&mut self) -> Result<()> {
        let now = self.stage.clock.now();
        match self.schedule.asked(now, &self.canaries) {
            Some(order) => self.obey(order).await,
            None => self.tell(
                "",
                Line::new(
                    Colour::Faint,
                    "every application is busy with a release; a moment, please",
                ),
            ),
        }
    }

    async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Ship(name, tag) => {
                self.tell(
                    name,
                    Line::new(Colour::Strong, format!("somebody ships {name}:{tag}")),
                )?;
                self.ship(name, &tag).await
            }
            Order::Approve(name) => {
                self.tell(
                    name,
                    Line::new(Colour::Faint, "nobody decided, so the demo approves"),
                )?;
                self.approve(name).await
            }
        }
    }

    /// What `kubectl set image` does.
    async fn ship(&self, name: &str, tag: &str) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), HOME);
        let container = json!({"name": "app", "image": format!("{name}:{tag}")});
        let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        let params = PatchParams::default();
        deployments
            .patch(name, &params, &Patch::Strategic(patch))
            .await
            .map(drop)
            .or_else(gone)
            .with_context(|| format!("ship {name}:{tag}"))
    }

    /// What `serin promote` does.
    async fn approve(&self, name: &str) -> Result<()> {
        let canaries: Api<Canary> = Api::namespaced(self.client.clone(), HOME);
        let request = request("promote").text();
        let patch = json!({"metadata": {"annotations": {mark::REQUEST: request}}});
        canaries
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
            .or_else(gone)
            .with_context(|| format!("approve {name}"))
    }

    fn verdict(&self) -> Option<Over> {
        match self.schedule.verdict() {
            Some(Ok(())) => Some(Over::Complete),
            Some(Err(why)) => Some(Over::Wrong(why)),
            None if self.seconds() > LONGEST => {
                let missing = self.schedule.missing().join(", ");
                Some(Over::Wrong(format!(
                    "after {LONGEST} s not ended: {missing}"
                )))
            }
            None => None,
        }
    }
}

/// What a person deleted cannot be shipped, which is no failure of the demo.
fn gone(error: kube::Error) -> Result<(), kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Ok(()),
        error => Err(error),
    }
}

/// The name of a Canary, with its namespace if that is not the demo's.
fn called(canary: &Canary) -> String {
    match canary.home() {
        home if home == HOME => canary.name_any(),
        home => format!("{home}/{}", canary.name_any()),
    }
}
