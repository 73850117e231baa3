//! Evaluates an expression.

use std::borrow::Cow;
use std::rc::Rc;

use crate::sim::cel::scope::Frame;
use crate::sim::cel::tree::{Expr, Item, Literal};
use crate::sim::cel::value::{Dict, Fault, List, Outcome, Val};
use crate::sim::cel::{authorizer, fold, function, operator};

impl Expr {
    pub(super) fn eval<'a>(&'a self, frame: &Frame<'_, 'a>) -> Outcome<'a> {
        match self {
            Self::Literal(literal) => Ok(literal.value()),
            Self::Name(name) => frame.name(name),
            Self::Select {
                of,
                field,
                optional,
            } => select(&of.eval(frame)?, field, *optional, frame),
            Self::Has { of, field } => has(&of.eval(frame)?, field, frame),
            Self::Index { of, key, optional } => {
                index(&of.eval(frame)?, &key.eval(frame)?, *optional)
            }
            Self::Call { name, arguments } => function::call(name, &all(arguments, frame)?),
            Self::Method {
                of,
                name,
                arguments,
            } => method(of.eval(frame)?, name, arguments, frame),
            Self::List(items) => list(items, frame),
            Self::Map(entries) => map(entries, frame),
            Self::Object(fields) => object(fields, frame),
            Self::Not(inner) => Ok(Val::Bool(!inner.eval(frame)?.truth()?)),
            Self::Negate(inner) => operator::negate(&inner.eval(frame)?),
            Self::And(left, right) => either(left, right, frame, false),
            Self::Or(left, right) => either(left, right, frame, true),
            Self::Binary(operator, left, right) => {
                operator::apply(*operator, &left.eval(frame)?, &right.eval(frame)?)
            }
            Self::Choose {
                condition,
                then,
                otherwise,
            } => {
                let branch = if condition.eval(frame)?.truth()? {
                    then
                } else {
                    otherwise
                };
                branch.eval(frame)
            }
            Self::Fold(inner) => fold::eval(inner, frame),
        }
    }
}

impl Literal {
    fn value(&self) -> Val<'_> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(value) => Val::Bool(*value),
            Self::Int(value) => Val::Int(*value),
            Self::Uint(value) => Val::Uint(*value),
            Self::Double(value) => Val::Double(*value),
            Self::Text(text) => Val::Text(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
        }
    }
}

fn all<'a>(arguments: &'a [Expr], frame: &Frame<'_, 'a>) -> Result<Vec<Val<'a>>, Fault> {
    arguments
        .iter()
        .map(|argument| argument.eval(frame))
        .collect()
}

/// `&&` and `||`: one operand that decides makes up for a failure of the other.
fn either<'a>(
    left: &'a Expr,
    right: &'a Expr,
    frame: &Frame<'_, 'a>,
    decides: bool,
) -> Outcome<'a> {
    let left = left.eval(frame).and_then(|value| value.truth());
    if left == Ok(decides) {
        return Ok(Val::Bool(decides));
    }
    let right = right.eval(frame).and_then(|value| value.truth());
    if right == Ok(decides) {
        return Ok(Val::Bool(decides));
    }
    left.and(right).map(Val::Bool)
}

/// A field that may be missing.
fn field<'a>(of: &Val<'a>, name: &str, frame: &Frame<'_, 'a>) -> Result<Option<Val<'a>>, Fault> {
    match of {
        Val::Dict(dict) => Ok(dict.field(name)),
        Val::Variables => frame.variable(name).map(Some),
        _ => Ok(None),
    }
}

fn select<'a>(of: &Val<'a>, name: &str, optional: bool, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    if let Val::Optional(inner) = of {
        let found = inner
            .as_ref()
            .map_or(Ok(None), |inner| field(inner, name, frame))?;
        return Ok(Val::Optional(found.map(Rc::new)));
    }
    let found = field(of, name, frame)?;
    if optional {
        return Ok(Val::Optional(found.map(Rc::new)));
    }
    found.ok_or_else(|| Fault::no_key(name))
}

fn has<'a>(of: &Val<'a>, name: &str, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let found = match of {
        Val::Optional(Some(inner)) => field(inner, name, frame)?,
        other => field(other, name, frame)?,
    };
    Ok(Val::Bool(found.is_some()))
}

/// An entry that may be missing, and what to say if it is.
fn entry<'a>(of: &Val<'a>, key: &Val<'a>) -> Result<Result<Val<'a>, Fault>, Fault> {
    match of {
        Val::Dict(dict) => Ok(dict
            .get(key)
            .ok_or_else(|| Fault::no_key(&function::shown(key)))),
        Val::List(list) => {
            let position = position(key)?;
            let found = usize::try_from(position).ok().and_then(|at| list.get(at));
            Ok(found.ok_or_else(|| Fault::new(format!("index out of bounds: {position}"))))
        }
        _ => Err(Fault::no_overload()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is a whole number")]
fn position(key: &Val<'_>) -> Result<i64, Fault> {
    match key {
        Val::Int(at) => Ok(*at),
        Val::Uint(at) => i64::try_from(*at).map_err(|_| Fault::no_overload()),
        Val::Double(at) if at.fract() == 0.0 => Ok(*at as i64),
        _ => Err(Fault::new("unsupported index type in list")),
    }
}

fn index<'a>(of: &Val<'a>, key: &Val<'a>, optional: bool) -> Outcome<'a> {
    match of {
        Val::Optional(None) => Ok(Val::none()),
        Val::Optional(Some(inner)) => index(inner, key, true),
        Val::Null if optional => Ok(Val::none()),
        of if optional => Ok(Val::Optional(entry(of, key)?.ok().map(Rc::new))),
        of => entry(of, key)?,
    }
}

fn method<'a>(
    of: Val<'a>,
    name: &str,
    arguments: &'a [Expr],
    frame: &Frame<'_, 'a>,
) -> Outcome<'a> {
    match (of, name, arguments) {
        (Val::Optional(inner), "or", [other]) => match inner {
            Some(inner) => Ok(Val::Optional(Some(inner))),
            None => other.eval(frame),
        },
        (Val::Optional(inner), "orValue", [other]) => match inner {
            Some(inner) => Ok(Val::clone(&inner)),
            None => other.eval(frame),
        },
        (Val::Authorizer(ask), name, arguments) => authorizer::call(
            &ask,
            name,
            &all(arguments, frame)?,
            frame.scope.authorizer(),
        ),
        (of, name, arguments) => function::method(&of, name, &all(arguments, frame)?),
    }
}

/// A value that is to stand in a list, map or object, if it is to stand there.
fn standing<'a>(item: &'a Item, frame: &Frame<'_, 'a>) -> Result<Option<Val<'a>>, Fault> {
    match item.value.eval(frame)? {
        Val::Optional(inner) if item.optional => Ok(inner.map(|inner| Val::clone(&inner))),
        _ if item.optional => Err(Fault::no_overload()),
        value => Ok(Some(value)),
    }
}

fn list<'a>(items: &'a [Item], frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let values: Result<Vec<_>, _> = items
        .iter()
        .filter_map(|item| standing(item, frame).transpose())
        .collect();
    Ok(Val::List(List::Made(Rc::new(values?))))
}

fn map<'a>(entries: &'a [(Expr, Item)], frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let mut made: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
    for (key, item) in entries {
        let key = key.eval(frame)?;
        if made.iter().any(|(known, _)| *known == key) {
            return Err(Fault::new(format!(
                "insert failed: key {} already exists",
                function::shown(&key)
            )));
        }
        made.extend(standing(item, frame)?.map(|value| (key, value)));
    }
    Ok(Val::Dict(Dict::Made(Rc::new(made))))
}

fn object<'a>(fields: &'a [(String, Item)], frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let mut made = Vec::with_capacity(fields.len());
    for (name, item) in fields {
        made.extend(
            standing(item, frame)?.map(|value| (Val::Text(Cow::Borrowed(name.as_str())), value)),
        );
    }
    Ok(Val::dict(made))
}
