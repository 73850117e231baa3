//! What the run prints and leaves behind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::prepare::Places;
use crate::process::Said;
use crate::scenario::Scenario;
use crate::scenarios::Case;
use crate::world::HOME;

/// A measured number, and what it may be at most.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) most: f64,
}

/// One scenario that ran.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) case: &'static Case,
    pub(crate) took: Duration,
    /// Why it failed.
    pub(crate) failure: Option<String>,
    pub(crate) numbers: Vec<Number>,
}

/// Nothing can run: says so for every scenario.
pub(crate) fn skipped(chosen: &[&Case], why: &anyhow::Error) -> ExitCode {
    for case in chosen {
        println!("skipped {:>2} {}", case.number, case.name);
    }
    println!("{why}");
    let required = std::env::var("SERIN_REQUIRE_REAL").is_ok_and(|value| value == "1");
    let (failed, skipped) = if required {
        (chosen.len(), 0)
    } else {
        (0, chosen.len())
    };
    println!("0 passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(required))
}

/// Prints one line when a scenario ends.
pub(crate) fn line(outcome: &Outcome) {
    let Outcome {
        case,
        took,
        failure,
        ..
    } = outcome;
    let word = if failure.is_none() { "ok" } else { "FAILED" };
    println!(
        "{word:<6} {:>2} {} ({:.1} s)",
        case.number,
        case.name,
        took.as_secs_f64()
    );
    if let Some(failure) = failure {
        println!("       {failure}");
    }
}

/// Prints table and sum, writes the list for machines, and says how it went.
pub(crate) fn end(places: &Places, outcomes: &[Outcome]) -> ExitCode {
    println!("\n{}", table(outcomes));
    if let Err(error) = junit(places, outcomes) {
        eprintln!("real: {error:#}");
    }
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.failure.is_some())
        .collect();
    for outcome in &failed {
        let dump = places.dump(&outcome.case.folder());
        println!("failed: {} ({})", outcome.case.name, dump.display());
    }
    let passed = outcomes.len() - failed.len();
    println!("{passed} passed, {} failed, 0 skipped", failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// The measured numbers: how often, the median, the worst, and the bound.
fn table(outcomes: &[Outcome]) -> String {
    let mut all: BTreeMap<&str, (Vec<f64>, f64)> = BTreeMap::new();
    for number in outcomes.iter().flat_map(|outcome| &outcome.numbers) {
        let entry = all.entry(&number.name).or_default();
        entry.0.push(number.value);
        entry.1 = number.most;
    }
    let mut table = format!(
        "{:<58} {:>5} {:>10} {:>10} {:>10}\n",
        "measured", "times", "median", "most", "bound"
    );
    for (name, (mut values, bound)) in all {
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or_default();
        let most = values.last().copied().unwrap_or_default();
        let times = values.len();
        let _ = writeln!(
            table,
            "{name:<58} {times:>5} {median:>10.3} {most:>10.3} {bound:>10.1}"
        );
    }
    table
}

fn junit(places: &Places, outcomes: &[Outcome]) -> Result<()> {
    let failures = outcomes
        .iter()
        .filter(|outcome| outcome.failure.is_some())
        .count();
    let mut xml = format!(
        "<testsuite name=\"real\" tests=\"{}\" failures=\"{failures}\">\n",
        outcomes.len()
    );
    for Outcome {
        case,
        took,
        failure,
        ..
    } in outcomes
    {
        let time = took.as_secs_f64();
        let _ = write!(
            xml,
            "  <testcase name=\"{} {}\" time=\"{time:.3}\"",
            case.number, case.name
        );
        match failure {
            None => xml.push_str("/>\n"),
            Some(why) => {
                let _ = writeln!(xml, "><failure>{}</failure></testcase>", escaped(why));
            }
        }
    }
    xml.push_str("</testsuite>\n");
    let path = places.out.join("results.xml");
    fs::write(&path, xml).with_context(|| format!("write {}", path.display()))
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}

/// Writes what happened in a scenario, whether it passed or not.
pub(crate) fn timeline(scenario: &Scenario, case: &Case) {
    let path = scenario.world.places.timeline(&case.folder());
    if let Err(error) = fs::write(&path, scenario.timeline().text()) {
        eprintln!("real: write {}: {error}", path.display());
    }
}

/// Writes all that helps to understand a failure into a folder of its own.
pub(crate) async fn dump(scenario: &Scenario, case: &Case, failure: &str) -> Result<()> {
    let folder = scenario.world.places.dump(&case.folder());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("failure.txt"), failure)?;
    let yaml = |kinds| ["get", kinds, "-o", "yaml", "--show-managed-fields"];
    for (file, arguments) in [
        ("canaries.yaml", &yaml("canaries")[..]),
        ("deployments.yaml", &yaml("deployments,replicasets")[..4]),
        (
            "routes.yaml",
            &yaml("httproutes,services,endpointslices")[..4],
        ),
        ("pods.yaml", &yaml("pods")[..4]),
        ("events.txt", &["get", "events", "--sort-by=.lastTimestamp"]),
    ] {
        let said = scenario.kubectl(arguments).await;
        fs::write(folder.join(file), words(said))?;
    }
    let select = [
        "-l",
        "app.kubernetes.io/name=serin",
        "--prefix",
        "--tail=400",
    ];
    for (file, more) in [
        ("controller.log", None),
        ("controller-before.log", Some("--previous")),
    ] {
        let mut logs = vec!["logs", "-n", HOME];
        logs.extend(select);
        logs.extend(more);
        fs::write(
            folder.join(file),
            words(scenario.world.kubectl(&logs).await),
        )?;
    }
    let calls = scenario
        .world
        .audit
        .calls(scenario.begun, std::time::SystemTime::now())?;
    let calls = calls
        .iter()
        .filter(|call| call.namespace == scenario.namespace)
        .map(|call| {
            let since = call.at.duration_since(scenario.begun).unwrap_or_default();
            format!("{:9.3} {}\n", since.as_secs_f64(), call.line())
        });
    fs::write(folder.join("calls.txt"), calls.collect::<String>())?;
    Ok(())
}

fn words(said: Result<Said>) -> String {
    match said {
        Ok(said) => format!("{}{}", said.out, said.err),
        Err(error) => format!("{error:#}"),
    }
}
