//! Recordings in files: tables of counters as CSV, or what a Prometheus said.

use std::collections::BTreeMap;

use csv::{Position, ReaderBuilder, StringRecord};
use jiff::Timestamp;

use crate::analysis::Counter;
use crate::cli::simulate::problem::{Broken, Place, Problem};
use crate::crd::moment::Moment;
use crate::metrics::history;
use crate::rollout::replay::Recording;

/// The columns of a table; those after the first four may be left out.
const COLUMNS: [&str; 7] = ["time", "arm", "all", "bad", "process", "metric", "weight"];

/// How many of them are needed.
const NEEDED: usize = 4;

/// Reads a recording. `usual` is the metric of what names none.
///
/// # Errors
/// Says what is wrong, with line and column.
pub fn read(file: &str, text: &str, usual: &str) -> Result<Recording, Broken> {
    if text.trim_start().starts_with('{') {
        said(file, text, usual)
    } else {
        table(file, text, usual)
    }
}

/// A reply of a Prometheus to a range query.
fn said(file: &str, text: &str, usual: &str) -> Result<Recording, Broken> {
    let unread = |why: &str| Broken(vec![Problem::new(file, Place::default(), "", why)]);
    let samples = history::recorded(text.as_bytes()).map_err(|error| unread(&error.to_string()))?;
    let metrics = BTreeMap::from([(usual.to_owned(), samples)]);
    Ok(Recording {
        metrics,
        weights: BTreeMap::new(),
    })
}

fn table(file: &str, text: &str, usual: &str) -> Result<Recording, Broken> {
    let mut reader = ReaderBuilder::new();
    let reader = reader
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .flexible(true);
    let mut reader = reader.from_reader(text.as_bytes());
    let unread = |error: &csv::Error| {
        let line = error.position().map_or(0, Position::line);
        let place = Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: 1,
        };
        Problem::new(file, place, "", &error.to_string())
    };
    let heading = reader.headers().map_err(|error| unread(&error))?;
    let heading = Heading::read(file, heading)?;
    let mut recording = Recording::default();
    let mut problems = Vec::new();
    for record in reader.records() {
        let taken = record.map_err(|error| vec![unread(&error)]);
        let taken = taken.and_then(|record| {
            let row = Row {
                file,
                heading: &heading,
                record: &record,
            };
            row.take(usual, &mut recording)
        });
        problems.extend(taken.err().into_iter().flatten());
    }
    if !problems.is_empty() {
        return Err(Broken(problems));
    }
    recording.weights = changes(&recording.weights);
    Ok(recording)
}

/// The times at which the weight changed.
fn changes(weights: &BTreeMap<Moment, u8>) -> BTreeMap<Moment, u8> {
    let mut before = None;
    let changed = weights
        .iter()
        .filter(|(_, weight)| before.replace(**weight) != Some(**weight));
    changed.map(|(at, weight)| (*at, *weight)).collect()
}

/// Where each column is.
struct Heading([Option<usize>; COLUMNS.len()]);

impl Heading {
    fn read(file: &str, titles: &StringRecord) -> Result<Self, Broken> {
        let place = Place { line: 1, column: 1 };
        let mut problems = Vec::new();
        for title in titles.iter().filter(|title| !COLUMNS.contains(title)) {
            let message = format!("is no column; known are {}", COLUMNS.join(", "));
            problems.push(Problem::new(file, place, title, &message));
        }
        let found = COLUMNS.map(|column| titles.iter().position(|title| title == column));
        for (column, _) in COLUMNS
            .iter()
            .zip(found)
            .take(NEEDED)
            .filter(|(_, at)| at.is_none())
        {
            let message = format!(
                "is missing in the heading; needed are {}",
                COLUMNS[..NEEDED].join(", ")
            );
            problems.push(Problem::new(file, place, column, &message));
        }
        if problems.is_empty() {
            Ok(Self(found))
        } else {
            Err(Broken(problems))
        }
    }
}

/// One line of a table.
struct Row<'a> {
    file: &'a str,
    heading: &'a Heading,
    record: &'a StringRecord,
}

impl Row<'_> {
    /// Adds it to the recording.
    fn take(&self, usual: &str, recording: &mut Recording) -> Result<(), Vec<Problem>> {
        let at = self.time()?;
        let canary = match self.cell("arm") {
            "canary" => true,
            "stable" => false,
            other => {
                return Err(self.wrong("arm", &format!("{other:?} is neither canary nor stable")));
            }
        };
        let (all, bad) = (self.count("all")?, self.count("bad")?);
        if bad > all {
            return Err(self.wrong("bad", &format!("{bad} bad requests of {all}")));
        }
        let weight = self.weight()?;
        recording.weights.extend(weight.map(|weight| (at, weight)));
        let metric = Some(self.cell("metric")).filter(|name| !name.is_empty());
        let samples = recording.metrics.entry(metric.unwrap_or(usual).to_owned());
        let process = self.cell("process");
        samples.or_default().entry(at).or_default().push(Counter {
            process: process.to_owned(),
            canary,
            canary_pod: false,
            all,
            bad,
            at: at.as_seconds(),
        });
        Ok(())
    }

    fn cell(&self, column: &str) -> &str {
        let position = self.position(column);
        position
            .and_then(|at| self.record.get(at))
            .unwrap_or_default()
    }

    fn position(&self, column: &str) -> Option<usize> {
        let known = COLUMNS.iter().position(|known| *known == column)?;
        self.heading.0[known]
    }

    /// Seconds since 1970, or a date with its time zone.
    fn time(&self) -> Result<Moment, Vec<Problem>> {
        let text = self.cell("time");
        let seconds = text.parse::<f64>().ok().filter(|it| it.is_finite());
        let time = match seconds {
            Some(seconds) => Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok(),
            None => text.parse::<Timestamp>().ok(),
        };
        let wrong = || {
            let message =
                format!("{text:?} is neither seconds since 1970 nor like 2030-01-31T12:00:00Z");
            self.wrong("time", &message)
        };
        time.map(Moment::new).ok_or_else(wrong)
    }

    fn count(&self, column: &str) -> Result<f64, Vec<Problem>> {
        let text = self.cell(column);
        let count = text.parse::<f64>().ok();
        let count = count.filter(|count| count.is_finite() && *count >= 0.0);
        count.ok_or_else(|| {
            self.wrong(
                column,
                &format!("{text:?} is no count, which is a number from 0 on"),
            )
        })
    }

    fn weight(&self) -> Result<Option<u8>, Vec<Problem>> {
        let text = self.cell("weight");
        if text.is_empty() {
            return Ok(None);
        }
        let weight = text.trim_end_matches('%').trim().parse::<u8>().ok();
        let weight = weight.filter(|weight| *weight <= 100);
        let wrong = || {
            self.wrong(
                "weight",
                &format!("{text:?} is no share of 0 to 100 percent"),
            )
        };
        weight.map(Some).ok_or_else(wrong)
    }

    fn wrong(&self, column: &str, message: &str) -> Vec<Problem> {
        let line = self.record.position().map_or(0, Position::line);
        let place = Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: 1,
        };
        vec![Problem::new(self.file, place, column, message)]
    }
}
