//! Aligned columns, as many and as wide as there is room for.

use crate::cli::screen::Palette;
use crate::cli::text::{self, Side, Text};

/// Spaces between two columns.
const GAP: usize = 3;
/// Spaces between two columns where room is short.
const TIGHT_GAP: usize = 2;
/// A cell that may be cut keeps so much.
const LEAST: usize = 12;
/// A cell that is wrapped keeps so much.
const LEAST_WRAPPED: usize = 24;
/// On a terminal that is too narrow for that, a cell keeps so much.
const FEWEST: usize = 6;

/// A column: its heading, and what becomes of it where room is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    title: &'static str,
    cut: Cut,
    /// The highest goes first; 0 stays.
    less: u8,
}

/// What becomes of cells that are too wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Never,
    At(Side),
    /// They go on in the next line; for the last column alone.
    Wrap,
}

impl Column {
    /// A column of short words.
    #[must_use]
    pub const fn new(title: &'static str) -> Self {
        Self {
            title,
            cut: Cut::Never,
            less: 0,
        }
    }

    /// Its cells may be cut.
    #[must_use]
    pub const fn cut(mut self, side: Side) -> Self {
        self.cut = Cut::At(side);
        self
    }

    /// Its cells may go on in the next line. It has to be the last column.
    #[must_use]
    pub const fn wrap(mut self) -> Self {
        self.cut = Cut::Wrap;
        self
    }

    /// Where room is short it is left out, before those of lower numbers.
    #[must_use]
    pub const fn less(mut self, order: u8) -> Self {
        self.less = order;
        self
    }

    fn least(&self, widest: usize) -> usize {
        let least = match self.cut {
            Cut::Never => widest,
            Cut::At(_) => LEAST,
            Cut::Wrap => LEAST_WRAPPED,
        };
        least.max(self.title.len()).min(widest)
    }

    fn fewest(&self, widest: usize) -> usize {
        match self.cut {
            Cut::Never => widest,
            _ => widest.min(FEWEST),
        }
    }
}

/// Rows of cells under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// The widths of the columns, and the gaps between them. A column that is left out has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// What each would take.
    wanted: Vec<usize>,
    widths: Vec<Option<usize>>,
    gap: usize,
    room: Option<usize>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. An empty cell is shown as `-`.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Heading and rows, no line wider than there is room; `None`: as wide as they are.
    #[must_use]
    pub fn render(&self, room: Option<usize>) -> String {
        let fit = self.fit(room, &Fit::default());
        self.heading(&fit) + &self.render_rows(&fit)
    }

    /// The heading alone.
    #[must_use]
    pub fn heading(&self, fit: &Fit) -> String {
        let titles = self.columns.iter().map(|column| column.title.to_owned());
        self.line(&titles.collect::<Vec<_>>(), fit)
    }

    /// The rows without the heading.
    #[must_use]
    pub fn render_rows(&self, fit: &Fit) -> String {
        self.pieces(fit).concat()
    }

    /// Each row by itself, which may take several lines.
    #[must_use]
    pub fn pieces(&self, fit: &Fit) -> Vec<String> {
        self.rows
            .iter()
            .map(|cells| self.line(cells, fit))
            .collect()
    }

    /// How wide each column is, where it was at least as wide as before.
    #[must_use]
    pub fn fit(&self, room: Option<usize>, before: &Fit) -> Fit {
        let before = |column| before.wanted.get(column).copied().unwrap_or(0);
        let wanted: Vec<_> = (0..self.columns.len())
            .map(|column| self.widest(column).max(before(column)))
            .collect();
        let mut fit = Fit {
            widths: wanted.iter().copied().map(Some).collect(),
            wanted,
            gap: GAP,
            room,
        };
        let Some(room) = room else { return fit };
        if fit.total() > room {
            fit.gap = TIGHT_GAP;
        }
        self.leave_out(room, &mut fit);
        self.narrow(room, Column::least, &mut fit);
        self.narrow(room, Column::fewest, &mut fit);
        fit
    }

    fn widest(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| text::width(cell)).max().unwrap_or(0);
        widest.max(self.columns[column].title.len())
    }

    /// Leaves columns out until the others have what they need.
    fn leave_out(&self, room: usize, fit: &mut Fit) {
        loop {
            let columns = fit.widths.iter().zip(&fit.wanted).zip(&self.columns);
            let least =
                columns.map(|((width, wanted), column)| width.map(|_| column.least(*wanted)));
            let is_short = total(&least.collect::<Vec<_>>(), fit.gap) > room;
            let there = (0..fit.widths.len()).filter(|at| fit.widths[*at].is_some());
            let last = there.max_by_key(|at| (self.columns[*at].less, *at));
            match last.filter(|at| is_short && self.columns[*at].less > 0) {
                Some(at) => fit.widths[at] = None,
                None => return,
            }
        }
    }

    /// Takes cells from the widest column that can give any, until all fit.
    fn narrow(&self, room: usize, least: fn(&Column, usize) -> usize, fit: &mut Fit) {
        while fit.total() > room {
            let wide = |at: &usize| {
                let width = fit.widths[*at]?;
                (width > least(&self.columns[*at], width)).then_some(width)
            };
            let most = (0..self.columns.len()).filter(|at| wide(at).is_some());
            let Some(at) = most.max_by_key(|at| wide(at)) else {
                return;
            };
            fit.widths[at] = fit.widths[at].map(|width| width - 1);
        }
    }

    fn line(&self, cells: &[String], fit: &Fit) -> String {
        let (mut line, mut more) = (String::new(), Vec::new());
        let mut indent = 0;
        for (index, cell) in cells.iter().enumerate() {
            let Some(width) = fit.widths[index] else {
                continue;
            };
            let cell = if cell.is_empty() { "-" } else { cell };
            let shown = match (self.columns[index].cut, fit.room) {
                (Cut::Never, _) | (_, None) => text::fit(cell, usize::MAX, Side::End),
                (Cut::At(side), _) => text::fit(cell, width, side),
                (Cut::Wrap, _) => {
                    more = Text::from(cell).wrap(width);
                    more.remove(0).paint(Palette { on: false })
                }
            };
            indent = text::width(&line);
            let pad = width.saturating_sub(text::width(&shown)) + fit.gap;
            line.push_str(&shown);
            line.push_str(&" ".repeat(pad));
        }
        let rest = more.iter().map(|text| {
            let text = text.paint(Palette { on: false });
            format!("{}{text}", " ".repeat(indent))
        });
        let lines = std::iter::once(line).chain(rest);
        lines.map(|line| ended(&line, fit.room)).collect()
    }
}

impl Fit {
    /// Whether the columns stand where they stood in another.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.widths, self.gap) == (&other.widths, other.gap)
    }

    fn total(&self) -> usize {
        total(&self.widths, self.gap)
    }
}

/// Cells of columns and the gaps between them.
fn total(widths: &[Option<usize>], gap: usize) -> usize {
    let there: Vec<_> = widths.iter().flatten().collect();
    there.iter().copied().sum::<usize>() + gap * there.len().saturating_sub(1)
}

/// Without spaces at its end, with a line end, and in no case wider than there is room.
fn ended(line: &str, room: Option<usize>) -> String {
    let line = line.trim_end();
    let line = room.map_or_else(|| line.to_owned(), |room| text::fit(line, room, Side::End));
    line + "\n"
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("NAME").cut(Side::Middle),
        Column::new("PHASE"),
        Column::new("IMAGE").cut(Side::Start).less(1),
        Column::new("AGE").less(2),
    ];

    fn table() -> Table {
        let mut table = Table::new(&COLUMNS);
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        table.row(row(["web", "Progressing", "", "3m"]));
        table.row(row([
            "checkout-service-of-europe",
            "Failed",
            "registry.example.com/shop/checkout:2.0",
            "2h",
        ]));
        table.row(row(["カート", "Failed", "カート:八", "2h"]));
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        expect![[r"
            NAME                         PHASE         IMAGE                                    AGE
            web                          Progressing   -                                        3m
            checkout-service-of-europe   Failed        registry.example.com/shop/checkout:2.0   2h
            カート                       Failed        カート:八                                2h
        "]]
        .assert_eq(&table().render(None));
    }

    #[test]
    fn where_room_is_short_the_widest_cells_are_cut() {
        expect![[r#"
            NAME                  PHASE        IMAGE                 AGE
            web                   Progressing  -                     3m
            checkout-s…of-europe  Failed       …m/shop/checkout:2.0  2h
            カート                Failed       カート:八             2h
        "#]]
        .assert_eq(&table().render(Some(60)));
    }

    #[test]
    fn what_matters_less_is_left_out() {
        expect![[r#"
            NAME           PHASE        IMAGE
            web            Progressing  -
            checko…europe  Failed       …heckout:2.0
            カート         Failed       カート:八
        "#]]
        .assert_eq(&table().render(Some(40)));
        expect![[r#"
            NAME     PHASE
            web      Progressing
            che…ope  Failed
            カート   Failed
        "#]]
        .assert_eq(&table().render(Some(20)));
    }

    #[test]
    fn a_sentence_goes_on_in_the_next_line() {
        let mut table = Table::new(&[Column::new("REVISION"), Column::new("REASON").wrap()]);
        table.row(vec![
            "6dd7b68f5c".to_owned(),
            "the success rate was 91.2 % where 99 % were wanted".to_owned(),
        ]);
        expect![[r#"
            REVISION    REASON
            6dd7b68f5c  the success rate was 91.2 %
                        where 99 % were wanted
        "#]]
        .assert_eq(&table.render(Some(40)));
    }

    #[test]
    fn columns_do_not_grow_narrower() {
        let (wide, narrow) = (table(), Table::new(&COLUMNS));
        let before = wide.fit(None, &Fit::default());
        assert_eq!(narrow.fit(None, &before), before);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for room in 4..200 {
            for line in table().render(Some(room)).lines() {
                assert!(text::width(line) <= room, "{room}: {line}");
            }
        }
    }
}
