//! `serin history`: finished releases.

use anyhow::Result;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::cli::args::{Form, TellArgs};
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::table::{Column, Table};
use crate::cli::text::Side;
use crate::cli::{age, find, screen};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::status::Release;

/// The columns; the images say less than the reason.
const COLUMNS: [Column; 7] = [
    Column::new("REVISION"),
    Column::new("IMAGE").cut(Side::Start).less(2),
    Column::new("OUTCOME"),
    Column::new("TOOK").less(4),
    Column::new("ENDED").less(1),
    Column::new("BY").cut(Side::End).less(3),
    Column::new("REASON").wrap(),
];

/// Prints the releases, newest first.
pub(super) async fn run(session: &Session, args: &TellArgs) -> Result<Exit> {
    let canary = find::canary(session, &args.name).await?;
    let history = canary.status.as_ref().map(|status| &status.history);
    let releases = history.map_or(&[][..], Vec::as_slice);
    if args.output != Form::Text {
        return screen::say(&args.output.render(&json!(releases))?);
    }
    if releases.is_empty() {
        screen::complain(&format!(
            "canary/{} has not seen a release end yet",
            canary.name_any()
        ));
        return Ok(Exit::Done);
    }
    screen::say(&render(&canary, Clock::System.now(), screen::room()))
}

/// The releases as a table.
#[must_use]
pub fn render(canary: &Canary, now: Timestamp, room: Option<usize>) -> String {
    let mut table = Table::new(&COLUMNS);
    let history = canary.status.iter().flat_map(|status| &status.history);
    for release in history {
        table.row(cells(release, now));
    }
    table.render(room)
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
