//! `serin history`: finished releases.

use anyhow::Result;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::table::Table;
use crate::cli::{age, find, screen};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::status::Release;

/// Prints the releases, newest first.
pub(super) async fn run(session: &Session, name: &str) -> Result<Exit> {
    let canary = find::canary(session, name).await?;
    let releases = canary
        .status
        .as_ref()
        .map_or(0, |status| status.history.len());
    if releases == 0 {
        screen::complain(&format!(
            "canary/{} has not seen a release end yet",
            canary.name_any()
        ));
        return Ok(Exit::Done);
    }
    screen::say(&render(&canary, Clock::System.now()))
}

/// The releases as a table.
#[must_use]
pub fn render(canary: &Canary, now: Timestamp) -> String {
    let mut table = Table::new(&[
        "REVISION", "IMAGE", "OUTCOME", "TOOK", "ENDED", "BY", "REASON",
    ]);
    let history = canary.status.iter().flat_map(|status| &status.history);
    for release in history {
        table.row(cells(release, now));
    }
    table.render()
}

fn cells(release: &Release, now: Timestamp) -> Vec<String> {
    let marks: Vec<_> = release
        .marks
        .iter()
        .map(|mark| format!("{mark:?}"))
        .collect();
    let outcome = match marks.as_slice() {
        [] => format!("{:?}", release.outcome),
        marks => format!("{:?} ({})", release.outcome, marks.join(", ")),
    };
    let took = release
        .started_at
        .map(|start| age::brief(release.ended_at.since(start)));
    vec![
        release.revision.clone(),
        release.images.join(","),
        outcome,
        took.unwrap_or_default(),
        format!("{} ago", age::since(release.ended_at, now)),
        release.by.clone().unwrap_or_default(),
        release.reason.clone(),
    ]
}
