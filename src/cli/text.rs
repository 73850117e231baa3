//! Lines in colours, as wide as a terminal shows them: wrapped, or cut, and never in the middle of a wide character.

use unicode_width::UnicodeWidthChar;

use crate::cli::screen::{Colour, Palette};

/// What stands where something was cut out.
const CUT: char = '…';
/// A space at which no line is broken.
pub const TIGHT: &str = "\u{a0}";
/// The width of the widest letter.
const LETTER: usize = 2;

/// A line in colours. Control characters become spaces, so that no message can move the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    cells: Vec<(Colour, char)>,
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(Colour::Plain, text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(Colour::Plain, &text)
    }
}

impl Text {
    /// A line in one colour.
    #[must_use]
    pub fn new(colour: Colour, text: &str) -> Self {
        let cells = text.chars().filter(|letter| !turns(*letter));
        let cells = cells.map(|letter| (colour, if letter.is_control() { ' ' } else { letter }));
        Self {
            cells: cells.collect(),
        }
    }

    /// With more behind it, in a colour.
    #[must_use]
    pub fn and(mut self, colour: Colour, text: &str) -> Self {
        self.cells.extend(Self::new(colour, text).cells);
        self
    }

    /// With more behind it.
    #[must_use]
    pub fn plus(self, text: &str) -> Self {
        self.and(Colour::Plain, text)
    }

    /// With another line behind it.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.cells.extend(other.cells);
        self
    }

    /// Cells that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.cells.iter().map(|(_, letter)| wide(*letter)).sum()
    }

    /// As it is written.
    #[must_use]
    pub fn paint(&self, palette: Palette) -> String {
        let mut text = String::new();
        for run in self.cells.chunk_by(|(one, _), (other, _)| one == other) {
            let letters = run.iter().map(|(_, letter)| match letter {
                '\u{a0}' => ' ',
                letter => *letter,
            });
            text.push_str(&palette.paint(run[0].0, &letters.collect::<String>()));
        }
        text
    }

    /// In lines of at most this width, broken at spaces where there are any. A command in backquotes stays in one line if it fits.
    #[must_use]
    pub fn wrap(&self, width: usize) -> Vec<Self> {
        self.wrap_hanging(width, width)
    }

    /// The same, where the first line has another width than the rest.
    #[must_use]
    pub fn wrap_hanging(&self, first: usize, rest: usize) -> Vec<Self> {
        let quoted = self.quoted();
        let (mut lines, mut line) = (Vec::new(), Line::default());
        for (index, cell) in self.cells.iter().enumerate() {
            let wide = wide(cell.1);
            let room = |lines: &[Self]| if lines.is_empty() { first } else { rest }.max(LETTER);
            if cell.1 == ' ' && line.used + wide > room(&lines) {
                lines.push(line.end());
                continue;
            }
            // More than once, where nothing but letters without a width stood before the space.
            while line.used + wide > room(&lines) {
                lines.push(line.broken());
            }
            if cell.1 == ' ' && line.cells.is_empty() && !lines.is_empty() {
                continue;
            }
            line.push(*cell, quoted[index]);
        }
        if !line.cells.is_empty() || lines.is_empty() {
            lines.push(line.end());
        }
        lines
    }

    /// Whether each letter stands between two backquotes.
    fn quoted(&self) -> Vec<bool> {
        let marks = self.cells.iter().filter(|(_, letter)| *letter == '`');
        let (paired, mut seen) = (marks.count() & !1, 0);
        let cells = self.cells.iter().map(|(_, letter)| {
            seen += usize::from(*letter == '`');
            seen % 2 == 1 && seen <= paired
        });
        cells.collect()
    }

    /// Cut to this width, at its end.
    #[must_use]
    pub fn cut(&self, width: usize) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut kept = Line::default();
        for cell in &self.cells {
            if kept.used + wide(cell.1) + 1 > width {
                break;
            }
            kept.push(*cell, false);
        }
        let colour = kept.cells.last().map_or(Colour::Plain, |cell| cell.0);
        if width > 0 {
            kept.cells.push((colour, CUT));
        }
        Self { cells: kept.cells }
    }
}

/// A line that is being filled.
#[derive(Debug, Default)]
struct Line {
    cells: Vec<(Colour, char)>,
    used: usize,
    /// Behind the last space, and behind the last one that is in no command.
    breaks: (usize, usize),
}

impl Line {
    fn push(&mut self, cell: (Colour, char), quoted: bool) {
        self.cells.push(cell);
        self.used += wide(cell.1);
        if cell.1 == ' ' {
            self.breaks.0 = self.cells.len();
            if !quoted {
                self.breaks.1 = self.cells.len();
            }
        }
    }

    /// What stands in it, without spaces at the end; it is empty then.
    fn end(&mut self) -> Text {
        let mut cells = std::mem::take(self).cells;
        while cells.last().is_some_and(|(_, letter)| *letter == ' ') {
            cells.pop();
        }
        Text { cells }
    }

    /// What stands before the last place to break; the rest begins the next line.
    fn broken(&mut self) -> Text {
        let (any, good) = self.breaks;
        let lead = self.cells.iter().take_while(|cell| cell.1 == ' ').count();
        let places = [good, any, self.cells.len()];
        let place = places.into_iter().find(|place| *place > lead);
        let rest = self.cells.split_off(place.unwrap_or(self.cells.len()));
        let text = self.end();
        for cell in rest {
            self.push(cell, false);
        }
        text
    }
}

/// Cells that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(wide).sum()
}

/// Cells that a letter takes; rather too many than too few.
fn wide(letter: char) -> usize {
    match letter {
        // Makes a picture of the letter before it, which terminals show in two cells.
        '\u{fe0f}' => 1,
        letter => letter.width().unwrap_or(0),
    }
}

/// Turns the direction of what follows: a message could seem to say something else.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where a text is cut when there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The beginning stays, as of a sentence.
    End,
    /// The end stays, as of an image, whose tag tells most.
    Start,
    /// Both ends stay, as of names that begin alike.
    Middle,
}

/// A text without control characters, cut to this width.
#[must_use]
pub fn fit(text: &str, room: usize, side: Side) -> String {
    let text = Text::from(text);
    let plain = |text: &Text| text.paint(Palette { on: false });
    if text.width() <= room || room == 0 {
        return plain(&text.cut(room));
    }
    let head = match side {
        Side::End => return plain(&text.cut(room)),
        Side::Start => 0,
        Side::Middle => room / 2,
    };
    let mut letters: Vec<char> = text.cells.iter().map(|(_, letter)| *letter).collect();
    let mut start = String::new();
    while letters
        .first()
        .is_some_and(|it| width(&start) + wide(*it) <= head)
        && head > 0
    {
        start.push(letters.remove(0));
    }
    let mut left = room - width(&start) - 1;
    let mut tail = Vec::new();
    while let Some(letter) = letters.pop().filter(|letter| wide(*letter) <= left) {
        left -= wide(letter);
        tail.push(letter);
    }
    start.push(CUT);
    start.extend(tail.iter().rev());
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str, width: usize) -> Vec<String> {
        let plain = |line: &Text| line.paint(Palette { on: false });
        Text::from(text).wrap(width).iter().map(plain).collect()
    }

    #[test]
    fn lines_are_broken_at_spaces_and_long_words_anywhere() {
        let rows: [(&str, &[&str]); 7] = [
            ("", &[""]),
            ("eight words fit", &["eight", "words fit"]),
            ("0123456789 and", &["0123456789", "and"]),
            ("0123456789abc de", &["0123456789", "abc de"]),
            ("run `a b` now", &["run `a b`", "now"]),
            ("go `abc def` on", &["go", "`abc def`", "on"]),
            ("one ` alone is", &["one `", "alone is"]),
        ];
        for (text, expected) in rows {
            assert_eq!(lines(text, 10), expected, "{text}");
        }
        assert_eq!(lines("a\u{a0}tight one", 10), ["a tight", "one"]);
    }

    #[test]
    fn wide_letters_take_two_cells() {
        assert_eq!(lines("日本語のイメージ", 10), ["日本語のイ", "メージ"]);
        assert_eq!(lines("x日本語のイメージ", 10), ["x日本語の", "イメージ"]);
        assert_eq!(fit("日本語", 4, Side::End), "日…");
        assert_eq!(fit("日本語", 4, Side::Start), "…語");
        assert_eq!(fit("日本語のイ", 6, Side::Middle), "日…イ");
    }

    #[test]
    fn what_is_cut_keeps_what_tells_most() {
        let image = "registry.example.com/team/app:1.2.3";
        assert_eq!(fit(image, 12, Side::Start), "…m/app:1.2.3");
        assert_eq!(fit("checkout-service-eu", 12, Side::Middle), "checko…ce-eu");
        assert_eq!(
            fit("a sentence that goes on", 12, Side::End),
            "a sentence …"
        );
        assert_eq!(fit("short", 12, Side::Start), "short");
    }

    #[test]
    fn no_message_moves_the_cursor() {
        let text = Text::from("a\x1b[2Jb\r\nc\td\u{202e}e\u{7}");
        assert_eq!(text.paint(Palette { on: false }), "a [2Jb  c de ");
    }

    #[test]
    fn colours_end_with_the_line_and_begin_again() {
        let text = Text::from("it is ").and(Colour::Bad, "really very bad");
        let lines = text.wrap(13);
        let on = Palette { on: true };
        assert_eq!(lines[0].paint(on), "it is \x1b[31mreally\x1b[0m");
        assert_eq!(lines[1].paint(on), "\x1b[31mvery bad\x1b[0m");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_allowed(text in "[a-z `日é\u{301}😀\u{fe0f}]{0,60}", width in 10_usize..40) {
            for line in Text::from(text.as_str()).wrap(width) {
                prop_assert!(line.width() <= width, "{line:?}");
            }
            for side in [Side::End, Side::Start, Side::Middle] {
                let cut = fit(&text, width, side);
                prop_assert!(super::width(&cut) <= width, "{cut:?}");
            }
        }

        #[test]
        fn wrapping_loses_nothing_but_spaces(text in "[a-z `日é\u{301}😀]{0,60}", width in 10_usize..40) {
            let kept: String = lines(&text, width).concat().replace(' ', "");
            prop_assert_eq!(kept, text.replace(' ', ""));
        }
    }
}
