//! `serin evaluate`: takes a recording through a Canary's analysis, and says when it would have decided what.

pub mod recorded;
pub mod text;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::analysis::MetricPlan;
use crate::cli::exit::Exit;
use crate::cli::screen::{self, Palette};
use crate::cli::simulate::problem::{Broken, Place, Problem};
use crate::cli::simulate::{Form, cast, files, strict};
use crate::crd::canary::Canary;
use crate::metrics::{self, SUCCESS_RATE, Templates};
use crate::rollout::observed::{self, Severity};
use crate::rollout::replay::{Ending, Recording, Replay, Rules, Unfit, replay};

/// A Canary that says nothing of its analysis.
const NOBODYS: &str = "
apiVersion: serin.dev/v1beta1
kind: Canary
metadata: {name: default}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: default}
  service: {port: 80}
";

/// `serin evaluate`
#[derive(Clone, Debug, Args)]
pub struct EvaluateArgs {
    /// The recording: a table (CSV with the columns time, arm, all, bad, and if you like process, metric and weight), or the reply of a
    /// Prometheus to a range query whose label `k` is canary.all, canary.bad, stable.all or stable.bad; `-` is standard input
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,
    /// Manifest of the Canary whose analysis decides; without it that of a Canary that says nothing
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The Canary that is meant, if the files have several
    #[arg(long)]
    pub canary: Option<String>,
    /// The metric of what names none
    #[arg(long, default_value = SUCCESS_RATE)]
    pub metric: String,
    /// How much more bad requests vary than independent ones would; otherwise stable's own say so, before the canary begins
    #[arg(long, value_parser = dispersion)]
    pub dispersion: Option<f64>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
}

fn dispersion(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| (1.0..=20.0).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from 1 to 20"))
}

/// Replays, prints and says how it ended.
pub(super) fn run(args: &EvaluateArgs, namespace: Option<&str>) -> Result<Exit> {
    let replay = match replayed(args, namespace) {
        Ok(replay) => replay,
        Err(broken) => {
            screen::complain(&broken.to_string());
            return Ok(Exit::Usage);
        }
    };
    match args.output {
        Form::Text => screen::write(&text::render(&replay, Palette::of_stdout(), screen::room()))?,
        Form::Json => screen::write(&format!("{:#}\n", text::json(&replay)))?,
    }
    Ok(exit(&replay))
}

fn exit(replay: &Replay) -> Exit {
    match replay.ending {
        Ending::Rejected(..) => Exit::Failed,
        Ending::Proven(_) => Exit::Done,
        Ending::Open(_) => Exit::TimedOut,
    }
}

/// Reads both files, and replays.
///
/// # Errors
/// Says what is wrong with them.
pub fn replayed(args: &EvaluateArgs, namespace: Option<&str>) -> Result<Replay, Broken> {
    let canary = canary(args, namespace)?;
    let (file, text) = files::load(&args.recording);
    let recording = recorded::read(&file, &text?, &args.metric)?;
    let unfit = |why: Unfit| Problem::new(&file, Place::default(), "", &why.to_string());
    judged(&canary, &recording, args.dispersion).map_err(|why| unfit(why).into())
}

/// Takes a recording through the analysis of a Canary. What a template asks for is no count, so that it is left out.
fn judged(
    canary: &Canary,
    recording: &Recording,
    dispersion: Option<f64>,
) -> Result<Replay, Unfit> {
    let (metrics, _) = planned(canary);
    let rules = Rules {
        metrics: &metrics,
        analysis: &canary.spec.analysis,
        dispersion,
    };
    replay(recording, rules)
}

/// The metrics of a Canary whose server is the recording.
fn planned(canary: &Canary) -> (Vec<MetricPlan>, Vec<observed::Problem>) {
    let provider = canary.spec.provider.as_deref().unwrap_or("gatewayapi:v1");
    metrics::plan(canary, &Templates::new(), Some("http://recorded"), provider)
}

/// The Canary of the files, or one that leaves everything to the defaults.
fn canary(args: &EvaluateArgs, namespace: Option<&str>) -> Result<Canary, Broken> {
    let manifests = if args.files.is_empty() {
        files::manifests(NOBODYS, "the default", namespace)?
    } else {
        files::read(&args.files, namespace)?
    };
    let (manifest, _) = cast::canary(manifests, args.canary.as_deref())?;
    let unknown = strict::unknown_fields(&manifest);
    if !unknown.is_empty() {
        return Err(Broken(unknown));
    }
    let canary = serde_json::from_value::<Canary>(manifest.object.clone());
    let canary = canary.map_err(|error| manifest.problem("spec", &error.to_string()))?;
    let (_, problems) = planned(&canary);
    let refused = problems
        .iter()
        .filter(|it| it.severity == Severity::Refused);
    // Templates are not at hand, and are not asked.
    let refused = refused.filter(|it| !it.message.contains("MetricTemplate"));
    let refused: Vec<Problem> = refused
        .map(|it| manifest.problem("", &it.message))
        .collect();
    if refused.is_empty() {
        Ok(canary)
    } else {
        Err(Broken(refused))
    }
}

#[cfg(test)]
mod tests;
