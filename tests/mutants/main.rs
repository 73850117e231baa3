//! Shows that the tests of the core bite: each mutant of `table` is one deliberate mistake in it, and has to be caught by one of
//! the core's own tests. One that is not names a test that is missing.
//!
//! Only the core and what it needs are built, not the whole crate, in the target folder; nothing in the work tree is changed.
//! First the core without any mistake has to pass. Each worker, one a core, tries one mutant at a time.
//!
//! | argument or variable | meaning |
//! |---|---|
//! | `MUTANT=name` | try this one alone |
//! | `WORD …` | try those whose name holds one of the words |
//! | `--turn=K/N` | every Nth of them, beginning with number K |
//! | `--list` | print the names |

#![expect(clippy::print_stdout, reason = "this program prints its results")]

mod package;
mod table;
mod trial;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use crate::package::Package;
use crate::table::Mutant;
use crate::trial::{Outcome, Worker};

fn main() -> ExitCode {
    match run() {
        Ok((passed, failed)) => {
            println!("{passed} passed, {failed} failed");
            if failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("mutants: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How many passed, and how many did not.
fn run() -> Result<(usize, usize)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = table::read()?;
    let (first, each) = turn(&arguments)?;
    let chosen: Vec<&Mutant> = all
        .iter()
        .skip(first)
        .step_by(each)
        .filter(|mutant| is_chosen(&mutant.name, &arguments))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.iter().for_each(|mutant| println!("{}", mutant.name));
        return Ok((0, 0));
    }
    ensure!(!chosen.is_empty(), "no mutant is named so");
    let package = Package::build()?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = (0..workers.min(chosen.len()))
        .map(|number| Worker::new(&package, number))
        .collect::<Result<Vec<_>>>()?;
    if !say("without a mutant", "", &workers[0].unchanged()?) {
        return Ok((0, 1));
    }
    let failed = try_all(workers, &chosen);
    Ok((chosen.len() + 1 - failed, failed))
}

/// The place of the first that is tried, and how many further the next one is.
fn turn(arguments: &[String]) -> Result<(usize, usize)> {
    let said = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("--turn="));
    let Some(said) = said else { return Ok((0, 1)) };
    let read = said
        .split_once('/')
        .and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    let (number, of): (usize, usize) = read.context("--turn needs K/N, as 2/4")?;
    ensure!(of > 0, "--turn: one in none is nothing");
    Ok((number % of, of))
}

fn is_chosen(name: &str, arguments: &[String]) -> bool {
    if let Ok(one) = std::env::var("MUTANT") {
        return name == one;
    }
    let mut words = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .peekable();
    words.peek().is_none() || words.any(|word| name.contains(word.as_str()))
}

/// Tries the mutants, each worker one at a time; how many were not caught.
fn try_all(workers: Vec<Worker<'_>>, chosen: &[&Mutant]) -> usize {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for worker in workers {
            let (next, failed) = (&next, &failed);
            scope.spawn(move || {
                while let Some(mutant) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = worker.attempt(mutant);
                    let outcome = outcome.unwrap_or_else(|why| Outcome::Wrong(format!("{why:#}")));
                    let good = say(&mutant.name, &mutant.breaks, &outcome);
                    failed.fetch_add(usize::from(!good), Ordering::Relaxed);
                }
            });
        }
    });
    failed.into_inner()
}

/// Prints what became of a mutant; whether that is what has to be.
fn say(name: &str, breaks: &str, outcome: &Outcome) -> bool {
    let why = match outcome {
        Outcome::Unchanged => "every test passes",
        Outcome::Caught(by) => by,
        Outcome::Survived => "no test of the core caught it",
        Outcome::Wrong(why) => why,
    };
    let good = matches!(outcome, Outcome::Unchanged | Outcome::Caught(_));
    if good {
        println!("ok {name}: {why}");
    } else {
        println!("FAILED {name}: {why}. {breaks}");
    }
    good
}
