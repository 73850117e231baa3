//! The table.

use std::io::Write;
use std::time::Duration;

/// What was measured, in its order.
pub(crate) struct Report {
    title: String,
    rows: Vec<(&'static str, String)>,
}

impl Report {
    /// A table about so many Canaries, some of them active.
    pub(crate) fn new(canaries: usize, active: usize) -> Self {
        Self {
            title: format!("{canaries} Canaries, {active} active"),
            rows: Vec::new(),
        }
    }

    /// Adds a row, and says it at once.
    pub(crate) fn row(&mut self, what: &'static str, value: String) {
        say(&format!("{what}: {value}"));
        self.rows.push((what, value));
    }

    /// Prints the table, as Markdown.
    pub(crate) fn print(&self) {
        say(&format!("\n| {} | |\n|---|---|", self.title));
        for (what, value) in &self.rows {
            say(&format!("| {what} | {value} |"));
        }
    }
}

/// A line on standard output; nobody who could hear that it failed is left.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// The percentile of times, in milliseconds; 0 of none.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times
        .get(at)
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
