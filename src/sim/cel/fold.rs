//! The macros: `all`, `exists`, `map` and their kin.

use std::rc::Rc;

use crate::sim::cel::list;
use crate::sim::cel::scope::{Frame, Local};
use crate::sim::cel::tree::{Expr, Fold, Macro};
use crate::sim::cel::value::{Fault, Outcome, Val};

/// What a macro binds for one entry: index or key, and value.
type Entry<'a> = (Val<'a>, Val<'a>);

pub(super) fn eval<'a>(fold: &'a Fold, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let of = fold.of.eval(frame)?;
    match fold.how {
        Macro::OptMap | Macro::OptFlatMap => optional(fold, of, frame),
        how => {
            let entries = entries(&of, fold.names.len() == 2)?;
            match how {
                Macro::All => quantify(fold, entries, frame, false),
                Macro::Exists => quantify(fold, entries, frame, true),
                Macro::ExistsOne => one(fold, entries, frame),
                Macro::Filter => filter(fold, entries, frame),
                Macro::TransformMap => transform_map(fold, entries, frame),
                Macro::SortBy => sort_by(fold, entries, frame),
                _ => map(fold, entries, frame),
            }
        }
    }
}

/// The entries of a list or map. With one name, a map runs over its keys.
fn entries<'a>(of: &Val<'a>, both: bool) -> Result<Vec<Entry<'a>>, Fault> {
    match of {
        Val::List(list) => Ok(list
            .iter()
            .enumerate()
            .map(|(at, value)| (Val::count(at), value))
            .collect()),
        Val::Dict(dict) if both => Ok(dict.iter().collect()),
        Val::Dict(dict) => Ok(dict.iter().map(|(key, _)| (Val::Null, key)).collect()),
        _ => Err(Fault::no_overload()),
    }
}

/// The value of an expression where the names of the macro stand for this entry.
fn with<'a>(
    fold: &'a Fold,
    expr: &'a Expr,
    entry: Entry<'a>,
    frame: &Frame<'_, 'a>,
) -> Outcome<'a> {
    let (key, value) = entry;
    let bound = |name: &'a String, value| (name.as_str(), value);
    let (first, second) = match fold.names.as_slice() {
        [one] => (bound(one, value), None),
        [index, item, ..] => (bound(index, key), Some(bound(item, value))),
        [] => return expr.eval(frame),
    };
    let outer = Local {
        name: first.0,
        value: first.1,
        outer: frame.local(),
    };
    let Some((name, value)) = second else {
        return expr.eval(&frame.within(&outer));
    };
    let inner = Local {
        name,
        value,
        outer: Some(&outer),
    };
    expr.eval(&frame.within(&inner))
}

/// `all` and `exists`: an entry that decides makes up for failures of others.
fn quantify<'a>(
    fold: &'a Fold,
    entries: Vec<Entry<'a>>,
    frame: &Frame<'_, 'a>,
    decides: bool,
) -> Outcome<'a> {
    let mut fault = None;
    for entry in entries {
        match with(fold, &fold.body, entry, frame).and_then(|value| value.truth()) {
            Ok(value) if value == decides => return Ok(Val::Bool(decides)),
            Ok(_) => {}
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.map_or(Ok(Val::Bool(!decides)), Err)
}

fn one<'a>(fold: &'a Fold, entries: Vec<Entry<'a>>, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let mut found = 0;
    for entry in entries {
        found += usize::from(with(fold, &fold.body, entry, frame)?.truth()?);
    }
    Ok(Val::Bool(found == 1))
}

fn filter<'a>(fold: &'a Fold, entries: Vec<Entry<'a>>, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let mut taken = Vec::new();
    for (key, value) in entries {
        if with(fold, &fold.body, (key, value.clone()), frame)?.truth()? {
            taken.push(value);
        }
    }
    Ok(Val::list(taken))
}

/// Whether the macro takes this entry.
fn takes<'a>(fold: &'a Fold, entry: &Entry<'a>, frame: &Frame<'_, 'a>) -> Result<bool, Fault> {
    let Some(only) = &fold.only else {
        return Ok(true);
    };
    with(fold, only, entry.clone(), frame)?.truth()
}

fn map<'a>(fold: &'a Fold, entries: Vec<Entry<'a>>, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let mut made = Vec::with_capacity(entries.len());
    for entry in entries {
        if takes(fold, &entry, frame)? {
            made.push(with(fold, &fold.body, entry, frame)?);
        }
    }
    Ok(Val::list(made))
}

fn transform_map<'a>(
    fold: &'a Fold,
    entries: Vec<Entry<'a>>,
    frame: &Frame<'_, 'a>,
) -> Outcome<'a> {
    let mut made = Vec::with_capacity(entries.len());
    for entry in entries {
        if takes(fold, &entry, frame)? {
            made.push((entry.0.clone(), with(fold, &fold.body, entry, frame)?));
        }
    }
    Ok(Val::dict(made))
}

fn sort_by<'a>(fold: &'a Fold, entries: Vec<Entry<'a>>, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let mut keyed = Vec::with_capacity(entries.len());
    for (at, value) in entries {
        keyed.push((with(fold, &fold.body, (at, value.clone()), frame)?, value));
    }
    list::sort(&mut keyed)?;
    Ok(Val::list(
        keyed.into_iter().map(|(_, value)| value).collect(),
    ))
}

fn optional<'a>(fold: &'a Fold, of: Val<'a>, frame: &Frame<'_, 'a>) -> Outcome<'a> {
    let Val::Optional(inner) = of else {
        return Err(Fault::no_overload());
    };
    let Some(inner) = inner else {
        return Ok(Val::none());
    };
    let value = with(fold, &fold.body, (Val::Null, Val::clone(&inner)), frame)?;
    match fold.how {
        Macro::OptMap => Ok(Val::Optional(Some(Rc::new(value)))),
        _ => Ok(value),
    }
}
