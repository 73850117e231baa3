//! How long ago something was, in the few letters that kubectl shows.

use jiff::Timestamp;
use serde_json::Value;

/// How long ago this time was; `<unknown>` where there is none.
pub(super) fn since(time: &Value, now: Timestamp) -> String {
    let Some(text) = time.as_str() else {
        return "<unknown>".to_owned();
    };
    match text.parse::<Timestamp>() {
        Ok(time) => spoken(now.as_second() - time.as_second()),
        Err(_) => "<invalid>".to_owned(),
    }
}

/// Two units at most, and fewer the longer it is.
fn spoken(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => pair((minutes, "m"), (seconds % 60, "s")),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair((hours, "h"), (minutes % 60, "m")),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => pair((days, "d"), (hours % 24, "h")),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => pair((years, "y"), (days % 365, "d")),
        _ => format!("{years}y"),
    }
}

fn pair(first: (i64, &str), second: (i64, &str)) -> String {
    let mut text = format!("{}{}", first.0, first.1);
    if second.0 > 0 {
        text.push_str(&format!("{}{}", second.0, second.1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, want) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (2 * 365 * 86_400 - 1, "729d"),
            (2 * 365 * 86_400, "2y"),
            (3 * 365 * 86_400 + 86_400, "3y1d"),
            (9 * 365 * 86_400, "9y"),
        ] {
            assert_eq!(spoken(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn what_is_no_time_has_no_age() {
        let now = "2030-01-01T00:01:00Z".parse().unwrap();
        let of = |time: Value| since(&time, now);
        assert_eq!(of("2030-01-01T00:00:00Z".into()), "60s");
        assert_eq!(of(Value::Null), "<unknown>");
        assert_eq!(of("soon".into()), "<invalid>");
    }
}
