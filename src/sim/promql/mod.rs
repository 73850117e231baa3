//! PromQL, as far as Serin and people's templates ask it: from the text of a query to its value.
//!
//! Not there: subqueries, `group_left` and `group_right`, `topk` and its like, native histograms. They are refused, not guessed.

mod aggregate;
mod binary;
pub mod evaluate;
pub mod function;
mod histogram;
pub mod labels;
mod lexer;
mod parser;
mod relabel;
mod selector;
pub mod syntax;
#[cfg(test)]
mod tests;
mod window;

use std::fmt;

use crate::sim::promql::syntax::Expr;

/// A text that is no query, or one that is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    line: usize,
    column: usize,
    why: String,
}

impl Refused {
    /// What is wrong at this byte of a query.
    fn new(query: &str, at: usize, why: impl Into<String>) -> Self {
        let before = query.get(..at).unwrap_or(query);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            why: why.into(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: parse error: {}",
            self.line, self.column, self.why
        )
    }
}

/// Reads a query.
///
/// # Errors
/// If it is none.
pub fn parse(query: &str) -> Result<Expr, Refused> {
    parser::parse(query)
}
