//! `serin diagnose`: what is in the way of a release, and what to try.

use anyhow::Result;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

use crate::cli::args::{Form, TellArgs};
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::screen::Palette;
use crate::cli::tree::Node;
use crate::cli::{find, screen, wait};
use crate::crd::canary::Canary;
use crate::crd::status::{CanaryStatus, CheckVerdict, Phase, Wait};
use crate::objects::{Deployment, mark};

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub finding: String,
    /// What to try.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Prints what is in the way; exit 1 if something is.
pub(super) async fn run(session: &Session, args: &TellArgs) -> Result<Exit> {
    let name = find::canary(session, &args.name).await?.name_any();
    let (canary, target) = wait::read(session, &name).await?;
    let findings = findings(&canary, target.as_ref());
    if args.output != Form::Text {
        screen::write(&args.output.render(&json!(findings))?)?;
    } else if findings.is_empty() {
        screen::line(&format!("canary/{name}: nothing is in the way"))?;
    } else {
        screen::write(&render(&name, &findings, screen::room()))?;
    }
    Ok(if findings.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The findings as a tree.
#[must_use]
pub fn render(name: &str, findings: &[Finding], room: Option<usize>) -> String {
    let node = |found: &Finding| {
        let hint = found.hint.iter().map(|hint| format!("try: {hint}"));
        Node::with(found.finding.as_str(), hint.map(Node::leaf).collect())
    };
    let tree = Node::with(
        format!("canary/{name}"),
        findings.iter().map(node).collect(),
    );
    tree.render(Palette { on: false }, room)
}

/// What is in the way, each with what to try.
#[must_use]
pub fn findings(canary: &Canary, target: Option<&Deployment>) -> Vec<Finding> {
    let Some(status) = &canary.status else {
        let hint = "see whether the controller runs: kubectl -n serin-system get pods";
        return vec![finding("the controller has not seen it yet", hint)];
    };
    let mut found = Vec::new();
    found.extend(behind(canary, status, target));
    found.extend(conditions(status));
    found.extend(pods(status));
    found.extend(checks(status));
    found.extend(waits(canary, status));
    found
}

fn finding(text: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding {
        finding: text.into(),
        hint: Some(hint.into()),
    }
}

/// One that says itself what to do.
fn bare(text: String) -> Finding {
    Finding {
        finding: text,
        hint: None,
    }
}

fn behind(canary: &Canary, status: &CanaryStatus, target: Option<&Deployment>) -> Vec<Finding> {
    let mut found = Vec::new();
    if status.observed_generation != canary.metadata.generation {
        let text = "the status is older than the spec";
        found.push(finding(text, "wait a moment; if it stays so, see whether the controller runs: kubectl -n serin-system get pods"));
    }
    let name = canary.target_name();
    match target {
        None => found.push(finding(
            format!("deployment/{name} does not exist"),
            "create it, or delete the Canary",
        )),
        Some(target) if target.paused && !target.meta.labels.contains_key(mark::HELD) => found
            .push(finding(
                format!("deployment/{name} was paused by a person, not by the gate"),
                format!(
                    "kubectl -n {} rollout resume deployment/{name}",
                    canary.home()
                ),
            )),
        Some(_) => {}
    }
    found
}

/// Conditions that say no. `Ready` and `Promoted` say so in the middle of any release.
fn conditions(status: &CanaryStatus) -> Vec<Finding> {
    let bad = |type_: &str, status: &str| {
        matches!((type_, status), ("Stalled", "True") | ("Gated", "False"))
    };
    status
        .conditions
        .iter()
        .filter(|condition| bad(&condition.type_, &condition.status))
        .map(|condition| bare(format!("{}: {}", condition.reason, condition.message)))
        .collect()
}

fn pods(status: &CanaryStatus) -> Vec<Finding> {
    let of = |trouble: &crate::crd::status::Diagnosis| {
        let container = trouble
            .container
            .as_ref()
            .map(|name| format!(", container {name}"))
            .unwrap_or_default();
        let text = format!(
            "{}{container}: {}: {}",
            trouble.object, trouble.reason, trouble.message
        );
        finding(text, trouble.hint.clone())
    };
    status.diagnosis.iter().map(of).collect()
}

fn checks(status: &CanaryStatus) -> Vec<Finding> {
    let bad = status
        .checks
        .iter()
        .filter(|check| check.verdict > CheckVerdict::Unproven);
    bad.map(|check| {
        let parts = [&check.value, &check.limit, &check.message];
        let words: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        bare(format!(
            "check {}: {:?}: {}",
            check.name,
            check.verdict,
            words.join(", ")
        ))
    })
    .collect()
}

fn waits(canary: &Canary, status: &CanaryStatus) -> Vec<Finding> {
    let (home, name) = (canary.home(), canary.name_any());
    let say = |verb: &str| format!("serin -n {home} {verb} {name}");
    let mut found = Vec::new();
    if canary.spec.suspend {
        found.push(finding(
            "it is suspended by its spec",
            "set spec.suspend to false",
        ));
    }
    if status.phase == Phase::Failed {
        let hint = format!(
            "ship another template, put stable back with `{}`, or try again with `{}`",
            say("undo"),
            say("retry")
        );
        found.push(finding("the candidate was rejected; stable serves", hint));
    }
    let waiting = status
        .step
        .as_ref()
        .and_then(|step| step.waiting)
        .filter(|_| !status.phase.is_idle());
    found.extend(waiting.map(|wait| match wait {
        Wait::Approval => finding("the plan waits for a person", say("promote")),
        Wait::Paused => finding("it was paused by request", say("resume")),
        Wait::NoEvidence => finding(
            "evidence was missing until the deadline",
            format!("{}, or {}", say("promote"), say("abort")),
        ),
        Wait::Contested => finding(
            "somebody else keeps changing the route",
            "stop the other writer, which the message names",
        ),
    }));
    found
}
