//! The comparison of canary and stable, played many times with the full rule: it has to be as sharp, and as seldom wrong, as
//! ANALYSIS 4.10 says.
//!
//! A plain `cargo test` plays each row a few hundred times; `just statistics` plays it 2,000 times, or as often as `STATISTICS`
//! says, and prints what was found beside the figures of the page.

#![expect(clippy::print_stdout, reason = "what was measured is to be read")]

mod chance;
mod play;
mod scrapes;

use serin::analysis::comparison::evidence::{Evidence, Terms};

use crate::statistics::chance::Chance;
use crate::statistics::play::{EACH, Outcome, ROUNDS, Story, World, play};

/// How often a row is played: in passing, and by `STATISTICS=all`.
const FEW: u32 = 400;
const ALL: u32 = 2000;

/// How often the controller may be wrong, α and β.
const FALSE_ROLLBACK: f64 = 0.01;
const MISSED_REGRESSION: f64 = 0.05;

/// What a median may be late by, in minutes, and what a power may lack.
const LATE: f64 = 0.5;
const LACK: f64 = 0.05;

/// A world like the page's: 0.2 % of independent errors, and a guard at 99 %.
fn world(rate: f64) -> World {
    World {
        rate,
        share: 0.002,
        burst: 1.0,
        limit: Some(0.01),
    }
}

fn runs() -> u32 {
    match std::env::var("STATISTICS").as_deref() {
        Err(_) => FEW,
        Ok("all") => ALL,
        Ok(number) => number.parse().expect("STATISTICS is a number, or all"),
    }
}

/// Three standard errors of a probability that is measured in so many runs.
fn noise(probability: f64, of: f64) -> f64 {
    3.0 * (probability * (1.0 - probability) / of).sqrt()
}

/// What was found beside what should be, as lines; those that are not as they should be.
#[derive(Default)]
struct Report {
    wrong: Vec<String>,
}

impl Report {
    fn line(&mut self, holds: bool, text: String) {
        println!("{} {text}", if holds { "  " } else { "! " });
        if !holds {
            self.wrong.push(text);
        }
    }

    /// How many of so many runs went wrong, which must not exceed the figure by more than chance explains at `level`.
    fn rare(&mut self, name: &str, (hits, of): (usize, u32), figure: f64, level: f64) {
        let of = f64::from(of);
        let found = hits as f64 / of;
        let holds = found <= figure + noise(level, of);
        let text = format!(
            "{name}: {:.2} % (page {:.2} %)",
            100.0 * found,
            100.0 * figure
        );
        self.line(holds, text);
    }

    /// A power and a median time of success, if the page has one.
    fn powerful(&mut self, name: &str, times: &[f64], figure: f64, median: Option<f64>) {
        let of = f64::from(runs());
        let found = times.len() as f64 / of;
        // A few runs measure less well than the page's bound takes for granted.
        let chance = if runs() < ALL { noise(figure, of) } else { 0.0 };
        let middle = middle(times);
        let in_time = median.is_none_or(|median| middle <= median + LATE);
        let holds = found >= figure - LACK - chance && in_time;
        let expected = median.map_or(String::new(), |median| format!(", {median} m"));
        let text = format!(
            "{name}: {:.1} %, {middle} m (page {:.1} %{expected})",
            100.0 * found,
            100.0 * figure
        );
        self.line(holds, text);
    }

    fn check(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

/// The median; of nothing 0.
fn middle(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn outcomes(name: &str, world: World, story: Story) -> Vec<Outcome> {
    let one = |run| play(world, story, &mut Chance::new(name, run));
    (0..runs()).map(one).collect()
}

fn rolled_back(name: &str, world: World, story: Story) -> Vec<f64> {
    let outcomes = outcomes(name, world, story);
    let times = outcomes.iter().filter_map(|outcome| outcome.rolled_back);
    times.collect()
}

fn proven(name: &str, world: World, story: Story) -> Vec<f64> {
    let outcomes = outcomes(name, world, story);
    let times = outcomes.iter().filter_map(|outcome| outcome.evidence);
    times.collect()
}

fn good(_: usize, _: usize) -> (f64, f64) {
    (1.0, 1.0)
}

/// Both arms fail twenty times as often for a minute.
fn shared(round: usize, chosen: usize) -> (f64, f64) {
    if (chosen..chosen + 4).contains(&round) {
        (20.0, 20.0)
    } else {
        (1.0, 1.0)
    }
}

#[test]
fn a_canary_that_is_no_worse_is_seldom_rolled_back() {
    let tolerated: Story = |_, _| (1.2, 1.0);
    let bursts = |rate, burst| World {
        burst,
        ..world(rate)
    };
    let rows: [(&str, World, Story, f64); 11] = [
        ("independent errors at 20 req/s", world(20.0), good, 0.0),
        ("independent errors at 200 req/s", world(200.0), good, 0.0),
        (
            "independent errors at 2,000 req/s",
            world(2000.0),
            good,
            0.0,
        ),
        ("both arms ×20 at 20 req/s", world(20.0), shared, 0.0),
        ("both arms ×20 at 200 req/s", world(200.0), shared, 0.0001),
        ("both arms ×20 at 2,000 req/s", world(2000.0), shared, 0.0),
        ("canary ×1.2 at 200 req/s", world(200.0), tolerated, 0.0),
        ("bursts of 2 at 20 req/s", bursts(20.0, 2.0), good, 0.002),
        ("bursts of 5 at 20 req/s", bursts(20.0, 5.0), good, 0.003),
        ("bursts of 2 at 200 req/s", bursts(200.0, 2.0), good, 0.002),
        ("bursts of 5 at 200 req/s", bursts(200.0, 5.0), good, 0.008),
    ];
    let mut report = Report::default();
    for (name, world, story, figure) in rows {
        let hits = rolled_back(name, world, story).len();
        report.rare(name, (hits, runs()), figure, FALSE_ROLLBACK);
    }
    report.check();
}

#[test]
fn bursts_of_twenty_compare_nothing() {
    let world = World {
        burst: 20.0,
        ..world(200.0)
    };
    let name = "bursts of 20, canary ×20";
    let blamed = rolled_back(name, world, |_, _| (20.0, 1.0)).len() as f64;
    println!(
        "   {name}: {:.1} % rolled back",
        100.0 * blamed / f64::from(runs())
    );
    assert!(blamed <= 0.05 * f64::from(runs()));
}

/// What it is called, requests a second, what happens, the share of runs that are rolled back, and their median time.
type Row = (&'static str, f64, Story, f64, Option<f64>);

fn found(rows: &[Row]) {
    let mut report = Report::default();
    for (name, rate, story, figure, median) in rows {
        let times = rolled_back(name, world(*rate), *story);
        report.powerful(name, &times, *figure, *median);
    }
    report.check();
}

#[test]
fn a_regression_is_rolled_back() {
    let twice: Story = |_, _| (2.0, 1.0);
    let thrice: Story = |_, _| (3.0, 1.0);
    let five: Story = |_, _| (5.0, 1.0);
    let twenty: Story = |_, _| (20.0, 1.0);
    found(&[
        ("×2 at 20 req/s", 20.0, twice, 0.005, None),
        ("×3 at 20 req/s", 20.0, thrice, 0.06, None),
        ("×5 at 20 req/s", 20.0, five, 0.60, Some(7.5)),
        ("×20 at 20 req/s", 20.0, twenty, 1.0, Some(2.5)),
        ("×2 at 200 req/s", 200.0, twice, 0.35, None),
        ("×3 at 200 req/s", 200.0, thrice, 0.999, Some(5.0)),
        ("×5 at 200 req/s", 200.0, five, 1.0, Some(2.5)),
        ("×20 at 200 req/s", 200.0, twenty, 1.0, Some(0.5)),
        ("×2 at 2,000 req/s", 2000.0, twice, 1.0, Some(3.25)),
        ("×3 at 2,000 req/s", 2000.0, thrice, 1.0, Some(1.25)),
        ("×5 at 2,000 req/s", 2000.0, five, 1.0, Some(0.5)),
        ("×20 at 2,000 req/s", 2000.0, twenty, 1.0, Some(0.5)),
    ]);
}

/// The multiple that the canary has in the last step, if it was as good as stable before.
fn late(round: usize, multiple: f64) -> (f64, f64) {
    (if round < ROUNDS - EACH { 1.0 } else { multiple }, 1.0)
}

/// Half of the requests of both arms, 250 times the base share, fail for a minute of the first step; from the second on the
/// canary is five times as bad.
fn after_outage(round: usize, chosen: usize) -> (f64, f64) {
    let begins = chosen % (EACH - 3);
    match round {
        round if (begins..begins + 4).contains(&round) => (250.0, 250.0),
        0..EACH => (1.0, 1.0),
        _ => (5.0, 1.0),
    }
}

#[test]
fn a_healthy_past_hides_no_regression() {
    let five: Story = |round, _| late(round, 5.0);
    let twice: Story = |round, _| late(round, 2.0);
    found(&[
        ("×5 in the last step, 200 req/s", 200.0, five, 0.99, None),
        ("×2 in the last step, 200 req/s", 200.0, twice, 0.006, None),
        ("×5 in the last step, 2,000 req/s", 2000.0, five, 1.0, None),
        (
            "×2 in the last step, 2,000 req/s",
            2000.0,
            twice,
            0.75,
            None,
        ),
    ]);
}

#[test]
fn a_shared_outage_hides_no_regression() {
    let (slow, usual) = (Some(4.0), Some(2.5));
    found(&[
        ("×5 after it, 20 req/s", 20.0, after_outage, 0.04, None),
        ("×5 after it, 200 req/s", 200.0, after_outage, 1.0, slow),
        ("×5 after it, 2,000 req/s", 2000.0, after_outage, 1.0, usual),
    ]);
}

#[test]
fn a_good_canary_gets_its_evidence() {
    let without_limit = |rate| World {
        limit: None,
        ..world(rate)
    };
    let rows = [
        ("evidence at 20 req/s", world(20.0), 0.61, Some(1.25)),
        ("evidence at 200 req/s", world(200.0), 1.0, Some(0.25)),
        ("evidence at 2,000 req/s", world(2000.0), 1.0, Some(0.25)),
        (
            "evidence by ratio at 20 req/s",
            without_limit(20.0),
            0.02,
            None,
        ),
        (
            "evidence by ratio at 200 req/s",
            without_limit(200.0),
            0.28,
            None,
        ),
        (
            "evidence by ratio at 2,000 req/s",
            without_limit(2000.0),
            1.0,
            None,
        ),
    ];
    let mut report = Report::default();
    for (name, world, figure, median) in rows {
        let times = proven(name, world, good);
        report.powerful(name, &times, figure, median);
    }
    report.check();
}

#[test]
fn a_bad_canary_gets_none() {
    let mut report = Report::default();
    let rows = [
        (20.0, [0.008, 0.002]),
        (200.0, [0.003, 0.001]),
        (2000.0, [0.0, 0.0]),
    ];
    for (rate, figures) in rows {
        for (share, figure) in [0.005, 0.01].into_iter().zip(figures) {
            let world = World {
                share,
                ..world(rate)
            };
            let name = format!("evidence for twice {} % at {rate} req/s", 100.0 * share);
            let hits = proven(&name, world, |_, _| (2.0, 1.0)).len();
            report.rare(&name, (hits, runs()), figure, MISSED_REGRESSION);
        }
    }
    report.check();
}

#[test]
fn a_shared_outage_blames_nobody_whenever_pods_are_scraped() {
    let mut report = Report::default();
    for (rate, figure) in [(200.0, 0.0002), (2000.0, 0.0)] {
        for pods in [1, 4] {
            let name = format!("outage at {rate} req/s, canary of {pods}");
            let blamed = (0..runs())
                .filter(|run| scrapes::is_blamed(rate, pods, &mut Chance::new(&name, *run)));
            report.rare(&name, (blamed.count(), runs()), figure, FALSE_ROLLBACK);
        }
    }
    report.check();
}

/// Whether the bare statistic at ρ₀ = 1 ever reached 20 in 2,000 rounds, and whether the confidence sequence ever missed 1.
fn bare(chance: &mut Chance) -> (bool, bool) {
    let terms = Terms {
        tolerance: 1.0,
        non_inferiority: 2.0,
        limit: None,
        phi: 1.0,
        steps: 1,
    };
    let mut evidence = Evidence::new(terms, 1);
    let (mut reached, mut missed) = (false, false);
    for _ in 0..2000 {
        let round = world(200.0).round(0.2, (1.0, 1.0), chance);
        evidence.add(&round);
        reached |= evidence.ln_e() >= 20_f64.ln();
        missed |= evidence.ratio().is_some_and(|ratio| {
            ratio.low.is_some_and(|low| low >= 1.0) || ratio.high.is_some_and(|high| high <= 1.0)
        });
    }
    (reached, missed)
}

#[test]
fn the_bare_statistic_keeps_its_promise() {
    // Each run is fifty times as long as an attempt.
    let few = if runs() == FEW { FEW / 4 } else { runs() };
    let found: Vec<_> = (0..few)
        .map(|run| bare(&mut Chance::new("bare", run)))
        .collect();
    let reached = found.iter().filter(|(reached, _)| *reached).count();
    let missed = found.iter().filter(|(_, missed)| *missed).count();
    let mut report = Report::default();
    let level = MISSED_REGRESSION;
    report.rare("bare statistic ever at 20", (reached, few), 0.018, level);
    report.rare("sequence ever misses", (missed, few), 0.023, level);
    report.check();
}
