//! A played release as people read it: a table of what happened, and a summary.

use std::time::Duration;

use crate::cli::screen::{Colour, Palette};
use crate::cli::simulate::summary::{Requests, Summary};
use crate::cli::simulate::timeline::{News, Row};
use crate::cli::table::{Column, Fit, Table};

/// Timeline and summary.
#[must_use]
pub fn render(summary: &Summary, palette: Palette, room: Option<usize>) -> String {
    let head = format!(
        "{}/{}  {} → {}  scenario {}, seed {}",
        summary.namespace,
        summary.name,
        summary.stable,
        summary.candidate,
        summary.scenario,
        summary.seed
    );
    let mut text = format!("{}\n", palette.paint(Colour::Strong, &head));
    for note in &summary.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push('\n');
    text.push_str(&timeline(&summary.timeline, palette, room));
    text.push('\n');
    for (title, what, colour) in facts(summary) {
        let line = format!("{title:<15}{}", palette.paint(colour, &what));
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn timeline(rows: &[Row], palette: Palette, room: Option<usize>) -> String {
    let mut table = Table::new(&[
        Column::new("TIME"),
        Column::new("PHASE"),
        Column::new("WEIGHT"),
        Column::new("STEP").less(1),
        Column::new("WHAT").wrap(),
    ]);
    for row in rows {
        let what = match &row.reason {
            Some(reason) => format!("{reason}: {}", row.message),
            None => row.message.clone(),
        };
        table.row(vec![
            clock(Duration::from_secs_f64(row.seconds)),
            row.phase.to_string(),
            format!("{} %", row.weight),
            row.step.clone().unwrap_or_default(),
            what,
        ]);
    }
    let fit = table.fit(room, &Fit::default());
    let paint = |colour, text: &str| {
        let lines = text.lines().map(|line| palette.paint(colour, line) + "\n");
        lines.collect::<String>()
    };
    let mut text = paint(Colour::Faint, &table.heading(&fit));
    for (piece, row) in table.pieces(&fit).iter().zip(rows) {
        let colour = match row.news {
            News::Neutral => Colour::Plain,
            News::Good => Colour::Good,
            News::Busy => Colour::Busy,
            News::Bad => Colour::Bad,
        };
        text.push_str(&paint(colour, piece));
    }
    text
}

/// The lines of the summary: a title, what is said, and how good that is.
fn facts(summary: &Summary) -> Vec<(&'static str, String, Colour)> {
    let (word, colour) = match summary.outcome.as_str() {
        "Promoted" => ("promoted", Colour::Good),
        "RolledBack" => ("rolled back", Colour::Bad),
        "Waiting" => ("waiting", Colour::Busy),
        "Unfinished" => ("unfinished", Colour::Busy),
        "Refused" => ("refused", Colour::Bad),
        other => (other, Colour::Busy),
    };
    let mut facts = vec![("outcome", format!("{word}: {}", summary.reason), colour)];
    if let Some(since) = summary.waiting_since_seconds {
        let since = clock(Duration::from_secs_f64(since));
        let hint =
            "a person decides with `serin promote` or `serin abort`; --approve gives approvals";
        facts.push(("waiting since", format!("{since}; {hint}"), Colour::Busy));
    }
    let lasted = spoken(Duration::from_secs_f64(summary.duration_seconds));
    facts.push(("duration", lasted, Colour::Plain));
    if let Some(timeout) = &summary.helm_timeout {
        let command = format!("helm upgrade --wait --timeout {timeout}");
        facts.push(("helm", command, Colour::Plain));
    }
    if summary.requests.sent > 0 {
        facts.extend(requests(&summary.requests));
    }
    facts
}

fn requests(requests: &Requests) -> [(&'static str, String, Colour); 2] {
    let Requests {
        sent,
        lost,
        errors,
        candidate,
        candidate_errors,
    } = *requests;
    let colour = if lost > 0 { Colour::Bad } else { Colour::Plain };
    let all = format!(
        "{} sent, {} lost, {} failed ({})",
        grouped(sent),
        grouped(lost),
        grouped(errors),
        percent(errors, sent)
    );
    let new = format!(
        "{} by the new version ({}), {} of them failed ({})",
        grouped(candidate),
        percent(candidate, sent),
        grouped(candidate_errors),
        percent(candidate_errors, candidate)
    );
    [("requests", all, colour), ("", new, Colour::Plain)]
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    format!("{:.1} %", part as f64 * 100.0 / whole as f64)
}

/// `1 234 567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `07:12`, with hours `1:07:12`
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

fn spoken(time: Duration) -> String {
    let whole = Duration::from_secs(time.as_secs());
    humantime::format_duration(whole).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_times_are_clocks() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1 000", "1 234 567"]
        );
        let clocks = [0, 59, 61, 3_600, 90_061].map(|it| clock(Duration::from_secs(it)));
        assert_eq!(clocks, ["00:00", "00:59", "01:01", "1:00:00", "25:01:01"]);
        assert_eq!(percent(1, 3), "33.3 %");
    }
}
