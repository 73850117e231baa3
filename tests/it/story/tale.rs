//! A release as a row of a table: what there is, what happens when, and what users see. It can be told with a crash in it, or with
//! faults, and has to come to the same end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::story::crash::Crash;
use crate::story::setting::Setting;
use crate::story::{Story, objects, oracle};

/// When something happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// At once.
    Now,
    /// So many seconds later.
    After(u64),
    /// In this phase.
    Phase(&'static str),
    /// In progress, with this weight accepted.
    Weight(i64),
    /// The step's pause waits for a person.
    Waiting,
    /// The first Pod of the main release runs the new version.
    Rolling,
}

/// One thing that somebody does.
pub(crate) type Deed = (When, fn(&Story));

/// A release, and its end.
#[derive(Clone, Copy)]
pub(crate) struct Tale {
    pub(crate) name: &'static str,
    pub(crate) setting: fn() -> Setting,
    pub(crate) deeds: &'static [Deed],
    pub(crate) end: End,
}

/// What is true in the end, whatever happened to the controller.
#[derive(Clone, Copy)]
pub(crate) struct End {
    /// The phase; empty: the Canary is gone.
    pub(crate) phase: &'static str,
    /// Outcomes in the history, oldest first.
    pub(crate) outcomes: &'static [&'static str],
    /// Versions that the main release ever ran.
    pub(crate) ran: &'static [&'static str],
    /// The weights that the Canary said, where they are the same every time.
    pub(crate) weights: Option<&'static [i64]>,
    /// Requests may find nobody for a moment: Pods died under load.
    pub(crate) losses: bool,
}

/// No step is shorter: from one check to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// Traffic before a release, from which its amount is known.
const WARM: Duration = Duration::from_secs(60);

/// The longest way from one deed to the next, and to the end.
const LONGEST: Duration = Duration::from_secs(3600);

impl Story {
    /// Waits for the time of a deed.
    pub(crate) async fn when(&self, when: When) -> bool {
        let (phase, weight) = match when {
            When::Now => return true,
            When::After(seconds) => {
                self.quiet(Duration::from_secs(seconds)).await;
                return true;
            }
            When::Phase(phase) => (Some(phase), None),
            When::Weight(weight) => (Some("Progressing"), Some(weight)),
            When::Waiting => (None, None),
            When::Rolling => {
                let rolls = |_: &_| self.says("promoting: 1 of");
                return self.until(rolls, LONGEST).await;
            }
        };
        let there = |_: &_| {
            let canary = self.canary();
            let status = &canary["status"];
            let Some(phase) = phase else {
                return !status["step"]["waiting"].is_null();
            };
            status["phase"] == phase && weight.is_none_or(|it| status["canaryWeight"] == it)
        };
        self.until(there, LONGEST).await
    }

    fn says(&self, words: &str) -> bool {
        let message = &self.canary()["status"]["message"];
        message.as_str().is_some_and(|it| it.contains(words))
    }

    /// Whether it came to this end.
    fn ended(&self, end: &End) -> bool {
        if self.has_canary() {
            return false;
        }
        let canary = self.canary();
        if end.phase.is_empty() {
            return canary.is_null();
        }
        canary["status"]["phase"] == end.phase && outcomes(&canary) == end.outcomes
    }
}

/// Outcomes in the history, oldest first.
fn outcomes(canary: &Value) -> Vec<String> {
    let history = canary["status"]["history"].as_array().into_iter().flatten();
    let outcomes = history.map(|it| it["outcome"].as_str().unwrap_or_default().to_owned());
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.reverse();
    outcomes
}

/// Tells it; what is wrong with it comes back. Writes of the controller count from the adoption on, or from the first one.
pub(crate) async fn tell(
    tale: &Tale,
    crash: &Arc<Crash>,
    lag: Duration,
    whole: bool,
) -> Vec<String> {
    let mut story = Story::new(1, (tale.setting)());
    if whole {
        crash.arm();
    }
    story.start(Some(crash.clone()), lag);
    story.becomes("Initialized").await;
    story.quiet(WARM).await;
    crash.arm();
    for (when, deed) in tale.deeds {
        if !story.when(*when).await {
            return story.wrong(vec![format!("it never came to {when:?}")]);
        }
        deed(&story);
    }
    story.until(|_| story.ended(&tale.end), LONGEST).await;
    story.quiet(Duration::from_secs(10)).await;
    let mut wrong = ending(&story, tale);
    wrong.extend(oracle::breaches(&story, false));
    story.wrong(wrong)
}

fn ending(story: &Story, tale: &Tale) -> Vec<String> {
    let End {
        phase,
        outcomes: wanted,
        ran,
        weights,
        losses,
    } = tale.end;
    let canary = story.canary();
    let checks = [
        (
            story.phase() == phase,
            format!("it ended as {}", story.phase()),
        ),
        (
            phase.is_empty() || outcomes(&canary) == wanted,
            format!("outcomes {:?}", outcomes(&canary)),
        ),
        (
            weights.is_none_or(|weights| story.weights() == weights),
            format!("weights {:?}", story.weights()),
        ),
        (
            losses || story.lost() == 0,
            format!("{} requests lost", story.lost()),
        ),
        (!story.has_canary(), "the canary is still there".to_owned()),
        (
            oracle::ran(story) == ran,
            format!("the main release ran {:?}", oracle::ran(story)),
        ),
        (
            story.hasty_steps(INTERVAL).is_empty(),
            format!("too short: {:?}", story.hasty_steps(INTERVAL)),
        ),
    ];
    let wrong = checks.into_iter().filter(|(holds, _)| !holds);
    wrong.map(|(_, what)| what).collect()
}

impl Story {
    /// The same, with what was written, if something is wrong.
    fn wrong(&self, mut wrong: Vec<String>) -> Vec<String> {
        if !wrong.is_empty() {
            wrong.push(format!("\n    {}", self.trace().join("\n    ")));
        }
        wrong
    }
}

/// Tells it in paused time.
pub(crate) fn run(tale: &Tale, crash: &Arc<Crash>, lag: Duration, whole: bool) -> Vec<String> {
    paused(tell(tale, crash, lag, whole))
}

/// Runs to its end in paused time.
pub(crate) fn paused<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(story)
}

/// Tries everything, on two threads; what is wrong comes back.
pub(crate) fn shared<T: Sync>(
    all: &[T],
    wrong: impl Fn(&T) -> Option<String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(one) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
            found.extend(wrong(one));
        }
        found
    };
    std::thread::scope(|scope| {
        let both = [scope.spawn(work), scope.spawn(work)];
        both.into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    })
}

/// Names the objects that deeds are about.
pub(crate) use objects::{canary_key, route_key, target};
