//! The controller dies before, or right after, each of its writes, and another one goes on, with a fresh view of the cluster or a late
//! one: users see the same release. `TALE=… CRASH=14 cargo test --test it crashes` repeats the crashes at one write of one tale.
//!
//! The first two tales are tried at every write. Of the others a plain `cargo test` tries every third crash, which takes minutes as it is,
//! from the one that `TURN` says on; `CRASHES=all` tries all of them.

use std::time::Duration;

use tokio::time::Instant;

use crate::story::crash::Crash;
use crate::story::tale::{Tale, run, shared};
use crate::tales::TALES;

/// How late a late view is: later than a write and its answer, earlier than any deadline.
const LATE: Duration = Duration::from_secs(2);

/// One death.
#[derive(Clone, Copy)]
struct Case {
    at: usize,
    after: bool,
    lag: Duration,
}

/// Every write of a tale, before and after it took effect, followed by a fresh and by a late view. Before a write is after the one
/// before it, if no time passed between them.
fn every_case(writes: &[Instant]) -> Vec<Case> {
    let apart = |at: usize| at == 0 || writes[at] > writes[at - 1];
    (0..writes.len())
        .flat_map(|at| [(at, false), (at, true)])
        .filter(|(at, after)| *after || apart(*at))
        .flat_map(|(at, after)| [Duration::ZERO, LATE].map(|lag| Case { at, after, lag }))
        .collect()
}

/// The cases that are tried: all of them, those of one write, or every third one.
fn cases(writes: &[Instant], whole: bool) -> Vec<Case> {
    let said = |name: &str| std::env::var(name).unwrap_or_default();
    let all = every_case(writes);
    if let Ok(only) = said("CRASH").parse::<usize>() {
        return all.into_iter().filter(|case| case.at == only).collect();
    }
    let each = if whole || said("CRASHES") == "all" {
        1
    } else {
        3
    };
    let turn = said("TURN").parse::<usize>().unwrap_or(0);
    all.into_iter().skip(turn % each).step_by(each).collect()
}

/// A crash that is to be tried. `whole`: writes count from the adoption on.
#[derive(Clone, Copy)]
struct Trial {
    tale: &'static Tale,
    case: Case,
    whole: bool,
}

/// What is to be tried of one tale; what is wrong with it even without a crash comes back as an error.
fn trials(tale: &'static Tale, whole: bool) -> Result<Vec<Trial>, String> {
    let never = Crash::new(usize::MAX, false);
    let plain = run(tale, &never, Duration::ZERO, whole);
    if !plain.is_empty() {
        return Err(format!("{} without a crash: {plain:?}", tale.name));
    }
    let writes = never.writes();
    assert!(writes.len() > 5, "{}: only {writes:?}", tale.name);
    let cases = cases(&writes, whole).into_iter();
    Ok(cases.map(|case| Trial { tale, case, whole }).collect())
}

fn one_crash(trial: &Trial) -> Option<String> {
    let Trial { tale, case, whole } = *trial;
    let Case { at, after, lag } = case;
    let crash = Crash::new(at, after);
    let told = || run(tale, &crash, lag, whole);
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(told));
    let wrong = wrong.unwrap_or_else(|_| vec!["it came to no end".to_owned()]);
    let when = if after { "after" } else { "before" };
    (!wrong.is_empty()).then(|| {
        format!(
            "TALE='{}' CRASH={at} ({when} the write, view late by {lag:?}): {}",
            tale.name,
            wrong.join("; ")
        )
    })
}

#[test]
fn a_crash_at_any_write_changes_nothing() {
    let only = std::env::var("TALE").unwrap_or_default();
    let mut all = Vec::new();
    let mut found = Vec::new();
    for (at, tale) in TALES.iter().enumerate() {
        if tale.name.contains(&only) {
            match trials(tale, at < 2) {
                Ok(trials) => all.extend(trials),
                Err(wrong) => found.push(wrong),
            }
        }
    }
    found.extend(shared(&all, one_crash));
    assert!(
        found.is_empty(),
        "{} of {} crashes:\n{}",
        found.len(),
        all.len(),
        found.join("\n")
    );
}
