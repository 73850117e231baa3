//! A replay as people read it, and as programs do.

use serde_json::{Value, json};

use crate::cli::screen::{Colour, Palette};
use crate::cli::table::{Column, Table};
use crate::crd::comparison::ComparisonStatus;
use crate::crd::moment::Moment;
use crate::crd::status::CheckStatus;
use crate::rollout::replay::{Ending, Replay, Row};

/// The state at the end of each interval, and what it comes to.
#[must_use]
pub fn render(replay: &Replay, palette: Palette, room: Option<usize>) -> String {
    let mut table = Table::new(&[
        Column::new("TIME"),
        Column::new("WEIGHT").less(1),
        Column::new("METRIC"),
        Column::new("CANARY"),
        Column::new("STABLE").less(2),
        Column::new("LIMIT").less(3),
        Column::new("VERDICT"),
        Column::new("EVIDENCE"),
        Column::new("PROOF"),
    ]);
    for row in &replay.rows {
        for check in &row.checks {
            table.row(cells(replay, row, check));
        }
    }
    let (colour, says) = ending(replay);
    let says = palette.paint(colour, &says);
    format!("{}\n{says}\n", table.render(room))
}

fn cells(replay: &Replay, row: &Row, check: &CheckStatus) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let compared = row.comparison.iter().find(|it| it.metric == check.name);
    let of = |(reached, needed): (&String, &String)| format!("{reached} of {needed}");
    vec![
        offset(replay.began, row.at),
        row.weight
            .map_or_else(String::new, |weight| format!("{weight} %")),
        check.name.clone(),
        text(&check.value),
        text(&check.stable),
        text(&check.limit),
        format!("{:?}", check.verdict),
        compared.map_or_else(String::new, |it| of((&it.evidence, &it.evidence_limit))),
        compared
            .and_then(|it| Some(of((it.proof.as_ref()?, &it.proof_limit))))
            .unwrap_or_default(),
    ]
}

/// Minutes and seconds since the canary's first sample.
fn offset(began: Moment, at: Moment) -> String {
    let seconds = at.since(began).as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn ending(replay: &Replay) -> (Colour, String) {
    let after = |at: Moment| {
        format!(
            "{} after the canary's first sample ({at})",
            offset(replay.began, at)
        )
    };
    match &replay.ending {
        Ending::Rejected(at, why) => {
            let says = format!("Rejected {}: {why}.", after(*at));
            (Colour::Bad, says)
        }
        Ending::Proven(at) => {
            let failed = match replay.failed_checks {
                0 => String::new(),
                some => format!(" {some} failed checks were too few to reject it."),
            };
            let says = format!(
                "Not rejected in {}. There is enough evidence for promotion {}.{failed}",
                offset(replay.began, replay.ended),
                after(*at)
            );
            (Colour::Good, says)
        }
        Ending::Open(lacking) => {
            let says = format!(
                "Not decided in {}: evidence for promotion is missing for {}.",
                offset(replay.began, replay.ended),
                lacking.join(", ")
            );
            (Colour::Busy, says)
        }
    }
}

/// All of it as one document.
#[must_use]
pub fn json(replay: &Replay) -> Value {
    let (outcome, at, reason) = match &replay.ending {
        Ending::Rejected(at, why) => ("rejected", Some(at), Some(why.clone())),
        Ending::Proven(at) => ("proven", Some(at), None),
        Ending::Open(lacking) => (
            "open",
            None,
            Some(format!("evidence is missing for {}", lacking.join(", "))),
        ),
    };
    let rows = replay.rows.iter().map(|row| {
        let Row {
            at,
            weight,
            checks,
            comparison,
        } = row;
        let comparison: &[ComparisonStatus] = comparison;
        json!({"at": at, "weight": weight, "checks": checks, "comparison": comparison})
    });
    json!({
        "outcome": outcome,
        "decidedAt": at,
        "secondsToDecide": at.map(|at| at.since(replay.began).as_secs_f64()),
        "reason": reason,
        "began": replay.began,
        "ended": replay.ended,
        "failedChecks": replay.failed_checks,
        "rows": rows.collect::<Vec<_>>(),
    })
}
