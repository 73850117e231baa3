//! Everything that can happen to one Canary, drawn from a seed, told to the core alone: versions good and bad, verbs, edits, lost Pods,
//! drift, a metrics server and a router that fail, and a controller that dies between two writes. The model judges every action;
//! nothing bad is released, it comes to rest, and the next good version ships.
//!
//! `STORY=7 cargo test --lib stories` repeats one; `STORIES=10000 cargo test --release --lib stories -- --nocapture` tells many.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::crd::status::Phase;
use crate::rollout::observed::{Acceptance, Gate, Readiness};
use crate::rollout::tests::model::{Model, routes};

/// How many stories a plain `cargo test` tells.
const STORIES: u64 = 1000;

/// The longest time until a release that nobody disturbs came to rest.
const REST: Duration = Duration::from_secs(4 * 3600);

/// Numbers from a seed: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// About this long: from nothing to twice as much.
    fn time(&mut self, seconds: u64) -> Duration {
        Duration::from_millis(self.below(seconds * 2000) + 1)
    }
}

/// One story.
struct Story {
    chance: Chance,
    model: Model,
    said: Vec<String>,
    /// Versions so far.
    versions: u64,
}

/// What is told of all stories together.
#[derive(Default)]
struct Told {
    simulated_ms: AtomicU64,
    releases: AtomicU64,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let analysis = match chance.below(6) {
            0 => json!({"interval": "10s", "checks": 1, "stepWeights": [100]}),
            1 => json!({"interval": "10s", "checks": 1, "iterations": 3}),
            2 => {
                json!({"interval": "10s", "steps": [{"setWeight": 20}, {"checks": 1}, {"pause": {"duration": "2m"}}, {"setWeight": 60}]})
            }
            3 => {
                json!({"interval": "10s", "steps": [{"setWeight": 10}, {"checks": 1}, {"pause": {}}, {"setWeight": 100}]})
            }
            _ => json!({"interval": "10s", "checks": 2, "stepWeights": [10, 50, 100]}),
        };
        let mut model = Model::adopted(&analysis);
        model.edit(|spec| spec.progress_deadline_seconds = 120);
        Self {
            chance,
            model,
            said: vec![format!("analysis {analysis}")],
            versions: 1,
        }
    }

    /// A new version, and how its Pods do.
    fn ship(&mut self, kind: &str) {
        self.versions += 1;
        let revision = format!("{kind}{}", self.versions);
        self.model.errors = if kind == "erring" { 0.2 } else { 0.0 };
        self.model.health = match kind {
            "missing" => Readiness::Stuck("ImagePullBackOff".to_owned()),
            "unready" => Readiness::Progressing("a Pod is not ready".to_owned()),
            _ => Readiness::Ready,
        };
        self.model.ship(&revision);
    }

    /// One thing that happens.
    fn deed(&mut self) {
        let deed = self.chance.below(14);
        self.said.push(format!("{deed} in {}", self.model.phase()));
        match deed {
            0..=2 => self.ship("good"),
            3 | 4 => {
                let kind = self.chance.one(&["erring", "missing", "unready"]);
                self.ship(kind);
            }
            5 => self.go_back(),
            6 => {
                let verb = ["abort", "pause", "resume", "promote", "retry", "restart"];
                let verb = self.chance.one(&verb);
                self.model.ask(verb);
            }
            7 => self.drift(),
            8 => {
                let replicas = 1 + self.chance.one(&[0, 1, 2, 5]);
                self.model.resize(replicas);
            }
            9 => self.lose(),
            10 => self.model.server_down = self.chance.below(2) == 0,
            11 => {
                let router = [Acceptance::Accepted, Acceptance::Pending("soon".to_owned())];
                self.model.router = router[usize::try_from(self.chance.below(2)).unwrap()].clone();
            }
            12 => self.model.edit(|spec| spec.analysis.threshold += 1),
            _ => {
                let writes = usize::try_from(self.chance.below(5)).unwrap();
                self.model.dies_after = Some(writes);
            }
        }
    }

    /// The template that serves is put back by its owner.
    fn go_back(&mut self) {
        let serving = self.model.target().serving[0].revision.clone();
        if self.model.target().revision != serving {
            self.model.ship(&serving);
        }
    }

    /// Somebody writes another weight into the route.
    fn drift(&mut self) {
        let weight = u8::try_from(self.chance.below(101)).unwrap();
        if let Some(split) = &mut self.model.seen.split {
            split.routes = routes(weight);
        }
    }

    /// A Pod of the canary is lost, and comes back at once or not at all.
    fn lose(&mut self) {
        let Some(canary) = &mut self.model.seen.canary else {
            return;
        };
        if self.chance.below(2) == 0 {
            canary.restarts += 3;
        } else {
            canary.arm.ready = 0;
            canary.arm.readiness = Readiness::Progressing("its Pods are lost".to_owned());
        }
    }

    /// Nothing is broken any more.
    fn peace(&mut self) {
        self.model.dies_after = None;
        self.model.server_down = false;
        self.model.errors = 0.0;
        self.model.accept();
        self.model.ask("resume");
        self.model.run_for(Duration::from_secs(60));
    }

    /// Lets time pass, and people approve, until it is at rest.
    fn rests(&mut self) -> bool {
        let end = self.model.now + REST;
        while self.model.now < end {
            self.model.run_for(Duration::from_secs(120));
            let idle = [Phase::Initialized, Phase::Succeeded, Phase::Failed];
            if idle.contains(&self.model.phase()) && self.model.seen.canary.is_none() {
                return true;
            }
            self.model.ask("promote");
        }
        false
    }

    /// Whether what serves was allowed to.
    fn serves_well(&mut self) -> bool {
        let bad = ["erring", "missing", "unready"];
        let mut serving = self.model.target().serving.iter();
        !serving.any(|it| bad.iter().any(|bad| it.revision.starts_with(bad)))
    }

    /// Tells it to its end; what is wrong comes back.
    fn tell(&mut self, told: &Told) -> Vec<&'static str> {
        let began = self.model.now;
        for _ in 0..2 + self.chance.below(8) {
            self.deed();
            let pause = self.chance.time(60);
            self.model.run_for(pause);
        }
        self.peace();
        let mut wrong = Vec::new();
        if !self.rests() {
            wrong.push("it never came to rest");
        }
        if self.model.weight() != 0 {
            wrong.push("at rest users are led to a canary");
        }
        self.ship("good");
        self.model.run_for(Duration::from_secs(1));
        let revision = self.model.target().revision.clone();
        if !self.rests() || self.model.target().serving[0].revision != revision {
            wrong.push("the last good version did not ship");
        }
        if self.model.target().gate != Gate::Armed {
            wrong.push("at rest the gate is not armed");
        }
        if !self.serves_well() {
            wrong.push("a bad version was released");
        }
        let lasted = self.model.now.duration_since(began).as_millis();
        let lasted = u64::try_from(lasted).unwrap();
        told.simulated_ms.fetch_add(lasted, Ordering::Relaxed);
        told.releases
            .fetch_add(self.versions - 1, Ordering::Relaxed);
        wrong
    }

    fn report(&self, seed: u64, wrong: &str) -> String {
        let trace = self.model.trace.join("\n    ");
        format!(
            "STORY={seed}: {wrong}: {}\n    {trace}",
            self.said.join(", ")
        )
    }
}

fn one(seed: u64, told: &Told) -> Option<String> {
    let mut story = Story::new(seed);
    let wrong = catch_unwind(AssertUnwindSafe(|| story.tell(told)));
    let wrong = wrong.unwrap_or_else(|_| vec!["it panicked"]);
    (!wrong.is_empty()).then(|| story.report(seed, &wrong.join("; ")))
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn stories_end_well_and_release_nothing_bad() {
    let (told, began) = (Told::default(), Instant::now());
    let seeds = match asked("STORY") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("STORIES").unwrap_or(STORIES),
    };
    let count = seeds.end - seeds.start;
    let half = seeds.start + count / 2;
    let tell = |seeds: std::ops::Range<u64>| -> Vec<String> {
        seeds.filter_map(|seed| one(seed, &told)).collect()
    };
    let found = std::thread::scope(|scope| {
        let first = scope.spawn(|| tell(seeds.start..half));
        let mut found = tell(half..seeds.end);
        found.extend(first.join().unwrap());
        found
    });
    let hours = told.simulated_ms.into_inner() as f64 / 3.6e6;
    let releases = told.releases.into_inner();
    let seconds = began.elapsed().as_secs_f64();
    let line = format!(
        "{count} stories, {releases} releases, {hours:.0} simulated hours in {seconds:.1} s\n"
    );
    drop(std::io::stdout().write_all(line.as_bytes()));
    assert!(
        found.is_empty(),
        "{} stories:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// How long the core takes for an hour of a release that is judged at the default interval.
#[test]
fn an_hour_of_one_canary_is_soon_over() {
    let hour = json!({"checks": 60, "stepWeights": [50]});
    let mut best = f64::MAX;
    let runs = if cfg!(debug_assertions) { 1 } else { 5 };
    for _ in 0..runs {
        let mut model = Model::adopted(&hour);
        model.ship("v2");
        model.run_to(50);
        let (began, from) = (Instant::now(), model.now);
        model.run_until(|model| model.phase() == Phase::Promoting);
        let simulated = model.now.duration_since(from).as_secs_f64();
        assert!(simulated > 3600.0, "{simulated} s");
        best = best.min(began.elapsed().as_secs_f64() * 1e3);
    }
    let line = format!("the core takes {best:.2} ms for a simulated hour\n");
    drop(std::io::stdout().write_all(line.as_bytes()));
    // Builds with checks take some thirty times as long.
    assert!(best < 10.0 || cfg!(debug_assertions), "{best} ms");
}
