//! The table of mutants: each with the text that it changes, and what that breaks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// One deliberate mistake.
#[derive(Debug, PartialEq)]
pub(crate) struct Mutant {
    /// What it says is broken, as one word.
    pub(crate) name: String,
    /// The file, from the repository's root.
    pub(crate) file: String,
    /// What it breaks, as a sentence.
    pub(crate) breaks: String,
    find: String,
    replace: String,
}

/// Reads the table beside this file.
pub(crate) fn read() -> Result<Vec<Mutant>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants/table");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let mutants = parse(&text)?;
    for (at, mutant) in mutants.iter().enumerate() {
        let twice = mutants[..at].iter().any(|other| other.name == mutant.name);
        ensure!(!twice, "table: {} is there twice", mutant.name);
    }
    Ok(mutants)
}

fn parse(text: &str) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for block in lines.split(|line| line.is_empty()) {
        if !block.is_empty() {
            mutants.push(one(block)?);
        }
    }
    Ok(mutants)
}

/// Name, file and sentence, then the lines that go, then those that come.
fn one(block: &[&str]) -> Result<Mutant> {
    let [name, file, breaks, change @ ..] = block else {
        bail!("table: a mutant has a name, a file, a sentence and a change: {block:?}");
    };
    let marked = |mark: char| {
        let lines: Vec<&str> = change
            .iter()
            .filter_map(|line| line.strip_prefix(mark))
            .collect();
        lines.join("\n")
    };
    let marks = |line: &&str| line.starts_with('-') || line.starts_with('+');
    ensure!(
        change.iter().all(marks),
        "table: {name}: lines of a change begin with - or +"
    );
    let (find, replace) = (marked('-'), marked('+'));
    ensure!(!find.trim().is_empty(), "table: {name}: it changes nothing");
    Ok(Mutant {
        name: (*name).to_owned(),
        file: (*file).to_owned(),
        breaks: (*breaks).to_owned(),
        find,
        replace,
    })
}

impl Mutant {
    /// The text of its file with the mistake; or why the table is out of date.
    pub(crate) fn applied(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 if self.find == self.replace => Err("it changes nothing".to_owned()),
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(format!(
                "stale: its text occurs {count} times in {}, and must occur once",
                self.file
            )),
        }
    }
}
