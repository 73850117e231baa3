//! What the names in an expression stand for.

use std::cell::OnceCell;

use crate::sim::cel::Expression;
use crate::sim::cel::authorizer::{Ask, Authorize};
use crate::sim::cel::value::{Fault, Outcome, Val};

/// A variable, evaluated when it is first needed.
struct Lazy<'a> {
    name: &'a str,
    expression: &'a Expression,
    value: OnceCell<Outcome<'a>>,
}

/// Names with their values, variables, and who says what is allowed.
#[derive(Default)]
pub struct Scope<'a> {
    names: Vec<(&'a str, Val<'a>)>,
    variables: Vec<Lazy<'a>>,
    authorizer: Option<&'a dyn Authorize>,
}

impl<'a> Scope<'a> {
    /// The same, and this name has that value.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Val<'a>) -> Self {
        self.names.push((name, value));
        self
    }

    /// The same, and `authorizer` answers.
    #[must_use]
    pub fn with_authorizer(mut self, authorizer: &'a dyn Authorize) -> Self {
        self.authorizer = Some(authorizer);
        self.with("authorizer", Val::Authorizer(Ask::default().into()))
    }

    /// The same, and `variables` has these, of which each sees those before it.
    #[must_use]
    pub fn with_variables(
        mut self,
        variables: impl IntoIterator<Item = (&'a str, &'a Expression)>,
    ) -> Self {
        self.variables
            .extend(variables.into_iter().map(|(name, expression)| Lazy {
                name,
                expression,
                value: OnceCell::new(),
            }));
        self.with("variables", Val::Variables)
    }

    pub(super) fn frame(&self) -> Frame<'_, 'a> {
        Frame {
            scope: self,
            local: None,
            visible: self.variables.len(),
        }
    }

    pub(super) fn authorizer(&self) -> Option<&'a dyn Authorize> {
        self.authorizer
    }
}

/// A name that a macro binds.
pub(super) struct Local<'s, 'a> {
    pub(super) name: &'a str,
    pub(super) value: Val<'a>,
    pub(super) outer: Option<&'s Self>,
}

/// What can be named at one place.
#[derive(Clone, Copy)]
pub(super) struct Frame<'s, 'a> {
    pub(super) scope: &'s Scope<'a>,
    local: Option<&'s Local<'s, 'a>>,
    /// How many of the variables can be seen.
    visible: usize,
}

/// The names of types, which are values too.
const TYPES: [&str; 12] = [
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
];

impl<'s, 'a> Frame<'s, 'a> {
    /// The same place, and a name more.
    pub(super) fn within<'t>(&self, local: &'t Local<'t, 'a>) -> Frame<'t, 'a>
    where
        's: 't,
    {
        Frame {
            local: Some(local),
            ..*self
        }
    }

    pub(super) fn local(&self) -> Option<&'s Local<'s, 'a>> {
        self.local
    }

    pub(super) fn name(&self, name: &str) -> Outcome<'a> {
        let mut local = self.local;
        while let Some(found) = local {
            if found.name == name {
                return Ok(found.value.clone());
            }
            local = found.outer;
        }
        let known = self.scope.names.iter().find(|(known, _)| *known == name);
        known
            .map(|(_, value)| value.clone())
            .or_else(|| {
                TYPES
                    .iter()
                    .find(|known| **known == name)
                    .map(|known| Val::Type(known))
            })
            .ok_or_else(|| Fault::new(format!("no such attribute(s): {name}")))
    }

    pub(super) fn variable(&self, name: &str) -> Outcome<'a> {
        let visible = self.scope.variables.iter().take(self.visible);
        let (index, lazy) = visible
            .enumerate()
            .find(|(_, lazy)| lazy.name == name)
            .ok_or_else(|| Fault::no_key(name))?;
        let evaluate = || {
            let outside = Frame {
                scope: self.scope,
                local: None,
                visible: index,
            };
            lazy.expression.tree.eval(&outside).map_err(|fault| {
                Fault::new(format!(
                    "composited variable {name:?} fails to evaluate: {}",
                    fault.text()
                ))
            })
        };
        lazy.value.get_or_init(evaluate).clone()
    }
}
