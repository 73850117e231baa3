//! Lines that hang on lines.

use crate::cli::screen::Palette;
use crate::cli::text::Text;

/// Cells that a text has beside its rails at least.
const NARROWEST: usize = 10;

/// A line, and what hangs on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The line.
    pub text: Text,
    /// What hangs on it.
    pub children: Vec<Self>,
}

impl Node {
    /// A line on which nothing hangs.
    #[must_use]
    pub fn leaf(text: impl Into<Text>) -> Self {
        Self::with(text, Vec::new())
    }

    /// A line with others on it.
    #[must_use]
    pub fn with(text: impl Into<Text>, children: Vec<Self>) -> Self {
        Self {
            text: text.into(),
            children,
        }
    }

    /// The tree as text, no line wider than there is room; `None`: as wide as they are.
    #[must_use]
    pub fn render(&self, palette: Palette, room: Option<usize>) -> String {
        let lines = self.lines(room);
        let line = |(rail, text): &(String, Text)| format!("{rail}{}\n", text.paint(palette));
        lines.iter().map(line).collect()
    }

    /// The lines, each with the rails before it.
    fn lines(&self, room: Option<usize>) -> Vec<(String, Text)> {
        let mut lines = Vec::new();
        self.own(["", ""], room, &mut lines);
        self.hang("", room, &mut lines);
        lines
    }

    /// Its own line, and what does not fit into it under it.
    fn own(&self, rails: [&str; 2], room: Option<usize>, lines: &mut Vec<(String, Text)>) {
        // What hangs on it goes by the side of what is wrapped.
        let more = if self.children.is_empty() {
            "  "
        } else {
            "│ "
        };
        let [mut first, mut rest] = [rails[0].to_owned(), rails[1].to_owned() + more];
        let wrapped = match room {
            None => vec![self.text.clone()],
            Some(room) => {
                let left = |rail: &mut String| {
                    // Without rails rather than without text. Each letter of a rail takes one cell.
                    if !rail.is_empty() && rail.chars().count() + NARROWEST > room {
                        rail.clear();
                    }
                    room - rail.chars().count()
                };
                self.text.wrap_hanging(left(&mut first), left(&mut rest))
            }
        };
        for (index, text) in wrapped.into_iter().enumerate() {
            lines.push((
                if index == 0 {
                    first.clone()
                } else {
                    rest.clone()
                },
                text,
            ));
        }
    }

    fn hang(&self, indent: &str, room: Option<usize>, lines: &mut Vec<(String, Text)>) {
        for (position, child) in self.children.iter().enumerate() {
            let last = position + 1 == self.children.len();
            let (knot, rail) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let (knot, rail) = (format!("{indent}{knot}"), format!("{indent}{rail}"));
            child.own([&knot, &rail], room, lines);
            child.hang(&rail, room, lines);
        }
    }
}
