//! Standard output and standard error: text, colours, and a reader who may leave.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::exit::Exit;

/// Writes to standard output, at once.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes all that a command has to say, and ends it well.
pub fn say(text: &str) -> Result<Exit> {
    write(text)?;
    Ok(Exit::Done)
}

/// Writes a line to standard output.
pub fn line(text: &str) -> Result<()> {
    Ok(write(&format!("{text}\n"))?)
}

/// Writes a line to standard error; nobody is left to tell if that fails.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Clears the terminal and writes this from its top.
pub fn redraw(text: &str) -> Result<()> {
    // Home, then clear to the end: without the flicker of clearing first.
    let text = text.replace('\n', "\x1b[K\n");
    Ok(write(&format!("\x1b[H{text}\x1b[J"))?)
}

/// An object as YAML.
pub fn yaml(object: &impl Serialize) -> Result<String> {
    // By way of a JSON value, so that maps are sorted and empty parts are as in the object.
    let value = serde_json::to_value(object).context("turn the object into JSON")?;
    let mut text = serde_saphyr::to_string(&value).context("turn the object into YAML")?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Whether there are colours.
    pub on: bool,
}

impl Palette {
    /// Colours on a terminal, unless `NO_COLOR` says something.
    #[must_use]
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            on: is_terminal() && !refused && !dumb,
        }
    }

    /// The text in this colour.
    #[must_use]
    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self.on && colour != Colour::Plain {
            format!("\x1b[{}m{text}\x1b[0m", colour.code())
        } else {
            text.to_owned()
        }
    }
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As any text.
    Plain,
    /// All is well.
    Good,
    /// Something goes on, or waits.
    Busy,
    /// Something is wrong.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Colour {
    fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Strong => 1,
            Self::Faint => 2,
            Self::Bad => 31,
            Self::Good => 32,
            Self::Busy => 33,
        }
    }
}
