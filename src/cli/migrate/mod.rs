//! `serin migrate`: manifests of Flagger and Argo Rollouts as Serin's, and what became of every field in words.

pub mod account;
pub mod argo;
pub mod fields;
pub mod flagger;

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use crate::cli::exit::{Exit, Misuse};
use crate::cli::lint::finding::Level;
use crate::cli::lint::{self, Defaults};
use crate::cli::migrate::account::Account;
use crate::cli::migrate::argo::Book;
use crate::cli::migrate::fields::tell_metadata;
use crate::cli::screen;
use crate::cli::simulate::files::{self, Manifest, shapeless};
use crate::cli::simulate::problem::Broken;

/// Where objects without a namespace are.
const HOME: &str = "default";

/// `serin migrate`
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    /// Manifests of Flagger or Argo Rollouts, with the Services and AnalysisTemplates that they name; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Take folders: all files below them that end in .yaml, .yml or .json
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Write files of the same names into this folder, instead of standard output
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// The new objects, and what became of the old ones.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// The new objects, each with the file of the old one.
    pub objects: Vec<(String, Value)>,
    /// What became of each old object.
    pub accounts: Vec<Account>,
    /// Objects of other kinds.
    pub others: usize,
}

/// Reads, converts, writes and says what became of everything.
pub(super) fn run(args: &MigrateArgs, namespace: Option<&str>) -> Result<Exit> {
    let mut texts = Vec::new();
    for path in lint::paths(&args.files, args.recursive)? {
        let (file, text) = files::load(&path);
        texts.push((file, text.map_err(|broken| misuse(&broken))?));
    }
    let converted = convert(&texts, namespace)?;
    if converted.accounts.is_empty() {
        let message =
            "no file holds an object of Flagger (flagger.app) or Argo Rollouts (argoproj.io)";
        return Err(Misuse(message.to_owned()).into());
    }
    match &args.output {
        Some(folder) => converted.write(folder)?,
        None => screen::write(&converted.yaml()?)?,
    }
    screen::complain(converted.report().trim_end());
    Ok(converted.exit())
}

fn misuse(broken: &Broken) -> anyhow::Error {
    Misuse(broken.to_string()).into()
}

/// Converts texts, each with the name of its file.
///
/// # Errors
/// When a text is no YAML, or an object has no name.
pub fn convert(texts: &[(String, String)], namespace: Option<&str>) -> Result<Converted> {
    let mut manifests = Vec::new();
    for (file, text) in texts {
        manifests.extend(files::pieces(text, file).map_err(|problem| misuse(&problem.into()))?);
    }
    let mut converted = Converted::default();
    let mut book = Book::default();
    for manifest in &manifests {
        let home = home(manifest, namespace);
        if is_template(manifest) {
            let mut account = account(manifest)?;
            let objects = book.read_template(manifest, &home, &mut account);
            converted.take(manifest, objects, account);
        } else if manifest.group().is_empty() && manifest.kind() == "Service" {
            book.note_service(manifest, &home);
        }
    }
    for manifest in manifests.iter().filter(|it| !is_template(it)) {
        let home = home(manifest, namespace);
        let Some(turn) = turned(manifest) else {
            converted.others += 1;
            continue;
        };
        let mut account = account(manifest)?;
        let objects = match turn {
            Turn::Canary => vec![flagger::canary(manifest, &home, &mut account)],
            Turn::MetricTemplate => vec![flagger::metric_template(manifest, &mut account)],
            Turn::AlertProvider => vec![flagger::alert_provider(manifest, &mut account)],
            Turn::Rollout => argo::rollout(manifest, &home, &book, &mut account),
        };
        converted.take(manifest, objects, account);
    }
    converted.lint(namespace)?;
    Ok(converted)
}

/// What an object is turned from.
enum Turn {
    Canary,
    MetricTemplate,
    AlertProvider,
    Rollout,
}

fn turned(manifest: &Manifest) -> Option<Turn> {
    match (manifest.group(), manifest.kind()) {
        ("flagger.app", "Canary") => Some(Turn::Canary),
        ("flagger.app", "MetricTemplate") => Some(Turn::MetricTemplate),
        ("flagger.app", "AlertProvider") => Some(Turn::AlertProvider),
        ("argoproj.io", "Rollout") => Some(Turn::Rollout),
        _ => None,
    }
}

fn is_template(manifest: &Manifest) -> bool {
    manifest.group() == "argoproj.io" && argo::TEMPLATES.contains(&manifest.kind())
}

/// An account to be filled; an object without a name has none.
fn account(manifest: &Manifest) -> Result<Account> {
    match shapeless(manifest) {
        Some(problem) => Err(misuse(&problem.into())),
        None => Ok(Account::new(manifest)),
    }
}

fn home(manifest: &Manifest, namespace: Option<&str>) -> String {
    match manifest.namespace() {
        "" => namespace.unwrap_or(HOME).to_owned(),
        own => own.to_owned(),
    }
}

impl Converted {
    fn take(&mut self, manifest: &Manifest, objects: Vec<Value>, mut account: Account) {
        tell_metadata(&manifest.object, &mut account);
        if manifest.object.get("status").is_some() {
            account.drop("status", "belongs to the old controller");
        }
        let file = manifest.file();
        let objects = objects.into_iter().map(|it| (file.to_owned(), it));
        self.objects.extend(objects);
        self.accounts.push(account);
    }

    /// Adds what `serin lint` says of the new objects to their accounts.
    fn lint(&mut self, namespace: Option<&str>) -> Result<()> {
        let defaults = Defaults {
            provider: "gatewayapi:v1".to_owned(),
            // Flagger and Argo had one, and that Serin needs one is said in words.
            metrics_server: Some("http://prometheus".to_owned()),
        };
        let texts = [("it".to_owned(), self.yaml()?)];
        let report = lint::lint(&texts, namespace, &defaults)?;
        for finding in report.findings {
            let (kind, home, name) = finding.object.unwrap_or_default();
            let mut accounts = self.accounts.iter_mut();
            let Some(account) = accounts.find(|it| it.is_of(&kind, &home, &name)) else {
                continue;
            };
            let verb = match finding.level {
                Level::Error => "serin lint refuses the new object",
                Level::Warning => "serin lint doubts",
            };
            let text = format!("{verb}: {}", finding.problem.message());
            account.ask(&format!("{kind} {}", finding.problem.field()), &text);
        }
        Ok(())
    }

    /// The new objects as YAML, a document each.
    ///
    /// # Errors
    /// When an object cannot be written.
    pub fn yaml(&self) -> Result<String> {
        documents(self.objects.iter().map(|(_, object)| object))
    }

    /// What became of everything, in words.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text: String = self.accounts.iter().map(Account::text).collect();
        let asked = self
            .accounts
            .iter()
            .filter(|it| it.needs_a_person())
            .count();
        let others = match self.others {
            0 => String::new(),
            others => format!(", {others} of other kinds left where they are"),
        };
        text.push_str(&format!(
            "{} converted, {asked} of them need a person{others}. How to change over without losing requests: docs/migrate.md\n",
            self.accounts.len()
        ));
        text
    }

    /// Failed if something needs a person.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.accounts.iter().any(Account::needs_a_person) {
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    /// Writes a file for each old one; none that is there is touched.
    fn write(&self, folder: &Path) -> Result<()> {
        let mut files: Vec<&str> = self.objects.iter().map(|(file, _)| file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let mut texts = Vec::new();
        for (file, name) in named(&files) {
            let path = folder.join(name);
            if path.exists() {
                let message = format!("{} is there already: choose another folder", path.display());
                return Err(Misuse(message).into());
            }
            let own = self.objects.iter().filter(|(other, _)| other == file);
            texts.push((path, documents(own.map(|(_, object)| object))?));
        }
        for (path, text) in texts {
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .with_context(|| format!("make {}", parent.display()))?;
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Names of new files: those of the old ones, with their folders where two have the same name.
fn named<'a>(files: &[&'a str]) -> Vec<(&'a str, PathBuf)> {
    let short = |file: &str| match file {
        files::STDIN_NAME => PathBuf::from("standard-input.yaml"),
        file => Path::new(file)
            .file_name()
            .map(PathBuf::from)
            .unwrap_or_default(),
    };
    let is_twice = |name: &Path| files.iter().filter(|file| short(file) == name).count() > 1;
    let long = |file: &str| -> PathBuf {
        let parts = Path::new(file).components();
        parts
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    };
    let name = |file: &&'a str| {
        let name = short(file);
        (*file, if is_twice(&name) { long(file) } else { name })
    };
    files.iter().map(name).collect()
}

fn documents<'a>(objects: impl Iterator<Item = &'a Value>) -> Result<String> {
    let texts: Vec<_> = objects.map(screen::yaml).collect::<Result<_>>()?;
    Ok(texts.join("---\n"))
}

#[cfg(test)]
mod tests;
