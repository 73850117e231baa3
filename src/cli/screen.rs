//! Standard output and standard error: text, colours, and a reader who may leave.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::cli::args::Form;
use crate::cli::exit::Exit;
use crate::cli::text::Text;

/// Columns and rows of a terminal that does not tell.
const USUAL: (usize, usize) = (80, 24);

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

/// Writes a line to standard output; on a terminal in as many as it takes.
pub fn line(text: &str) -> Result<()> {
    Ok(write(&wrapped(text, room()))?)
}

/// Writes lines to standard error; on a terminal in as many as it takes. Nobody is left to tell if that fails.
pub fn complain(text: &str) {
    let room = size_of(&io::stderr()).map(|(columns, _)| columns);
    let _ = io::stderr()
        .lock()
        .write_all(wrapped(text, room).as_bytes());
}

/// Lines, none wider than there is room: what is wrapped goes on under the beginning of its line, a little further in.
fn wrapped(text: &str, room: Option<usize>) -> String {
    let Some(room) = room else {
        return format!("{text}\n");
    };
    let mut all = String::new();
    for line in text.split('\n') {
        let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len() + 2);
        let lines = Text::from(line).wrap_hanging(room, room.saturating_sub(indent.len()));
        for (index, line) in lines.iter().enumerate() {
            let indent = if index == 0 { "" } else { &indent };
            all.push_str(&format!("{indent}{}\n", line.paint(Palette { on: false })));
        }
    }
    all
}

/// Columns of the terminal that standard output is; `None`: it is none, and whoever reads it wants lines as they are.
#[must_use]
pub fn room() -> Option<usize> {
    size().map(|(columns, _)| columns)
}

/// Columns and rows of the terminal that standard output is.
#[must_use]
pub fn size() -> Option<(usize, usize)> {
    size_of(&io::stdout())
}

fn size_of(stream: &(impl IsTerminal + AsFd)) -> Option<(usize, usize)> {
    if !stream.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(stream).ok();
    // A terminal that does not know its size says 0.
    let told = told.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    Some(told.map_or(USUAL, |size| (size.ws_col.into(), size.ws_row.into())))
}

/// Whether standard output is a terminal whose cursor can be moved.
#[must_use]
pub fn is_screen() -> bool {
    io::stdout().is_terminal() && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
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

impl Form {
    /// A value in this form, for programs.
    ///
    /// # Errors
    /// When it cannot be written so.
    pub fn render(self, value: &Value) -> Result<String> {
        match self {
            Self::Yaml => yaml(value),
            Self::Json | Self::Text => Ok(format!("{value:#}\n")),
        }
    }
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
        Self {
            on: is_screen() && !refused,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_further_in() {
        let text = "error: a sentence that is long\n  you  spec.field: see what it did\nend";
        assert_eq!(wrapped(text, None), format!("{text}\n"));
        expect_test::expect![[r#"
            error: a sentence
              that is long
              you  spec.field:
                see what it did
            end
        "#]]
        .assert_eq(&wrapped(text, Some(20)));
    }
}
