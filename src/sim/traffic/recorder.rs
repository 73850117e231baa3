//! Counters and latency histograms of one process, as it shows them to Prometheus.

use std::collections::BTreeMap;

use crate::sim::promql::labels::{Labels, NAME};
use crate::sim::traffic::behaviour::Latency;
use crate::sim::traffic::families::Family;
use crate::sim::traffic::share::Luck;

/// Parts of a whole request.
const WHOLE: u64 = 1_000_000;

/// The requests of one process by status; a status is shown from its first request on.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    family: &'static Family,
    statuses: BTreeMap<u16, Histogram>,
}

#[derive(Clone, Debug)]
struct Histogram {
    count: u64,
    seconds: f64,
    /// Requests up to each bound, in millionths; half a request more, so that whole ones are rounded.
    within: Vec<u64>,
    /// Requests that are not in the buckets yet, and how long these take.
    pending: u64,
    latency: Latency,
    /// The parts of these up to each bound, in millionths.
    parts: Vec<u64>,
}

impl Recorder {
    /// Nothing so far.
    pub(super) fn new(family: &'static Family) -> Self {
        Self {
            family,
            statuses: BTreeMap::new(),
        }
    }

    /// Counts requests.
    pub(super) fn record(&mut self, status: u16, requests: u64, latency: Latency, luck: &mut Luck) {
        if requests == 0 {
            return;
        }
        let bounds = self.family.bounds;
        let found = self.statuses.entry(status);
        let histogram = found.or_insert_with(|| Histogram::new(latency, bounds));
        if histogram.latency != latency {
            histogram.settle(luck);
            histogram.latency = latency;
            histogram.parts = parts(latency, bounds);
        }
        histogram.count += requests;
        histogram.pending += requests;
    }

    /// How many statuses it shows.
    pub(super) fn width(&self) -> usize {
        self.statuses.len()
    }

    /// The series, each with these labels too.
    pub(super) fn columns(&self, labels: &Labels) -> Vec<Labels> {
        let mut columns = Vec::new();
        if !self.family.durations_by_status && !self.statuses.is_empty() {
            columns.extend(self.durations(labels));
        }
        for code in self.statuses.keys() {
            let labels = self.told(labels, *code);
            if self.family.durations_by_status {
                columns.extend(self.durations(&labels));
            }
            let counter = self.family.requests;
            columns.extend(counter.map(|name| labels.clone().with(NAME, name)));
        }
        columns
    }

    /// Labels with those of a status.
    fn told(&self, labels: &Labels, code: u16) -> Labels {
        let labels = labels.clone().with(self.family.status, &code.to_string());
        let verdict = if code < 500 { "success" } else { "failure" };
        match self.family.verdict {
            Some(label) => labels.with(label, verdict),
            None => labels,
        }
    }

    /// The series of one histogram.
    fn durations(&self, labels: &Labels) -> Vec<Labels> {
        let Family {
            durations,
            bounds,
            of_durations,
            ..
        } = self.family;
        let named = |end: &str| {
            let labels = labels.clone().with(NAME, &format!("{durations}{end}"));
            match of_durations {
                Some((label, value)) => labels.with(label, value),
                None => labels,
            }
        };
        let bounds = bounds.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
        let buckets = bounds.map(|bound| named("_bucket").with("le", bound));
        buckets.chain([named("_sum"), named("_count")]).collect()
    }

    /// The values of the series.
    pub(super) fn values(&mut self, luck: &mut Luck, values: &mut Vec<f64>) {
        for histogram in self.statuses.values_mut() {
            histogram.settle(luck);
        }
        let unit = self.family.per_second;
        if !self.family.durations_by_status && !self.statuses.is_empty() {
            let all: Vec<_> = self.statuses.values().collect();
            shown(&all, unit, values);
        }
        for histogram in self.statuses.values() {
            if self.family.durations_by_status {
                shown(&[histogram], unit, values);
            }
            values.extend(self.family.requests.map(|_| histogram.count as f64));
        }
    }
}

/// The values of histograms as one: buckets, the last of which has all, sum and count.
fn shown(histograms: &[&Histogram], unit: f64, values: &mut Vec<f64>) {
    let bounds = histograms.first().map_or(0, |first| first.within.len());
    let within = |place: usize| {
        let whole = histograms.iter().filter_map(|it| it.within.get(place));
        whole.map(|within| within / WHOLE).sum::<u64>()
    };
    values.extend((0..bounds).map(|place| within(place) as f64));
    let count = histograms.iter().map(|it| it.count).sum::<u64>() as f64;
    let seconds: f64 = histograms.iter().map(|it| it.seconds).sum();
    values.extend([count, seconds * unit, count]);
}

impl Histogram {
    fn new(latency: Latency, bounds: &[(&str, f64)]) -> Self {
        Self {
            count: 0,
            seconds: 0.0,
            within: vec![WHOLE / 2; bounds.len()],
            pending: 0,
            latency,
            parts: parts(latency, bounds),
        }
    }

    /// Puts what is pending into the buckets.
    fn settle(&mut self, luck: &mut Luck) {
        let pending = std::mem::take(&mut self.pending);
        if pending == 0 {
            return;
        }
        self.seconds += pending as f64 * self.latency.mean();
        let (mut below, mut done) = (0, 0);
        for (within, part) in self.within.iter_mut().zip(&self.parts) {
            *within += match luck {
                Luck::Even => pending * part,
                Luck::Drawn(seed) => {
                    let rest = (WHOLE - below) as f64;
                    let chance = if rest > 0.0 {
                        (part - below) as f64 / rest
                    } else {
                        0.0
                    };
                    done += seed.successes(pending - done, chance);
                    below = *part;
                    done * WHOLE
                }
            };
        }
    }
}

/// The parts up to each bound, which never fall.
fn parts(latency: Latency, bounds: &[(&str, f64)]) -> Vec<u64> {
    let mut most = 0;
    let parts = bounds.iter().map(|(_, seconds)| {
        most = latency.within(*seconds).max(most);
        most
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::seed::Seed;
    use crate::sim::traffic::behaviour::Behaviour;
    use crate::sim::traffic::families::{APISIX, LINKERD, TRAEFIK};

    const FAMILY: Family = Family {
        durations: "seconds",
        requests: Some("requests_total"),
        bounds: &[("0.001", 0.001), ("0.002", 0.002), ("0.5", 0.5)],
        ..TRAEFIK
    };

    #[test]
    fn buckets_never_fall_and_end_with_all() {
        for mut luck in [Luck::Even, Luck::Drawn(Seed::new(5))] {
            let mut recorder = Recorder::new(&FAMILY);
            let fast = Behaviour::default().latency;
            let slow = Latency {
                delayed: 0.5,
                delay: Duration::from_secs(1),
                ..fast
            };
            let mut before = vec![0.0; 7];
            for requests in 1..200 {
                let latency = if requests % 3 == 0 { slow } else { fast };
                recorder.record(200, requests, latency, &mut luck);
                let mut values = Vec::new();
                recorder.values(&mut luck, &mut values);
                assert!(values[..4].is_sorted(), "{values:?}");
                assert_eq!((values[3], values[3]), (values[5], values[6]));
                assert!(
                    values
                        .iter()
                        .zip(&before)
                        .all(|(now, before)| now >= before)
                );
                before = values;
            }
            // A third of the requests is slow, and half of these is delayed.
            let delayed = 1.0 - before[2] / before[3];
            assert!((delayed - 1.0 / 6.0).abs() < 0.01, "{delayed}");
            assert_eq!(before[3], 19_900.0);
        }
    }

    #[test]
    fn a_status_is_shown_from_its_first_request_on() {
        let mut recorder = Recorder::new(&FAMILY);
        let latency = Behaviour::default().latency;
        recorder.record(500, 0, latency, &mut Luck::Even);
        assert_eq!(recorder.width(), 0);
        recorder.record(500, 1, latency, &mut Luck::Even);
        let columns = recorder.columns(&Labels::of([("pod", "a")]));
        let columns: Vec<_> = columns.iter().map(ToString::to_string).collect();
        assert_eq!(
            columns[3],
            r#"seconds_bucket{code="500", le="+Inf", pod="a"}"#
        );
        assert_eq!(columns[6], r#"requests_total{code="500", pod="a"}"#);
        assert_eq!(columns.len(), 7);
    }

    fn shown(family: &'static Family) -> Vec<String> {
        let mut recorder = Recorder::new(family);
        let latency = Behaviour::default().latency;
        for (status, requests) in [(200, 90), (503, 10)] {
            recorder.record(status, requests, latency, &mut Luck::Even);
        }
        let mut values = Vec::new();
        recorder.values(&mut Luck::Even, &mut values);
        let columns = recorder.columns(&Labels::of([("route", "a")]));
        assert_eq!(columns.len(), values.len());
        let lines = columns.iter().zip(values);
        lines
            .map(|(labels, value)| format!("{labels} {value}"))
            .collect()
    }

    #[test]
    fn durations_may_be_of_all_statuses_together() {
        let shown = shown(&APISIX);
        let counted = |line: &str| assert!(shown.iter().any(|it| it == line), "{line}: {shown:?}");
        counted(r#"apisix_http_latency_bucket{le="+Inf", route="a", type="request"} 100"#);
        counted(r#"apisix_http_latency_count{route="a", type="request"} 100"#);
        counted(r#"apisix_http_status{code="200", route="a"} 90"#);
        counted(r#"apisix_http_status{code="503", route="a"} 10"#);
        assert_eq!(shown.len(), APISIX.bounds.len() + 3 + 2);
    }

    #[test]
    fn a_verdict_stands_beside_the_status() {
        let shown = shown(&LINKERD);
        let line = r#"response_total{classification="failure", route="a", status_code="503"} 10"#;
        assert!(shown.iter().any(|it| it == line), "{shown:?}");
    }
}
