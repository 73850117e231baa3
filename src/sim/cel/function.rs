//! Functions and methods that belong to no kind of value, and the way to those that do.

use std::rc::Rc;

use jiff::Timestamp;

use crate::sim::cel::value::{Fault, Outcome, Val};
use crate::sim::cel::{authorizer, list, moment, text};

/// A function.
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
    match (name, arguments) {
        ("size", [of]) => size(of),
        ("type", [of]) => Ok(Val::Type(of.type_name())),
        ("dyn", [of]) => Ok(of.clone()),
        ("matches", [of, pattern]) => method(of, "matches", std::slice::from_ref(pattern)),
        ("optional.none", []) => Ok(Val::none()),
        ("optional.of", [of]) => Ok(Val::some(of.clone())),
        ("optional.ofNonZeroValue", [of]) => Ok(if of.is_zero() {
            Val::none()
        } else {
            Val::some(of.clone())
        }),
        ("optional.unwrap", [Val::List(of)]) => Ok(Val::list(list::present(of))),
        ("jsonpatch.escapeKey", [Val::Text(key)]) => {
            Ok(Val::text(key.replace('~', "~0").replace('/', "~1")))
        }
        ("strings.quote", [Val::Text(of)]) => Ok(Val::text(format!("{of:?}"))),
        ("lists.range", [Val::Int(end)]) => Ok(Val::list((0..*end).map(Val::Int).collect())),
        ("sets.contains", [Val::List(of), Val::List(part)]) => {
            Ok(Val::Bool(list::holds_all(of, part)))
        }
        ("sets.equivalent", [Val::List(a), Val::List(b)]) => {
            Ok(Val::Bool(list::holds_all(a, b) && list::holds_all(b, a)))
        }
        ("sets.intersects", [Val::List(a), Val::List(b)]) => Ok(Val::Bool(
            a.iter().any(|item| b.iter().any(|other| other == item)),
        )),
        (name, [of]) => convert(name, of),
        _ => Err(Fault::no_overload()),
    }
}

/// A method.
pub(super) fn method<'a>(of: &Val<'a>, name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
    match (of, name, arguments) {
        (of, "size", []) => size(of),
        (Val::Text(of), ..) => text::method(of, name, arguments),
        (Val::List(of), ..) => list::method(of, name, arguments),
        (Val::Optional(inner), "hasValue", []) => Ok(Val::Bool(inner.is_some())),
        (Val::Optional(inner), "value", []) => inner
            .as_deref()
            .cloned()
            .ok_or_else(|| Fault::new("optional.none() dereference")),
        (Val::Duration(of), ..) => moment::of_duration(*of, name),
        (Val::Moment(of), ..) => moment::of_timestamp(*of, name),
        (Val::Decision(allowed), ..) => authorizer::decided(*allowed, name),
        _ => Err(Fault::no_overload()),
    }
}

fn size<'a>(of: &Val<'a>) -> Outcome<'a> {
    match of {
        Val::Text(text) => Ok(Val::count(text.chars().count())),
        Val::Bytes(bytes) => Ok(Val::count(bytes.len())),
        Val::List(list) => Ok(Val::count(list.len())),
        Val::Dict(dict) => Ok(Val::count(dict.len())),
        _ => Err(Fault::no_overload()),
    }
}

fn convert<'a>(name: &str, of: &Val<'a>) -> Outcome<'a> {
    match (name, of) {
        ("string", of) => string(of),
        ("int", of) => int(of),
        ("uint", of) => uint(of),
        ("double", Val::Text(text)) => number(text).map(Val::Double),
        ("double", Val::Double(value)) => Ok(Val::Double(*value)),
        #[expect(clippy::cast_precision_loss, reason = "CEL converts so")]
        ("double", Val::Int(value)) => Ok(Val::Double(*value as f64)),
        #[expect(clippy::cast_precision_loss, reason = "CEL converts so")]
        ("double", Val::Uint(value)) => Ok(Val::Double(*value as f64)),
        ("bool", Val::Bool(value)) => Ok(Val::Bool(*value)),
        ("bool", Val::Text(text)) => number(text).map(Val::Bool),
        ("bytes", Val::Text(text)) => Ok(Val::Bytes(Rc::from(text.as_bytes()))),
        ("bytes", Val::Bytes(_))
        | ("duration", Val::Duration(_))
        | ("timestamp", Val::Moment(_)) => Ok(of.clone()),
        ("duration", Val::Text(text)) => moment::duration(text)
            .map(Val::Duration)
            .ok_or_else(|| Fault::new(format!("time: invalid duration {text:?}"))),
        ("timestamp", Val::Text(text)) => number::<Timestamp>(text).map(Val::Moment),
        ("timestamp", Val::Int(seconds)) => Timestamp::from_second(*seconds)
            .map(Val::Moment)
            .map_err(|_| Fault::new("timestamp overflow")),
        _ => Err(Fault::no_overload()),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| Fault::new(format!("type conversion error: {text:?}")))
}

fn string<'a>(of: &Val<'a>) -> Outcome<'a> {
    match of {
        Val::Text(_) => Ok(of.clone()),
        Val::Bytes(bytes) => String::from_utf8(bytes.to_vec())
            .map(Val::text)
            .map_err(|_| Fault::new("invalid UTF-8 in bytes, cannot convert to string")),
        Val::Bool(_)
        | Val::Int(_)
        | Val::Uint(_)
        | Val::Double(_)
        | Val::Duration(_)
        | Val::Moment(_) => Ok(Val::text(shown(of))),
        _ => Err(Fault::no_overload()),
    }
}

/// A number as Go prints it: the shortest form, with an exponent where that is small or large.
pub(in crate::sim) fn go_number(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-4..21).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A scalar as `string()` writes it.
pub(super) fn shown(of: &Val<'_>) -> String {
    match of {
        Val::Bool(value) => value.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => value.to_string(),
        Val::Double(value) => go_number(*value),
        Val::Text(text) => text.to_string(),
        Val::Duration(value) => moment::spoken(*value),
        Val::Moment(value) => value.to_string(),
        other => other
            .json()
            .map_or_else(|_| other.type_name().to_owned(), |json| json.to_string()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "CEL cuts the fraction off, and the range is checked"
)]
fn int<'a>(of: &Val<'a>) -> Outcome<'a> {
    let outside = || Fault::new("integer overflow");
    match of {
        Val::Int(value) => Ok(Val::Int(*value)),
        Val::Uint(value) => i64::try_from(*value).map(Val::Int).map_err(|_| outside()),
        Val::Double(value) if value.abs() < 9.2e18 => Ok(Val::Int(*value as i64)),
        Val::Double(_) => Err(outside()),
        Val::Text(text) => number(text).map(Val::Int),
        Val::Moment(value) => Ok(Val::Int(value.as_second())),
        _ => Err(Fault::no_overload()),
    }
}

fn uint<'a>(of: &Val<'a>) -> Outcome<'a> {
    match of {
        Val::Uint(value) => Ok(Val::Uint(*value)),
        Val::Text(text) => number(text).map(Val::Uint),
        other => match int(other)? {
            Val::Int(value) => u64::try_from(value)
                .map(Val::Uint)
                .map_err(|_| Fault::new("unsigned integer overflow")),
            _ => Err(Fault::no_overload()),
        },
    }
}
