//! Whether the clock of a metrics server and ours agree. Windows are asked for by their times, so with clocks apart every reply
//! would be about another time than the one that is judged, and look like a good one.

use bytes::Bytes;
use http::{Response, header};
use jiff::{SignedDuration, Timestamp};

use crate::metrics::MetricError;

/// How far apart clocks may be: as far as a slow reply and the whole seconds of the header explain.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

/// Compares the time in the reply's header `Date` with this one. A server that does not say its time is believed.
///
/// # Errors
///
/// If they are apart: nothing can be measured then.
pub fn punctual(reply: &Response<Bytes>, now: Timestamp) -> Result<(), MetricError> {
    let date = reply.headers().get(header::DATE);
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    let Some(date) = date else {
        return Ok(());
    };
    let ahead = date.timestamp().duration_since(now);
    if ahead.abs() <= TOLERANCE {
        return Ok(());
    }
    let side = if ahead.is_positive() {
        "ahead of"
    } else {
        "behind"
    };
    let seconds = ahead.abs().as_secs();
    Err(MetricError::Unreachable(format!(
        "the clock of the metrics server is {seconds} s {side} Serin's, so that nothing can be measured: set the clocks of their nodes right"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(date: Option<&str>) -> String {
        let mut reply = Response::builder();
        if let Some(date) = date {
            reply = reply.header(header::DATE, date);
        }
        let reply = reply.body(Bytes::new()).unwrap();
        let now = "2030-01-01T00:10:00Z".parse().unwrap();
        punctual(&reply, now)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn clocks_that_are_apart_are_told() {
        let rows = [
            (None, ""),
            (Some("no date"), ""),
            (Some("Tue, 01 Jan 2030 00:10:00 GMT"), ""),
            (Some("Tue, 01 Jan 2030 00:09:50 GMT"), ""),
            (Some("Tue, 01 Jan 2030 00:10:10 GMT"), ""),
            (Some("Tue, 01 Jan 2030 00:09:49 GMT"), "11 s behind"),
            (Some("Tue, 01 Jan 2030 00:20:00 GMT"), "600 s ahead of"),
        ];
        for (date, expected) in rows {
            let said = said(date);
            assert_eq!(said.is_empty(), expected.is_empty(), "{date:?}: {said}");
            assert!(said.contains(expected), "{date:?}: {said}");
        }
    }
}
