//! Durations and points in time.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::sim::cel::value::{Fault, Outcome, Val};

/// Units of Go's durations, in nanoseconds, the longer names first.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// Reads a duration as Go writes it: `1h30m`, `-1.5s`.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0_i64;
    while !rest.is_empty() {
        let (part, after) = one(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    Some(SignedDuration::from_nanos(if is_negative {
        -nanos
    } else {
        nanos
    }))
}

/// One number with its unit, in nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn one(rest: &str) -> Option<(i64, &str)> {
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let number: f64 = rest[..end].parse().ok()?;
    let (name, scale) = UNITS.iter().find(|(name, _)| {
        let after = rest[end..].strip_prefix(name);
        after.is_some_and(|after| !after.starts_with(char::is_alphabetic))
    })?;
    let nanos = (number * scale).round();
    (nanos < 9.2e18).then(|| (nanos as i64, &rest[end + name.len()..]))
}

/// A duration as CEL writes it: in seconds.
pub(super) fn spoken(duration: SignedDuration) -> String {
    format!("{}s", duration.as_secs_f64())
}

fn cut<'a>(value: i128) -> Val<'a> {
    Val::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn of_duration<'a>(of: SignedDuration, name: &str) -> Outcome<'a> {
    match name {
        "getHours" => Ok(Val::Int(of.as_hours())),
        "getMinutes" => Ok(Val::Int(of.as_mins())),
        "getSeconds" => Ok(Val::Int(of.as_secs())),
        "getMilliseconds" => Ok(cut(of.as_millis())),
        _ => Err(Fault::no_overload()),
    }
}

/// Parts of a point in time, in UTC.
pub(super) fn of_timestamp<'a>(of: Timestamp, name: &str) -> Outcome<'a> {
    let at = of.to_zoned(TimeZone::UTC);
    let part = match name {
        "getFullYear" => i64::from(at.year()),
        "getMonth" => i64::from(at.month()) - 1,
        "getDate" => i64::from(at.day()),
        "getDayOfMonth" => i64::from(at.day()) - 1,
        "getDayOfYear" => i64::from(at.day_of_year()) - 1,
        "getDayOfWeek" => i64::from(at.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(at.hour()),
        "getMinutes" => i64::from(at.minute()),
        "getSeconds" => i64::from(at.second()),
        "getMilliseconds" => i64::from(at.millisecond()),
        _ => return Err(Fault::no_overload()),
    };
    Ok(Val::Int(part))
}
