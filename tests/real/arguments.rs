//! The command line of the run.

use crate::scenarios::{ALL, Case};

/// So many run at the same time, on two cores: each sends 200 requests a second through one proxy.
const JOBS: usize = 3;

/// What to run, and how.
#[derive(Debug)]
pub(crate) struct Arguments {
    filters: Vec<String>,
    /// Print the scenarios only.
    pub(crate) list: bool,
    /// Take a cluster that is up, and leave it up.
    pub(crate) keep: bool,
    /// How many run at the same time.
    pub(crate) jobs: usize,
    /// How often each runs.
    pub(crate) repeat: usize,
    /// Whose turn it is.
    turn: Option<Turn>,
}

/// A run that leaves out what other runs try: of each number the first scenario, and every `of`th of the others.
#[derive(Clone, Copy, Debug)]
struct Turn {
    number: usize,
    of: usize,
}

impl Turn {
    /// Whether the scenario at this place of the list runs.
    fn takes(self, place: usize) -> bool {
        let number = ALL[place].number;
        let before = ALL[..place].iter().filter(|case| case.number == number);
        match before.count() {
            0 => true,
            place => (place + self.number).is_multiple_of(self.of),
        }
    }
}

impl Arguments {
    /// Reads them; the message of an error is for the person who typed them.
    pub(crate) fn from_command_line(given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            filters: Vec::new(),
            list: false,
            keep: false,
            jobs: JOBS,
            repeat: 1,
            turn: None,
        };
        let mut given = given.flat_map(|one| match one.split_once('=') {
            Some((option, value)) if one.starts_with("--") => {
                vec![option.to_owned(), value.to_owned()]
            }
            _ => vec![one],
        });
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--list" => arguments.list = true,
                "--keep" => arguments.keep = true,
                "--jobs" | "--test-threads" => arguments.jobs = number(&argument, given.next())?,
                "--repeat" => arguments.repeat = number(&argument, given.next())?,
                "--turn" => arguments.turn = Some(turn(given.next())?),
                option if option.starts_with('-') => return Err(format!("what is {option}?")),
                _ => arguments.filters.push(argument),
            }
        }
        if arguments.chosen().is_empty() {
            return Err(format!("no scenario is called {:?}", arguments.filters));
        }
        Ok(arguments)
    }

    /// The scenarios that were asked for, in their order.
    pub(crate) fn chosen(&self) -> Vec<&'static Case> {
        let wanted = |(place, case): &(usize, &Case)| {
            let is = |filter: &String| match filter.parse::<u32>() {
                Ok(number) => number == case.number,
                Err(_) => case.name.contains(filter.as_str()),
            };
            let asked = self.filters.is_empty() || self.filters.iter().any(is);
            asked && self.turn.is_none_or(|turn| turn.takes(*place))
        };
        let chosen = ALL.iter().enumerate().filter(wanted);
        chosen.map(|(_, case)| case).collect()
    }
}

/// `K/N`.
fn turn(value: Option<String>) -> Result<Turn, String> {
    let value = value.unwrap_or_default();
    let parts = value.split_once('/').and_then(|(number, of)| {
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        (of > 0).then_some(Turn { number, of })
    });
    parts.ok_or_else(|| format!("--turn needs K/N, as 2/3, and not {value:?}"))
}

fn number(option: &str, value: Option<String>) -> Result<usize, String> {
    let number = value.and_then(|value| value.parse().ok());
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{option} needs a number"))
}
