//! Expressions of the Common Expression Language, as Kubernetes evaluates them in admission policies and in the rules of CRDs.
//!
//! The crate `cel` copies every object into hash maps of its own, whose order differs from run to run, knows neither lazy
//! variables nor the authorizer, and brings the runtime of ANTLR; this evaluates on borrowed JSON, in a tenth of its size.
//! Types are known when an expression runs and not before: what the real API server refuses when a policy is written, such
//! as a comparison of a text with a number, fails here when it is reached.

pub mod authorizer;
mod eval;
mod fold;
pub(in crate::sim) mod function;
mod lex;
mod list;
mod moment;
mod operator;
mod parse;
pub(in crate::sim) mod pattern;
pub mod scope;
mod text;
mod tree;
pub mod value;

use std::collections::BTreeSet;

use crate::sim::cel::scope::Scope;
use crate::sim::cel::value::{Fault, Val};

/// An expression, parsed once.
#[derive(Debug)]
pub struct Expression {
    text: String,
    tree: tree::Expr,
    names: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what is wrong with its form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = parse::parse(text)?;
        Ok(Self {
            text: text.trim().to_owned(),
            tree: parsed.tree,
            names: parsed.names,
            variables: parsed.variables,
        })
    }

    /// Its source, without the space around it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it uses a name that it does not bind itself.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The names that it uses and does not bind itself.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The `x` of each `variables.x` in it.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// Its value where these names have these values.
    ///
    /// # Errors
    /// As CEL fails: a key that is not there, a type that does not fit.
    pub fn evaluate<'a>(&'a self, scope: &Scope<'a>) -> Result<Val<'a>, Fault> {
        self.tree.eval(&scope.frame())
    }
}

#[cfg(test)]
mod tests;
