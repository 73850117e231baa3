//! Aligned columns.

/// Spaces between two columns.
const GAP: usize = 3;

/// Rows of cells under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this heading.
    #[must_use]
    pub fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. An empty cell is shown as `-`.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Heading and rows.
    #[must_use]
    pub fn render(&self) -> String {
        let widths = self.widths();
        let heading = self.heading.iter().map(|cell| (*cell).to_owned()).collect();
        let lines = std::iter::once(&heading).chain(&self.rows);
        lines.map(|cells| align(cells, &widths)).collect()
    }

    /// Some of the rows, by their positions, without the heading and aligned with the whole.
    #[must_use]
    pub fn render_rows(&self, positions: &[usize]) -> String {
        let widths = self.widths();
        let rows = positions
            .iter()
            .filter_map(|position| self.rows.get(*position));
        rows.map(|cells| align(cells, &widths)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widest.max(self.heading[column].len())
        };
        (0..self.heading.len()).map(width).collect()
    }
}

fn align(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = if cell.is_empty() { "-" } else { cell };
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + GAP));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "MESSAGE", "AGE"]);
        table.row(vec!["web".into(), "50 % → analysing".into(), "3m".into()]);
        table.row(vec!["checkout-service".into(), String::new(), "2h".into()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        expect_test::expect![[r"
            NAME               MESSAGE            AGE
            web                50 % → analysing   3m
            checkout-service   -                  2h
        "]]
        .assert_eq(&table().render());
    }

    #[test]
    fn a_changed_row_stands_under_the_others() {
        expect_test::expect![[r"
            checkout-service   -                  2h
        "]]
        .assert_eq(&table().render_rows(&[1]));
    }
}
