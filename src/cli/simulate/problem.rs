//! What is wrong with a file, and where: as compilers say it, so that editors can jump there.

use std::fmt;

/// A line and a column, both from 1; 0 where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    file: String,
    place: Place,
    field: String,
    message: String,
}

impl Problem {
    /// Something wrong with a field of a file; without a field it is the file as a whole.
    #[must_use]
    pub fn new(file: &str, place: Place, field: &str, message: &str) -> Self {
        Self {
            file: file.to_owned(),
            place,
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where in it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Path of the field; empty for the object as a whole.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.place.line > 0 {
            write!(f, ":{}:{}", self.place.line, self.place.column)?;
        }
        if self.field.is_empty() {
            write!(f, ": {}", self.message)
        } else {
            write!(f, ": {}: {}", self.field, self.message)
        }
    }
}

/// All problems of the files, a line each.
#[derive(Debug, thiserror::Error)]
pub struct Broken(pub Vec<Problem>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut problems = self.0.clone();
        problems.sort();
        problems.dedup();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl From<Problem> for Broken {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// The known word that somebody most likely meant, if one is near.
#[must_use]
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known
        .into_iter()
        .map(|other| (distance(word, other), other));
    let (distance, other) = near.min()?;
    (distance <= 1 + word.len() / 4).then_some(other)
}

/// Letters to add, take away or change until one word is the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<_> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.to_lowercase().chars().enumerate() {
        let mut corner = row[0];
        row[0] = index + 1;
        for (at, other) in to.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant() {
        let known = ["latency", "errors", "image", "start"];
        for (word, expected) in [
            ("error", Some("errors")),
            ("Latency", Some("latency")),
            ("latncy", Some("latency")),
            ("colour", None),
        ] {
            assert_eq!(meant(word, known), expected, "{word}");
        }
    }

    #[test]
    fn problems_are_lines_in_the_order_of_the_file() {
        let at = |line| Place { line, column: 3 };
        let broken = Broken(vec![
            Problem::new("b.yaml", at(10), "spec.x", "is wrong"),
            Problem::new("b.yaml", at(9), "", "is odd"),
            Problem::new("a.yaml", Place::default(), "", "is not there"),
        ]);
        assert_eq!(
            broken.to_string(),
            "a.yaml: is not there\nb.yaml:9:3: is odd\nb.yaml:10:3: spec.x: is wrong"
        );
    }
}
