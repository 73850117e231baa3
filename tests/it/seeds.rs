//! Everything that can happen to a release, drawn from a seed: versions good and bad, verbs, edits, losses, a controller that dies, and
//! an API server that refuses, forgets and is slow. Nothing unverified is released, it comes to rest, and the next good version ships.
//!
//! `SEED=7 cargo test --test it seeds` repeats one; `SEEDS=10000 cargo test --release --test it seeds` tries many.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use serin::sim::gateway::{Answers, Habit};
use serin::sim::seed::Seed;

use crate::story::chaos::Chaos;
use crate::story::door::Door;
use crate::story::metrics::Mood;
use crate::story::setting::Setting;
use crate::story::tale::{paused, route_key, shared, target};
use crate::story::{Story, oracle};

/// Versions that must never become the main release; the last one only where requests are measured before the switch.
const BAD: [&str; 4] = ["missing", "unready", "crash2", "errors20"];

/// How many seeds a plain `cargo test` tries.
const SEEDS: u64 = 60;

/// The longest time until a release came to rest.
const REST: Duration = Duration::from_secs(7200);

/// A story in which much goes wrong.
struct Mixed {
    seed: u64,
    story: Story,
    chance: Seed,
    chaos: Arc<Chaos>,
    said: Vec<String>,
}

impl Mixed {
    fn new(seed: u64) -> Self {
        let mut chance = Seed::new(seed).fork("mixed");
        let setting = match chance.below(6) {
            0 => Setting::own_route(),
            1 => Setting::blue_green(),
            2 => Setting::worker(),
            _ => Setting::usual(),
        };
        let setting = setting.with(&json!({"progressDeadlineSeconds": 120}));
        let chaos = Chaos::new(seed, chance.below(25));
        Self {
            seed,
            story: Story::new(seed, setting),
            chance,
            chaos,
            said: Vec::new(),
        }
    }

    fn controller(&mut self) {
        let door = Door::new(&self.story.world.api).with(self.chaos.clone());
        self.story.walk(&Arc::new(door));
    }

    /// One thing that happens.
    fn deed(&mut self, number: u64) {
        let deed = self.chance.below(12);
        self.said
            .push(format!("deed {deed} in {}", self.story.phase()));
        let story = &mut self.story;
        match deed {
            0..=2 => story.ship(&format!("2.{number}.0")),
            3 | 4 => {
                let how = BAD[usize::try_from(self.chance.below(4)).unwrap_or(0)];
                story.ship(&format!("3.{number}.0-{how}"));
            }
            5 => story.ship("1.0.0"),
            6 => {
                let verbs = [
                    "abort", "pause", "resume", "promote", "retry", "skip", "restart",
                ];
                story.request(verbs[usize::try_from(self.chance.below(7)).unwrap_or(0)]);
            }
            7 => self.edit_route(),
            8 => {
                let replicas = 1 + self.chance.below(6);
                story.edit(&target(), |it| it["spec"]["replicas"] = json!(replicas));
            }
            9 => {
                let mood = self.chance.below(2 * Mood::BAD.len() as u64);
                let mood = usize::try_from(mood).ok().and_then(|it| Mood::BAD.get(it));
                self.said.push(format!("metrics: {mood:?}"));
                story.metrics.set(mood.copied().unwrap_or(Mood::Well));
            }
            10 => {
                let late = i64::try_from(self.chance.below(40)).unwrap_or(0);
                story.world.routing.set(Habit {
                    answers: Answers::All,
                    accepts_after: SignedDuration::from_secs(late),
                    in_force_after: SignedDuration::from_secs(1),
                });
            }
            _ => self.another_controller(),
        }
    }

    /// The controller dies; the next one's clock may be wrong, and may be set right while it runs (F9).
    fn another_controller(&mut self) {
        let mut one_of = |all: [i32; 4]| all[usize::try_from(self.chance.below(4)).unwrap_or(0)];
        let (ahead, percent) = (one_of([0, 0, 600, -600]), one_of([100, 100, 150, 67]));
        let wrong_for = self.chance.below(240);
        self.said.push(format!(
            "clock: {ahead} s ahead at {percent} % for {wrong_for} s"
        ));
        self.story.kill();
        let wrong_for = Duration::from_secs(wrong_for);
        self.story.set_clock(i64::from(ahead), percent, wrong_for);
        self.controller();
    }

    fn edit_route(&self) {
        let api = &self.story.world.api;
        if api.get(&route_key()).is_none() {
            return;
        }
        self.story.edit(&route_key(), |route| {
            if let Some(canary) = route.pointer_mut("/spec/rules/0/backendRefs/1") {
                canary["weight"] = json!(70);
            }
        });
    }

    fn peace(&mut self) {
        self.chaos.end();
        self.story.kill();
        self.story.correct_clock();
        self.controller();
        self.story.metrics.set(Mood::Well);
        self.story.world.routing.set(Habit::default());
    }

    fn rests(&self) -> bool {
        let idle = ["Initialized", "Succeeded", "Failed"].contains(&self.story.phase().as_str());
        idle && !self.story.has_canary()
    }

    /// Tells it to its end; what is wrong comes back.
    async fn tell(mut self) -> Option<String> {
        self.controller();
        self.story
            .until(|_| self.story.phase() == "Initialized", REST)
            .await;
        self.story.quiet(Duration::from_secs(60)).await;
        for number in 0..2 + self.chance.below(4) {
            self.deed(number);
            let pause = Duration::from_secs(self.chance.below(120));
            self.story.quiet(pause).await;
        }
        self.peace();
        let mut wrong = Vec::new();
        self.story.request("resume");
        self.story.quiet(Duration::from_secs(60)).await;
        if !self.story.until(|_| self.rests(), REST).await {
            wrong.push("it never came to rest".to_owned());
        }
        self.story.ship("9.0.0");
        let shipped = |_: &_| self.story.phase() == "Succeeded" && self.rests();
        self.story.quiet(Duration::from_secs(5)).await;
        if !self.story.until(shipped, REST).await {
            wrong.push("the last good version did not ship".to_owned());
        }
        wrong.extend(oracle::breaches(&self.story, true));
        wrong.extend(self.bad_releases());
        self.report(&wrong)
    }

    fn bad_releases(&self) -> Vec<String> {
        let measured = self.story.setting.spec["provider"].is_null();
        let bad = &BAD[..if measured { 4 } else { 3 }];
        let mut ran = oracle::ran(&self.story);
        ran.retain(|tag| bad.iter().any(|bad| tag.contains(bad)));
        ran
    }

    fn report(&self, wrong: &[String]) -> Option<String> {
        let (seed, said, trace) = (self.seed, &self.said, self.story.trace());
        (!wrong.is_empty()).then(|| {
            format!(
                "SEED={seed} ({}): {}\n    {}",
                said.join(", "),
                wrong.join("; "),
                trace.join("\n    ")
            )
        })
    }
}

fn one(seed: u64) -> Option<String> {
    let told = || paused(async { Mixed::new(seed).tell().await });
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(told));
    told.unwrap_or_else(|_| Some(format!("SEED={seed}: it panicked")))
}

#[test]
fn seeds_come_to_rest_and_release_nothing_unverified() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|it| it.parse::<u64>().ok())
    };
    let found = match number("SEED") {
        Some(seed) => one(seed).into_iter().collect(),
        None => {
            let seeds: Vec<_> = (0..number("SEEDS").unwrap_or(SEEDS)).collect();
            shared(&seeds, |seed| one(*seed))
        }
    };
    assert!(
        found.is_empty(),
        "{} seeds:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let told = || {
        paused(async {
            let mut mixed = Mixed::new(3);
            mixed.controller();
            mixed.story.quiet(Duration::from_secs(60)).await;
            mixed.deed(0);
            mixed.story.quiet(Duration::from_secs(300)).await;
            mixed.story.trace()
        })
    };
    assert_eq!(told(), told());
}
