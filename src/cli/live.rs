//! A screen that is drawn again and again: beside the terminal's own text, which is there again in the end.

use anyhow::{Context, Result};
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};

use crate::cli::screen::{self, Colour, Palette};
use crate::cli::text::Text;

/// A second screen, no cursor, no wrapping: a terminal may grow narrower between two drawings.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// All of that back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What the terminal, or somebody at it, has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has another size.
    Resized,
    /// It is to end.
    Stopped,
    /// It was stopped by Ctrl-Z, and goes on.
    Continued,
}

/// The screen. It is left when this is dropped.
#[derive(Debug)]
pub struct Live {
    resized: unix::Signal,
    ends: [unix::Signal; 3],
    suspended: unix::Signal,
}

impl Live {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When signals cannot be heard, or the terminal is gone.
    pub fn enter() -> Result<Self> {
        let hear = |kind| signal(kind).context("listen to signals");
        let suspend = SignalKind::from_raw(Signal::TSTP.as_raw());
        let live = Self {
            resized: hear(SignalKind::window_change())?,
            ends: [
                hear(SignalKind::interrupt())?,
                hear(SignalKind::terminate())?,
                hear(SignalKind::hangup())?,
            ],
            suspended: hear(suspend)?,
        };
        screen::write(ENTER)?;
        Ok(live)
    }

    /// Waits for something that the terminal says.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub async fn event(&mut self) -> Result<Event> {
        let [interrupt, terminate, hangup] = &mut self.ends;
        tokio::select! {
            _ = self.resized.recv() => Ok(Event::Resized),
            _ = interrupt.recv() => Ok(Event::Stopped),
            _ = terminate.recv() => Ok(Event::Stopped),
            _ = hangup.recv() => Ok(Event::Stopped),
            _ = self.suspended.recv() => {
                screen::write(LEAVE)?;
                kill_process(getpid(), Signal::STOP).context("stop for a while")?;
                screen::write(ENTER)?;
                Ok(Event::Continued)
            }
        }
    }

    /// Shows these lines, and no others. They have to be as wide as the terminal at most; those for which it is too short are counted.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&self, text: &str, palette: Palette) -> Result<()> {
        let (columns, rows) = screen::size().unwrap_or_default();
        Ok(screen::write(&frame(text, [columns, rows], palette))?)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Nobody sees it when the terminal is gone.
        let _ = screen::write(LEAVE);
    }
}

/// What draws these lines over whatever stood there. Each line is cleared behind its text: nothing flickers.
fn frame(text: &str, [columns, rows]: [usize; 2], palette: Palette) -> String {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    if lines.len() > rows && rows > 0 {
        let hidden = lines.len() - (rows - 1);
        lines.truncate(rows - 1);
        let words = format!("… {hidden} more lines: the terminal is too short");
        lines.push(Text::new(Colour::Faint, &words).cut(columns).paint(palette));
    }
    let mut frame = String::from("\x1b[H");
    for (row, line) in lines.iter().enumerate() {
        // A line that fills its row leaves the cursor on its last letter, and clearing from there would take that letter.
        frame.push_str(&format!("\x1b[{};1H\x1b[2K{line}", row + 1));
    }
    if lines.len() < rows {
        frame.push_str(&format!("\x1b[{};1H\x1b[J", lines.len() + 1));
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frames: &[&str], columns: u16, rows: u16) -> String {
        let mut terminal = vt100::Parser::new(rows, columns, 0);
        terminal.process(ENTER.as_bytes());
        for text in frames {
            let frame = frame(text, [columns.into(), rows.into()], Palette { on: false });
            terminal.process(frame.as_bytes());
        }
        terminal.screen().contents()
    }

    #[test]
    fn nothing_is_left_of_what_stood_there() {
        let frames = ["a longer line\nand\nthree", "short\n"];
        assert_eq!(shown(&frames, 20, 5), "short");
        assert_eq!(
            shown(&["0123456789\n0123456789\n"], 10, 2),
            "0123456789\n0123456789"
        );
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let lines = "one\ntwo\nthree\nfour\nfive\n";
        assert_eq!(shown(&[lines], 60, 5), lines.trim_end());
        assert_eq!(
            shown(&[lines], 60, 3),
            "one\ntwo\n… 3 more lines: the terminal is too short"
        );
        assert_eq!(shown(&[lines], 10, 2), "one\n… 4 more …");
    }

    #[test]
    fn the_terminal_is_as_it_was() {
        let mut terminal = vt100::Parser::new(5, 20, 0);
        terminal.process(b"$ serin status\r\n");
        let before = terminal.screen().contents();
        terminal.process(ENTER.as_bytes());
        assert!(terminal.screen().hide_cursor() && terminal.screen().contents().is_empty());
        terminal.process(LEAVE.as_bytes());
        assert!(!terminal.screen().hide_cursor());
        assert_eq!(terminal.screen().contents(), before);
    }
}
