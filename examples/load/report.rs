//! What the load generator counts: reports that add up, for one second or for the whole run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The version of replies that have no `x-version`: something in front of the application gave them.
pub(crate) const NO_VERSION: &str = "none";

/// What was sent and what came back.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Requests begun.
    pub(crate) sent: u64,
    /// Requests that were due and not begun, because as many as allowed were in flight.
    pub(crate) overload: u64,
    /// Requests without a proper reply: failed connections, timeouts, and 5xx that the application did not mean.
    pub(crate) lost: u64,
    /// Replies below 500 without a version, such as the 404 of a proxy that has no route. They are not in `lost`.
    pub(crate) stray: u64,
    /// Failed connections and timeouts by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Replies by the version in them.
    pub(crate) by_version: BTreeMap<String, Counts>,
    /// How late the generator itself was with a request, at most; it makes latencies and times this much worse.
    pub(crate) late_ms: u64,
}

/// The replies of one version.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// All replies, whatever their status.
    pub(crate) replies: u64,
    /// Replies that the application failed on purpose, with `x-app-error`.
    pub(crate) app_errors: u64,
    /// Replies by status.
    pub(crate) by_status: BTreeMap<u16, u64>,
    /// From the time a request was due to the end of its reply.
    pub(crate) latency: Histogram,
}

/// What a reply says about who gave it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// Its `x-version`.
    pub(crate) version: Option<String>,
    /// Whether it has `x-app-error`.
    pub(crate) app_error: bool,
}

impl Report {
    /// Counts a reply.
    pub(crate) fn reply(&mut self, reply: &Reply, latency: Duration) {
        let version = reply.version.as_deref();
        if reply.status >= 500 && !reply.app_error {
            self.lost += 1;
        } else if version.is_none() {
            self.stray += 1;
        }
        let name = version.unwrap_or(NO_VERSION).to_owned();
        let counts = self.by_version.entry(name).or_default();
        counts.replies += 1;
        counts.app_errors += u64::from(reply.app_error);
        *counts.by_status.entry(reply.status).or_default() += 1;
        counts.latency.record(latency);
    }

    /// Counts a request that got no reply.
    pub(crate) fn error(&mut self, kind: &str) {
        self.lost += 1;
        *self.errors.entry(kind.to_owned()).or_default() += 1;
    }

    /// Adds the counts of another time.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            sent,
            overload,
            lost,
            stray,
            errors,
            by_version,
            late_ms,
        } = other;
        self.sent += sent;
        self.overload += overload;
        self.lost += lost;
        self.stray += stray;
        add_all(&mut self.errors, errors);
        for (version, counts) in by_version {
            self.by_version
                .entry(version.clone())
                .or_default()
                .add(counts);
        }
        self.late_ms = self.late_ms.max(*late_ms);
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let Self {
            replies,
            app_errors,
            by_status,
            latency,
        } = other;
        self.replies += replies;
        self.app_errors += app_errors;
        add_all(&mut self.by_status, by_status);
        add_all(&mut self.latency.0, &latency.0);
    }
}

fn add_all<K: Clone + Ord>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        *sums.entry(key.clone()).or_default() += count;
    }
}

/// How many latencies fell into each interval. An interval is 1/32 of a power of two of microseconds, so a percentile
/// is at most 3.2 % too high.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    /// Intervals for each power of two.
    const PARTS: u64 = 32;

    fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        *self.0.entry(Self::interval(micros)).or_default() += 1;
    }

    /// The latency that the given part (0 to 1) of all replies did not exceed; none without replies.
    pub(crate) fn percentile(&self, part: f64) -> Option<Duration> {
        let total: u64 = self.0.values().sum();
        let rank = ((total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let mut reached = self.0.iter().filter_map(|(interval, count)| {
            seen += count;
            (seen >= rank).then_some(*interval)
        });
        reached.next().map(Self::upper)
    }

    /// Below 64 µs an interval is a microsecond; above, the five bits after the leading one and the power of two.
    fn interval(micros: u64) -> u32 {
        let power = micros.max(Self::PARTS).ilog2() - Self::PARTS.ilog2();
        let part = u32::try_from(micros >> power).unwrap_or(u32::MAX);
        power * Self::PARTS as u32 + part
    }

    fn upper(interval: u32) -> Duration {
        let parts = Self::PARTS as u32;
        let power = (interval / parts).saturating_sub(1);
        let part = u64::from(interval - power * parts);
        Duration::from_micros(((part + 1) << power) - 1)
    }
}

/// A line that the generator prints.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line {
    /// What has been counted since the line before.
    Progress {
        /// The time that the counts are complete up to, but for requests in flight: milliseconds since 1970.
        until: u64,
        /// Counts by the second since 1970 in which the requests were due.
        seconds: BTreeMap<u64, Report>,
    },
    /// The last line, with no request in flight.
    Total {
        /// All counts.
        total: Report,
        /// Median and 99th percentile of the latency, in milliseconds, by version.
        latency: BTreeMap<String, Percentiles>,
        /// The counts by the second since 1970 in which the requests were due.
        seconds: BTreeMap<u64, Report>,
    },
}

/// Latencies of one version.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Percentiles {
    /// The median.
    pub(crate) p50_ms: f64,
    /// The 99th percentile.
    pub(crate) p99_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, version: Option<&str>, app_error: bool) -> Reply {
        let version = version.map(str::to_owned);
        Reply {
            status,
            version,
            app_error,
        }
    }

    #[test]
    fn only_failures_that_the_application_did_not_mean_are_lost() {
        let ms = Duration::from_millis(1);
        let mut report = Report::default();
        report.reply(&reply(200, Some("1.0.0"), false), ms);
        report.reply(&reply(500, Some("2.0.0"), true), ms);
        assert_eq!((report.lost, report.stray), (0, 0));
        report.reply(&reply(500, Some("2.0.0"), false), ms);
        report.reply(&reply(503, None, false), ms);
        report.error("refused");
        assert_eq!((report.lost, report.stray), (3, 0));
        report.reply(&reply(404, None, false), ms);
        assert_eq!((report.lost, report.stray), (3, 1));
        assert_eq!(report.by_version["2.0.0"].app_errors, 1);
        assert_eq!(report.by_version["2.0.0"].by_status[&500], 2);
        assert_eq!(report.by_version[NO_VERSION].replies, 2);
    }

    #[test]
    fn reports_add_up_and_survive_json() {
        let mut first = Report {
            sent: 3,
            late_ms: 7,
            ..Report::default()
        };
        first.reply(&reply(200, Some("1.0.0"), false), Duration::from_millis(5));
        first.error("reset");
        let mut sum = first.clone();
        sum.add(&first);
        assert_eq!((sum.sent, sum.lost, sum.late_ms), (6, 2, 7));
        assert_eq!(sum.by_version["1.0.0"].replies, 2);
        let line = Line::Progress {
            until: 5,
            seconds: BTreeMap::from([(1, sum)]),
        };
        let text = serde_json::to_string(&line).expect("a line is JSON");
        assert_eq!(serde_json::from_str::<Line>(&text).ok(), Some(line));
    }

    #[test]
    fn a_percentile_is_at_most_one_interval_too_high() {
        for micros in (1..200).chain([1_000, 4_095, 4_096, 123_456, 10_000_000]) {
            let upper = Histogram::upper(Histogram::interval(micros)).as_micros() as u64;
            assert!(
                upper >= micros && upper - micros <= micros / 31,
                "{micros} {upper}"
            );
            assert!(Histogram::interval(micros) <= Histogram::interval(micros + 1));
        }
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), None);
        for milliseconds in 1..=100 {
            histogram.record(Duration::from_millis(milliseconds));
        }
        let p50 = histogram.percentile(0.5).expect("replies").as_micros();
        let p99 = histogram.percentile(0.99).expect("replies").as_micros();
        assert!((50_000..52_000).contains(&p50), "{p50}");
        assert!((99_000..102_200).contains(&p99), "{p99}");
    }
}
