//! What answers requests and counts them: Pods, and the proxy in front.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::sim::promql::labels::Labels;
use crate::sim::samples::Page;
use crate::sim::traffic::Pod;
use crate::sim::traffic::behaviour::{Behaviour, Latency};
use crate::sim::traffic::ledger::Counts;
use crate::sim::traffic::recorder::{Family, Recorder};
use crate::sim::traffic::share::Luck;

/// The histogram of the test application.
const APPLICATION: Family = Family {
    durations: "http_request_duration_seconds",
    requests: None,
    status: "status",
    bounds: &[
        ("0.005", 0.005),
        ("0.01", 0.01),
        ("0.025", 0.025),
        ("0.05", 0.05),
        ("0.1", 0.1),
        ("0.25", 0.25),
        ("0.5", 0.5),
        ("1.0", 1.0),
        ("2.5", 2.5),
        ("5.0", 5.0),
        ("10.0", 10.0),
    ],
};

/// Traefik's, for the services that it routes to.
const TRAEFIK: Family = Family {
    durations: "traefik_service_request_duration_seconds",
    requests: Some("traefik_service_requests_total"),
    status: "code",
    bounds: &[("0.1", 0.1), ("0.3", 0.3), ("1.2", 1.2), ("5.0", 5.0)],
};

/// A process of a Pod.
#[derive(Debug)]
pub(super) struct Process {
    pod: Pod,
    behaviour: Behaviour,
    /// Failed requests in millionths, half a request more.
    failed: u64,
    luck: Luck,
    recorder: Recorder,
    target: Labels,
    columns: Arc<[Labels]>,
    /// Statuses that the columns are of.
    width: usize,
}

impl Process {
    /// A process that has just begun.
    pub(super) fn new(pod: Pod, luck: Luck) -> Self {
        Self {
            target: target(&pod),
            pod,
            behaviour: Behaviour::default(),
            failed: 500_000,
            luck,
            recorder: Recorder::new(&APPLICATION),
            columns: Arc::default(),
            width: 0,
        }
    }

    /// Whether this is the process of a Pod, and not one before.
    pub(super) fn is(&self, pod: &Pod) -> bool {
        self.pod.starts == pod.starts && self.pod.image == pod.image
    }

    /// Something else about the Pod changed.
    pub(super) fn change(&mut self, pod: Pod) {
        let target = target(&pod);
        if target != self.target {
            (self.target, self.width) = (target, 0);
        }
        self.pod = pod;
    }

    /// Its version.
    pub(super) fn version(&self) -> &str {
        &self.pod.version
    }

    /// Asks how it answers from now on.
    pub(super) fn behave(&mut self, of: &dyn Fn(&Pod, Timestamp) -> Behaviour, now: Timestamp) {
        if self.pod.answers {
            self.behaviour = of(&self.pod, now);
        }
    }

    /// Answers requests, and tells how; `None`: there is nobody to answer.
    pub(super) fn answer(
        &mut self,
        requests: u64,
        tell: &mut impl FnMut(u16, u64, Latency),
    ) -> Option<Counts> {
        if !self.pod.answers {
            return None;
        }
        let errors = self.failures(requests);
        let latency = self.behaviour.latency;
        for (status, requests) in [(200, requests - errors), (500, errors)] {
            self.recorder
                .record(status, requests, latency, &mut self.luck);
            tell(status, requests, latency);
        }
        Some(Counts {
            answered: requests,
            errors,
            lost: 0,
        })
    }

    fn failures(&mut self, requests: u64) -> u64 {
        let rate = self.behaviour.error_rate.clamp(0.0, 1.0);
        match &mut self.luck {
            Luck::Drawn(seed) => seed.successes(requests, rate),
            Luck::Even => {
                self.failed += requests * (rate * 1e6).round() as u64;
                let errors = (self.failed / 1_000_000).min(requests);
                self.failed -= errors * 1_000_000;
                errors
            }
        }
    }

    /// What it shows; `None`: it is not scraped, or not now.
    pub(super) fn page(&mut self, is_due: impl Fn(&Labels) -> bool) -> Option<Page> {
        if self.pod.job.is_none() || !is_due(&self.target) {
            return None;
        }
        if self.width != self.recorder.width() {
            let labels = self.target.clone().with("method", "GET").with("path", "/");
            self.columns = self.recorder.columns(&labels).into();
            self.width = self.recorder.width();
        }
        let mut values = Vec::with_capacity(self.columns.len());
        self.recorder.values(&mut self.luck, &mut values);
        Some(Page {
            target: self.target.clone(),
            columns: Arc::clone(&self.columns),
            values: self.pod.answers.then_some(values),
        })
    }
}

/// The labels that the Prometheus of the test cluster gives to the series of a Pod.
fn target(pod: &Pod) -> Labels {
    Labels::of([
        ("instance", pod.address.as_str()),
        ("job", pod.job.as_deref().unwrap_or_default()),
        ("namespace", &pod.name.namespace),
        ("pod", &pod.name.name),
    ])
}

/// A Traefik, which counts by the Services that it routes to.
#[derive(Debug)]
pub(super) struct Proxy {
    target: Labels,
    luck: Luck,
    services: BTreeMap<String, Recorder>,
    columns: Arc<[Labels]>,
    /// Services and statuses that the columns are of.
    width: usize,
}

impl Proxy {
    /// A proxy that has counted nothing.
    pub(super) fn new(target: Labels, luck: Luck) -> Self {
        Self {
            target,
            luck,
            services: BTreeMap::new(),
            columns: Arc::default(),
            width: 0,
        }
    }

    /// Counts requests.
    pub(super) fn record(&mut self, service: &str, status: u16, requests: u64, latency: Latency) {
        let luck = &mut self.luck;
        if let Some(recorder) = self.services.get_mut(service) {
            return recorder.record(status, requests, latency, luck);
        }
        let mut recorder = Recorder::new(&TRAEFIK);
        recorder.record(status, requests, latency, luck);
        self.services.insert(service.to_owned(), recorder);
    }

    /// What it shows; `None`: it is not scraped now.
    pub(super) fn page(&mut self, is_due: impl Fn(&Labels) -> bool) -> Option<Page> {
        if !is_due(&self.target) {
            return None;
        }
        let width = self.services.values().map(Recorder::width).sum();
        if width != self.width {
            self.columns = self.all_columns().into();
            self.width = width;
        }
        let mut values = Vec::with_capacity(self.columns.len());
        for recorder in self.services.values_mut() {
            recorder.values(&mut self.luck, &mut values);
        }
        Some(Page {
            target: self.target.clone(),
            columns: Arc::clone(&self.columns),
            values: Some(values),
        })
    }

    fn all_columns(&self) -> Vec<Labels> {
        let labels = self
            .target
            .clone()
            .with("method", "GET")
            .with("protocol", "http");
        let columns = self.services.iter().map(|(service, recorder)| {
            let labels = labels.clone().with("service", service);
            recorder.columns(&labels)
        });
        columns.flatten().collect()
    }
}
