//! Methods of texts. Positions count letters, as in cel-go.

use crate::sim::cel::function::shown;
use crate::sim::cel::pattern::pattern;
use crate::sim::cel::value::{Fault, List, Outcome, Val};

pub(super) fn method<'a>(of: &str, name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
    match (name, arguments) {
        ("contains", [Val::Text(part)]) => Ok(Val::Bool(of.contains(part.as_ref()))),
        ("startsWith", [Val::Text(part)]) => Ok(Val::Bool(of.starts_with(part.as_ref()))),
        ("endsWith", [Val::Text(part)]) => Ok(Val::Bool(of.ends_with(part.as_ref()))),
        ("matches", [Val::Text(like)]) => Ok(Val::Bool(pattern(like)?.is_match(of))),
        ("find", [Val::Text(like)]) => Ok(Val::text(
            pattern(like)?.find(of).map_or("", |found| found.as_str()),
        )),
        ("findAll", [Val::Text(like)]) => find_all(of, like, -1),
        ("findAll", [Val::Text(like), Val::Int(most)]) => find_all(of, like, *most),
        ("lowerAscii", []) => Ok(Val::text(of.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Val::text(of.to_ascii_uppercase())),
        ("trim", []) => Ok(Val::text(of.trim())),
        ("replace", [Val::Text(old), Val::Text(new)]) => {
            Ok(Val::text(of.replace(old.as_ref(), new)))
        }
        ("replace", [Val::Text(old), Val::Text(new), Val::Int(most)]) => {
            Ok(Val::text(replace(of, (old, new), *most)))
        }
        ("split", [Val::Text(by)]) => Ok(texts(split(of, by, -1))),
        ("split", [Val::Text(by), Val::Int(most)]) => Ok(texts(split(of, by, *most))),
        ("charAt", [Val::Int(at)]) => char_at(of, *at),
        ("indexOf", [Val::Text(part)]) => Ok(Val::Int(index_of(of, part, 0)?)),
        ("indexOf", [Val::Text(part), Val::Int(from)]) => Ok(Val::Int(index_of(of, part, *from)?)),
        ("lastIndexOf", [Val::Text(part)]) => Ok(position(of, of.rfind(part.as_ref()))),
        ("substring", [Val::Int(from)]) => substring(
            of,
            *from,
            i64::try_from(of.chars().count()).unwrap_or(i64::MAX),
        ),
        ("substring", [Val::Int(from), Val::Int(to)]) => substring(of, *from, *to),
        ("format", [Val::List(values)]) => format(of, values),
        _ => Err(Fault::no_overload()),
    }
}

fn texts<'a>(found: Vec<&str>) -> Val<'a> {
    Val::list(found.into_iter().map(Val::text).collect())
}

/// The limit of a function that takes a negative number for none.
fn limit(most: i64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

fn find_all<'a>(of: &str, like: &str, most: i64) -> Outcome<'a> {
    let like = pattern(like)?;
    let found = like.find_iter(of).take(limit(most));
    Ok(texts(found.map(|found| found.as_str()).collect()))
}

fn replace(of: &str, (old, new): (&str, &str), most: i64) -> String {
    of.replacen(old, new, limit(most))
}

fn split<'t>(of: &'t str, by: &str, most: i64) -> Vec<&'t str> {
    if most == 0 {
        return Vec::new();
    }
    if !by.is_empty() {
        return of.splitn(limit(most), by).collect();
    }
    let mut found = Vec::new();
    let mut rest = of;
    while let Some(letter) = rest.chars().next() {
        if found.len() + 1 == limit(most) {
            found.push(rest);
            break;
        }
        let (first, after) = rest.split_at(letter.len_utf8());
        found.push(first);
        rest = after;
    }
    found
}

fn outside(at: i64) -> Fault {
    Fault::new(format!("index out of range: {at}"))
}

/// Where the letter with this number begins; the end counts.
fn offset(of: &str, at: i64) -> Result<usize, Fault> {
    let number = usize::try_from(at).map_err(|_| outside(at))?;
    let ends = std::iter::once(of.len());
    let mut begins = of.char_indices().map(|(begin, _)| begin).chain(ends);
    begins.nth(number).ok_or_else(|| outside(at))
}

/// The number of the letter that begins there, or -1.
fn position<'a>(of: &str, at: Option<usize>) -> Val<'a> {
    at.map_or(Val::Int(-1), |at| Val::count(of[..at].chars().count()))
}

fn index_of(of: &str, part: &str, from: i64) -> Result<i64, Fault> {
    let begin = offset(of, from)?;
    Ok(match position(&of[begin..], of[begin..].find(part)) {
        Val::Int(at) if at >= 0 => at + from,
        _ => -1,
    })
}

fn char_at<'a>(of: &str, at: i64) -> Outcome<'a> {
    let begin = offset(of, at)?;
    Ok(Val::text(
        of[begin..]
            .chars()
            .next()
            .map(String::from)
            .unwrap_or_default(),
    ))
}

fn substring<'a>(of: &str, from: i64, to: i64) -> Outcome<'a> {
    let (begin, end) = (offset(of, from)?, offset(of, to)?);
    of.get(begin..end)
        .map(Val::text)
        .ok_or_else(|| Fault::new(format!("invalid substring range. start: {from}, end: {to}")))
}

/// `%s`, `%d` and `%%`; the other clauses are not known.
fn format<'a>(of: &str, values: &List<'a>) -> Outcome<'a> {
    let mut parts = of.split('%');
    let mut result = parts.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    while let Some(part) = parts.next() {
        match part.chars().next() {
            Some('s' | 'd') => {
                let value = values
                    .next()
                    .ok_or_else(|| Fault::new("index out of range: format argument"))?;
                result.push_str(&shown(&value));
                result.push_str(&part[1..]);
            }
            None => {
                result.push('%');
                result.push_str(parts.next().unwrap_or_default());
            }
            Some(other) => {
                return Err(Fault::new(format!(
                    "unrecognized formatting clause \"{other}\""
                )));
            }
        }
    }
    Ok(Val::text(result))
}
