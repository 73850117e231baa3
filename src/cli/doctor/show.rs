//! The findings for people and for programs: what is wrong each by itself, what is right in a line for each kind.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::args::Report;
use crate::cli::doctor::finding::{Check, Finding, Fix, State};
use crate::cli::screen::{self, Colour, Palette};

/// Columns of a terminal that nobody made larger.
const WIDTH: usize = 80;
/// Where the text begins.
const MARGIN: usize = 9;
/// Canaries that are named where the same is found of many.
const NAMED: usize = 5;

/// All findings, in the form that was asked for.
pub(super) fn render(findings: &[Finding], form: Report, palette: Palette) -> Result<String> {
    Ok(match form {
        Report::Table => text(findings, palette),
        Report::Json => format!("{:#}\n", document(findings)?),
        Report::Yaml => screen::yaml(&document(findings)?)?,
    })
}

fn document(findings: &[Finding]) -> Result<Value> {
    let count = |state| of_state(findings, state).count();
    Ok(json!({
        "ok": count(State::Ok), "unknown": count(State::Unknown), "warning": count(State::Warning), "failed": count(State::Failed),
        "findings": serde_json::to_value(findings).context("turn the findings into JSON")?,
    }))
}

fn of_state(findings: &[Finding], state: State) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(move |found| found.state == state)
}

/// The same found of several Canaries.
struct Group<'a> {
    first: &'a Finding,
    canaries: Vec<&'a str>,
    /// What to do is the same for each.
    one_fix: bool,
}

fn text(findings: &[Finding], palette: Palette) -> String {
    let mut lines = String::new();
    for (check, found) in by_check(findings) {
        let bad: Vec<_> = found.iter().filter(|one| one.state != State::Ok).collect();
        let good = found.len() - bad.len();
        for group in groups(bad.into_iter().copied()) {
            lines.push_str(&paragraph(check, &group, palette));
        }
        if good > 0 {
            lines.push_str(&summary(check, &found, good, palette));
        }
    }
    lines.push_str(&total(findings));
    lines
}

fn by_check(findings: &[Finding]) -> BTreeMap<Check, Vec<&Finding>> {
    let mut by_check: BTreeMap<Check, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        by_check.entry(finding.check).or_default().push(finding);
    }
    by_check
}

/// The worst first, and else in the order in which they were found.
fn groups<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for finding in findings {
        let same = groups
            .iter_mut()
            .find(|group| group.first.state == finding.state && group.first.what == finding.what);
        let canary = finding.canary.as_deref();
        match same {
            Some(group) => {
                group.canaries.extend(canary);
                group.one_fix &= group.first.fix == finding.fix;
            }
            None => groups.push(Group {
                first: finding,
                canaries: canary.into_iter().collect(),
                one_fix: true,
            }),
        }
    }
    groups.sort_by_key(|group| group.first.state);
    groups
}

fn paragraph(check: Check, group: &Group<'_>, palette: Palette) -> String {
    let finding = group.first;
    let about = match group.canaries.as_slice() {
        [] => String::new(),
        [one] => format!(" {one}"),
        several => format!(" {} Canaries", several.len()),
    };
    let mut text = headed(
        finding.state,
        &format!("{}{about}: {}", check.title(), finding.what),
        palette,
    );
    if group.canaries.len() > 1 {
        text.push_str(&indented(&some_of(&group.canaries), ""));
    }
    let instance = if group.one_fix {
        "fix"
    } else {
        "fix, for the first"
    };
    match &finding.fix {
        Some(Fix::Advice(advice)) => text.push_str(&indented(&format!("{instance}: {advice}"), "")),
        Some(Fix::Command(command)) => {
            text.push_str(&indented(&format!("{instance}: {command}"), " \\"));
        }
        None => {}
    }
    text
}

fn some_of(canaries: &[&str]) -> String {
    let named = canaries[..canaries.len().min(NAMED)].join(", ");
    match canaries.len().saturating_sub(NAMED) {
        0 => format!("({named})"),
        more => format!("({named} and {more} more)"),
    }
}

/// What is right, in one line: the sentence itself, if there is only one.
fn summary(check: Check, found: &[&Finding], good: usize, palette: Palette) -> String {
    let right = found.iter().find(|one| one.state == State::Ok);
    let text = match right {
        Some(one) if good == 1 => {
            let about = one.canary.as_ref();
            let about = about.map_or_else(String::new, |canary| format!(" {canary}"));
            format!("{}{about}: {}", check.title(), one.what)
        }
        _ => format!("{}: {good} of {}", check.title(), found.len()),
    };
    headed(State::Ok, &text, palette)
}

fn total(findings: &[Finding]) -> String {
    let of = |state| of_state(findings, state).count();
    let counts = [State::Failed, State::Warning, State::Unknown, State::Ok];
    let counts = counts.map(|state| format!("{} {}", of(state), state.word()));
    format!("\n{}\n", counts.join(", "))
}

fn headed(state: State, text: &str, palette: Palette) -> String {
    let colour = match state {
        State::Ok => Colour::Good,
        State::Warning => Colour::Busy,
        State::Failed => Colour::Bad,
        State::Unknown => Colour::Faint,
    };
    let word = state.word();
    let gap = " ".repeat(MARGIN - word.len());
    let lines = indented(text, "");
    format!("{}{gap}{}", palette.paint(colour, word), &lines[MARGIN..])
}

/// Lines of at most 80 columns behind the margin; a word that is longer has a line of its own.
fn indented(text: &str, broken: &str) -> String {
    let room = WIDTH - MARGIN - broken.len();
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > room {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let margin = " ".repeat(MARGIN);
    let end = format!("{broken}\n{margin}");
    format!("{margin}{}\n", lines.join(&end))
}
