//! `serin simulate`: plays a release of a Canary from files, in virtual time, on the embedded cluster with the real controller.

pub mod cast;
pub mod field;
pub mod files;
pub mod play;
pub mod problem;
pub mod record;
pub mod scenario;
pub mod stage;
mod stand_in;
pub mod strict;
pub mod summary;
pub mod text;
pub mod timeline;
pub mod yaml;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::cli::exit::Exit;
use crate::cli::screen::{self, Palette};
use crate::cli::simulate::play::{Report, Rules};
use crate::cli::simulate::problem::{Broken, Place, Problem};
use crate::cli::simulate::scenario::{NAMED, Scenario};
use crate::cli::simulate::stage::Script;
use crate::cli::simulate::summary::Summary;
use crate::telemetry::log::{self, LogFormat};

/// `serin simulate`
#[derive(Clone, Debug, Args)]
pub struct SimulateArgs {
    /// Manifests: a Canary, and what of its Deployment, routes and MetricTemplates is at hand; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "print_scenario")]
    pub files: Vec<PathBuf>,
    /// What happens: good, errors, latency, crash, no-traffic, flaky, shared-outage; of the comparison with stable tolerable, twice,
    /// three-times, five-times, twenty-times, surge, late, behind-an-outage; or a file
    #[arg(short, long, default_value = "good")]
    pub scenario: String,
    /// Print the scenario, to make one of your own from it
    #[arg(long)]
    pub print_scenario: bool,
    /// Where chance begins: the same number plays the same release
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The Canary that is meant, if the files have several
    #[arg(long)]
    pub canary: Option<String>,
    /// Give every approval that is waited for
    #[arg(long)]
    pub approve: bool,
    /// Longest simulated time
    #[arg(long, default_value = "24h", value_parser = humantime::parse_duration)]
    pub limit: Duration,
    /// Show the controller's log on standard error, from this level on
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table and a summary
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// Plays, prints and says how it ended.
pub(super) fn run(args: &SimulateArgs, namespace: Option<&str>) -> Result<Exit> {
    if args.print_scenario {
        let Ok((_, text)) = find(&args.scenario).map_err(|it| screen::complain(&it.to_string()))
        else {
            return Ok(Exit::Usage);
        };
        return screen::say(&text);
    }
    if let Some(level) = &args.log {
        log::start(LogFormat::Text, level)?;
    }
    let told = told(args, namespace);
    let (report, scenario) = match told {
        Ok(told) => told,
        Err(error) => match error.downcast::<Broken>() {
            Ok(broken) => {
                screen::complain(&broken.to_string());
                return Ok(Exit::Usage);
            }
            Err(error) => return Err(error),
        },
    };
    let summary = Summary::new(&report, &scenario, args.seed);
    let text = match args.output {
        Form::Text => text::render(&summary, Palette::of_stdout(), screen::room()),
        Form::Json => json(&summary)?,
    };
    screen::write(&text)?;
    Ok(summary::exit(&report.ending))
}

fn json(summary: &Summary) -> Result<String> {
    let text = serde_json::to_string_pretty(summary).context("turn the report into JSON")?;
    Ok(format!("{text}\n"))
}

/// What happened, and the name of the scenario.
fn told(args: &SimulateArgs, namespace: Option<&str>) -> Result<(Report, String)> {
    let (file, text) = find(&args.scenario)?;
    let scenario = Scenario::read(&text, &file)?;
    let script = Script {
        manifests: files::read(&args.files, namespace)?,
        canary: args.canary.clone(),
        scenario,
        seed: args.seed,
    };
    let rules = Rules {
        limit: args.limit,
        approve: args.approve,
    };
    Ok((played(&script, rules)?, file))
}

/// Plays a release on a runtime of its own, whose time stands still while somebody works.
///
/// # Errors
/// Says everything that is wrong with the files.
pub fn played(script: &Script, rules: Rules) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("start the runtime")?;
    Ok(runtime.block_on(play::play(script, rules))?)
}

/// The name and the text of a scenario, built in or of a file.
fn find(name: &str) -> Result<(String, String), Broken> {
    if let Some((name, text)) = NAMED.iter().find(|(known, _)| *known == name) {
        return Ok(((*name).to_owned(), (*text).to_owned()));
    }
    let path = PathBuf::from(name);
    if !path.exists() && !name.contains(['/', '.']) {
        let known: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        let message = format!("is neither a scenario ({known}) nor a file");
        return Err(Problem::new(name, Place::default(), "", &message).into());
    }
    let (file, text) = files::load(&path);
    Ok((file, text?))
}

#[cfg(test)]
mod tests;
