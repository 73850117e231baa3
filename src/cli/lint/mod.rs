//! `serin lint`: says what the API server and the controller would refuse, from files and by their own rules.

pub mod company;
pub mod finding;
pub mod form;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::exit::{Exit, Misuse};
use crate::cli::lint::company::Company;
use crate::cli::lint::finding::{Finding, Level};
use crate::cli::lint::form::Definitions;
use crate::cli::screen;
use crate::cli::simulate::Form;
use crate::cli::simulate::files::{self, Manifest};
use crate::cli::simulate::problem::{Place, Problem};
use crate::router;

/// What the names of manifests end with.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Our group, and its kinds where the group is forgotten.
const GROUP: &str = "serin.dev";

/// `serin lint`
#[derive(Clone, Debug, Args)]
pub struct LintArgs {
    /// Manifests, also of Deployments, Services and routes, so that more can be checked; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Take folders: all files below them that end in .yaml, .yml or .json
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// What routes the traffic of Canaries that name no provider: the controller's flag
    #[arg(long, default_value = "gatewayapi:v1")]
    pub provider: String,
    /// Prometheus of Canaries that name none: the controller's flag
    #[arg(long, value_name = "URL")]
    pub metrics_server: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
}

/// What the controller's flags say where a Canary does not.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// What routes the traffic.
    pub provider: String,
    /// Prometheus.
    pub metrics_server: Option<String>,
}

/// What is wrong, and how much was looked at.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// Objects of ours.
    pub checked: usize,
    /// Objects that nothing is known of.
    pub passed_over: usize,
    /// Objects among them that `serin migrate` converts.
    pub foreign: usize,
}

/// Reads, judges and says what is wrong.
pub(super) fn run(args: &LintArgs, namespace: Option<&str>) -> Result<Exit> {
    if router::for_provider(&args.provider).is_none() {
        let why = router::unknown(&args.provider).message;
        return Err(Misuse(why.replace("spec.provider", "--provider")).into());
    }
    let defaults = Defaults {
        provider: args.provider.clone(),
        metrics_server: args.metrics_server.clone(),
    };
    let mut texts = Vec::new();
    let mut unread = Vec::new();
    for path in paths(&args.files, args.recursive)? {
        match files::load(&path) {
            (file, Ok(text)) => texts.push((file, text)),
            (_, Err(broken)) => unread.extend(broken.0),
        }
    }
    if !unread.is_empty() {
        let lines: Vec<_> = unread.iter().map(ToString::to_string).collect();
        return Err(Misuse(lines.join("\n")).into());
    }
    let report = lint(&texts, namespace, &defaults)?;
    screen::write(&match args.output {
        Form::Text => report.text(),
        Form::Json => report.json()?,
    })?;
    Ok(report.exit())
}

/// The files that are meant, folders replaced by what is in them.
///
/// # Errors
/// When a folder is named without `recursive`, or cannot be read.
pub fn paths(named: &[PathBuf], recursive: bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in named {
        if !path.is_dir() {
            found.push(path.clone());
        } else if recursive {
            below(path, &mut found)?;
        } else {
            let message = format!("{} is a folder: add -R to read it", path.display());
            return Err(Misuse(message).into());
        }
    }
    Ok(found)
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|it| it.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let ending = path.extension().and_then(|it| it.to_str());
        // A link to a folder above would never end.
        if path.is_dir() && !path.is_symlink() {
            below(&path, found)?;
        } else if ending.is_some_and(|it| ENDINGS.contains(&it)) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// Judges texts, each with the name of its file; objects without a namespace are in this one.
///
/// # Errors
/// When our own definitions cannot be read.
pub fn lint(
    texts: &[(String, String)],
    namespace: Option<&str>,
    defaults: &Defaults,
) -> Result<Report> {
    let definitions = Definitions::read()?;
    let mut report = Report::default();
    let mut manifests = Vec::new();
    for (file, text) in texts {
        match files::pieces(text, file) {
            Ok(pieces) => manifests.extend(pieces),
            Err(problem) => report.findings.push(unreadable(text, problem)),
        }
    }
    let settled: Vec<_> = manifests
        .into_iter()
        .map(|it| it.settled(namespace))
        .collect();
    let mut company = Company::default();
    for manifest in &settled {
        if is_ours(manifest, &definitions) {
            report.checked += 1;
            let judged = form::judge(manifest, &definitions);
            report.findings.extend(judged.findings);
            if let Some(object) = judged.object {
                company.join(manifest, object);
            }
        } else if !company.join_other(manifest) {
            report.passed_over += 1;
            report.foreign += usize::from(is_foreign(manifest));
        }
    }
    company.judge(defaults, &mut report.findings);
    report
        .findings
        .sort_by(|one, other| one.problem.cmp(&other.problem));
    report.findings.dedup();
    Ok(report)
}

/// Why a text is no YAML; one that has still to be rendered is not wrong.
fn unreadable(text: &str, problem: Problem) -> Finding {
    if !text.contains("{{") {
        return Finding::of_file(Level::Error, problem);
    }
    let message = "is a template, and not checked: render it first, for instance with helm template CHART | serin lint -";
    let problem = Problem::new(problem.file(), Place::default(), "", message);
    Finding::of_file(Level::Warning, problem)
}

fn is_ours(manifest: &Manifest, definitions: &Definitions) -> bool {
    let forgotten = manifest.object.get("apiVersion").is_none();
    manifest.group() == GROUP
        || manifest.object["apiVersion"] == json!(GROUP)
        || forgotten && definitions.kinds().any(|kind| kind == manifest.kind())
}

fn is_foreign(manifest: &Manifest) -> bool {
    let converted = ["Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate"];
    manifest.group() == "flagger.app"
        || manifest.group() == "argoproj.io" && converted.contains(&manifest.kind())
}

impl Report {
    /// Failed if something is wrong, which a warning does not say.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.count(Level::Error) > 0 {
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|it| it.level == level).count()
    }

    /// A line for each finding, and one that counts.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&finding.line());
            text.push('\n');
        }
        let (wrong, unsure) = (self.count(Level::Error), self.count(Level::Warning));
        let mut parts = vec![format!("{} checked", plural(self.checked, "object"))];
        parts.push(match wrong {
            0 => "nothing wrong".to_owned(),
            wrong => format!("{wrong} wrong"),
        });
        if unsure > 0 {
            parts.push(plural(unsure, "warning"));
        }
        if self.passed_over > 0 {
            parts.push(format!("{} of other kinds passed over", self.passed_over));
        }
        text.push_str(&format!("{}\n", parts.join(", ")));
        if self.foreign > 0 {
            let objects = plural(self.foreign, "object");
            text.push_str(&format!(
                "{objects} of Flagger or Argo Rollouts: `serin migrate` converts them\n"
            ));
        }
        text
    }

    /// The same as one JSON document.
    fn json(&self) -> Result<String> {
        let findings: Vec<_> = self.findings.iter().map(Finding::json).collect();
        let whole = json!({
            "findings": findings, "checked": self.checked, "passedOver": self.passed_over,
        });
        Ok(format!("{}\n", serde_json::to_string_pretty(&whole)?))
    }
}

fn plural(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

#[cfg(test)]
mod tests;
