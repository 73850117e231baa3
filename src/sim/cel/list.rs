//! Methods of lists.

use std::cmp::Ordering;

use crate::sim::cel::operator::{self, order};
use crate::sim::cel::tree::Operator;
use crate::sim::cel::value::{Fault, List, Outcome, Val};

pub(super) fn method<'a>(of: &List<'a>, name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
    match (name, arguments) {
        ("isSorted", []) => is_sorted(of).map(Val::Bool),
        ("sum", []) => sum(of),
        ("min", []) => extreme(of, Ordering::Less, "min"),
        ("max", []) => extreme(of, Ordering::Greater, "max"),
        ("indexOf", [item]) => Ok(found(of.iter().position(|known| known == *item))),
        ("lastIndexOf", [item]) => Ok(found(
            of.iter()
                .collect::<Vec<_>>()
                .iter()
                .rposition(|known| known == item),
        )),
        ("join", []) => join(of, ""),
        ("join", [Val::Text(by)]) => join(of, by),
        ("reverse", []) => Ok(Val::list(
            of.iter().collect::<Vec<_>>().into_iter().rev().collect(),
        )),
        ("distinct", []) => Ok(Val::list(distinct(of))),
        ("unwrapOpt", []) => Ok(Val::list(present(of))),
        ("flatten", []) => Ok(Val::list(of.iter().flat_map(parts).collect())),
        ("slice", [Val::Int(from), Val::Int(to)]) => slice(of, *from, *to),
        ("sort", []) => sorted(of),
        ("first", []) => Ok(of.get(0).map_or_else(Val::none, Val::some)),
        ("last", []) => Ok(of
            .len()
            .checked_sub(1)
            .and_then(|at| of.get(at))
            .map_or_else(Val::none, Val::some)),
        _ => Err(Fault::no_overload()),
    }
}

fn found<'a>(at: Option<usize>) -> Val<'a> {
    at.map_or(Val::Int(-1), Val::count)
}

fn is_sorted(of: &List<'_>) -> Result<bool, Fault> {
    let items: Vec<_> = of.iter().collect();
    for pair in items.windows(2) {
        if order(&pair[0], &pair[1])?.is_gt() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sum<'a>(of: &List<'a>) -> Outcome<'a> {
    let mut items = of.iter();
    let first = items.next().unwrap_or(Val::Int(0));
    items.try_fold(first, |sum, item| {
        operator::apply(Operator::Add, &sum, &item)
    })
}

fn extreme<'a>(of: &List<'a>, wanted: Ordering, name: &str) -> Outcome<'a> {
    let mut items = of.iter();
    let mut best = items
        .next()
        .ok_or_else(|| Fault::new(format!("{name} called on empty list")))?;
    for item in items {
        if order(&item, &best)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn join<'a>(of: &List<'a>, by: &str) -> Outcome<'a> {
    let texts: Option<Vec<String>> = of
        .iter()
        .map(|item| item.as_text().map(str::to_owned))
        .collect();
    texts
        .map(|texts| Val::text(texts.join(by)))
        .ok_or_else(Fault::no_overload)
}

fn distinct<'a>(of: &List<'a>) -> Vec<Val<'a>> {
    let mut known = Vec::new();
    for item in of.iter() {
        if !known.contains(&item) {
            known.push(item);
        }
    }
    known
}

fn parts(item: Val<'_>) -> Vec<Val<'_>> {
    match item {
        Val::List(list) => list.iter().collect(),
        other => vec![other],
    }
}

fn slice<'a>(of: &List<'a>, from: i64, to: i64) -> Outcome<'a> {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    match range {
        Some((from, to)) if from <= to && to <= of.len() => {
            Ok(Val::list(of.iter().skip(from).take(to - from).collect()))
        }
        _ => Err(Fault::new(format!(
            "cannot slice({from}, {to}), list is length {}",
            of.len()
        ))),
    }
}

fn sorted<'a>(of: &List<'a>) -> Outcome<'a> {
    let mut keyed: Vec<_> = of.iter().map(|item| (item.clone(), item)).collect();
    sort(&mut keyed)?;
    Ok(Val::list(keyed.into_iter().map(|(_, item)| item).collect()))
}

/// Sorts pairs by their first part.
pub(super) fn sort<'a>(keyed: &mut [(Val<'a>, Val<'a>)]) -> Result<(), Fault> {
    let mut fault = None;
    keyed.sort_by(|(a, _), (b, _)| {
        order(a, b).unwrap_or_else(|error| {
            fault = Some(error);
            Ordering::Equal
        })
    });
    fault.map_or(Ok(()), Err)
}

/// Whether a list has every item of another.
pub(super) fn holds_all(of: &List<'_>, part: &List<'_>) -> bool {
    part.iter().all(|item| of.iter().any(|known| known == item))
}

/// The values of the optionals in a list that have one.
pub(super) fn present<'a>(of: &List<'a>) -> Vec<Val<'a>> {
    let inner = |item| match item {
        Val::Optional(inner) => inner.map(|inner| Val::clone(&inner)),
        other => Some(other),
    };
    of.iter().filter_map(inner).collect()
}
