//! What answers requests and counts them: Pods, and the proxy in front.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::sim::promql::labels::Labels;
use crate::sim::samples::Page;
use crate::sim::traffic::behaviour::{Behaviour, Latency};
use crate::sim::traffic::families::{self, Family};
use crate::sim::traffic::ledger::Counts;
use crate::sim::traffic::recorder::Recorder;
use crate::sim::traffic::share::Luck;
use crate::sim::traffic::{Pod, Sidecar};

/// A process of a Pod.
#[derive(Debug)]
pub(super) struct Process {
    pod: Pod,
    behaviour: Behaviour,
    /// Failed requests in millionths, half a request more.
    failed: u64,
    luck: Luck,
    own: Counter,
    /// What the proxy in the Pod counts.
    beside: Option<Counter>,
}

/// What one target counts.
#[derive(Debug)]
struct Counter {
    recorder: Recorder,
    target: Labels,
    /// Labels of its series beside those of the target.
    labels: Labels,
    columns: Arc<[Labels]>,
    /// Statuses that the columns are of.
    width: usize,
}

impl Counter {
    fn new(family: &'static Family, target: Labels, labels: Labels) -> Self {
        Self {
            recorder: Recorder::new(family),
            target,
            labels,
            columns: Arc::default(),
            width: 0,
        }
    }

    /// Goes by other labels from now on.
    fn rename(&mut self, target: Labels, labels: Labels) {
        if (&target, &labels) != (&self.target, &self.labels) {
            (self.target, self.labels, self.width) = (target, labels, 0);
        }
    }

    /// What it shows, if it answers; `None`: it is not scraped now.
    fn page(
        &mut self,
        luck: &mut Luck,
        answers: bool,
        is_due: impl Fn(&Labels) -> bool,
    ) -> Option<Page> {
        if !is_due(&self.target) {
            return None;
        }
        if self.width != self.recorder.width() {
            let labels = beside(&self.target, &self.labels);
            self.columns = self.recorder.columns(&labels).into();
            self.width = self.recorder.width();
        }
        let mut values = Vec::with_capacity(self.columns.len());
        self.recorder.values(luck, &mut values);
        Some(Page {
            target: self.target.clone(),
            columns: Arc::clone(&self.columns),
            values: answers.then_some(values),
        })
    }
}

/// Labels of a series beside those of the target that shows it, which keep their names.
fn beside(target: &Labels, series: &Labels) -> Labels {
    let mut all = target.clone();
    for (name, value) in series.iter() {
        all = match target.get(name) {
            "" => all.with(name, value),
            _ => all.with(&format!("exported_{name}"), value),
        };
    }
    all
}

impl Process {
    /// A process that has just begun.
    pub(super) fn new(pod: Pod, luck: Luck) -> Self {
        let shown = Labels::of([("method", "GET"), ("path", "/")]);
        Self {
            own: Counter::new(&families::APPLICATION, target(&pod), shown),
            beside: pod.sidecar.clone().map(Counter::of),
            pod,
            behaviour: Behaviour::default(),
            failed: 500_000,
            luck,
        }
    }

    /// Whether this is the process of a Pod, and not one before.
    pub(super) fn is(&self, pod: &Pod) -> bool {
        self.pod.starts == pod.starts && self.pod.image == pod.image
    }

    /// Something else about the Pod changed.
    pub(super) fn change(&mut self, pod: Pod) {
        self.own.rename(target(&pod), self.own.labels.clone());
        match (&mut self.beside, pod.sidecar.clone()) {
            (Some(counter), Some(sidecar)) => counter.rename(sidecar.target, sidecar.labels),
            (counter, sidecar) => *counter = sidecar.map(Counter::of),
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
            for counter in std::iter::once(&mut self.own).chain(&mut self.beside) {
                let recorder = &mut counter.recorder;
                recorder.record(status, requests, latency, &mut self.luck);
            }
            tell(status, requests, latency);
        }
        Some(Counts {
            answered: requests,
            errors,
            ..Counts::default()
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

    /// What it shows, and what the proxy beside it does; nothing, if it is not scraped, or not now.
    pub(super) fn pages(&mut self, is_due: impl Fn(&Labels) -> bool) -> Vec<Page> {
        let answers = self.pod.answers;
        let own = Some(&mut self.own).filter(|_| self.pod.job.is_some());
        let counters = own.into_iter().chain(&mut self.beside);
        counters
            .filter_map(|counter| counter.page(&mut self.luck, answers, &is_due))
            .collect()
    }

    /// Address of the Pod, without a port.
    pub(super) fn node(&self) -> &str {
        let address = &self.pod.address;
        address.rsplit_once(':').map_or(address, |(node, _)| node)
    }
}

impl Counter {
    fn of(sidecar: Sidecar) -> Self {
        Self::new(sidecar.family, sidecar.target, sidecar.labels)
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

/// A proxy, which counts by what it routes to.
#[derive(Debug)]
pub(super) struct Proxy {
    family: &'static Family,
    target: Labels,
    luck: Luck,
    backends: BTreeMap<Labels, Recorder>,
    columns: Arc<[Labels]>,
    /// Backends and statuses that the columns are of.
    width: usize,
}

impl Proxy {
    /// A proxy that has counted nothing.
    pub(super) fn new(family: &'static Family, target: Labels, luck: Luck) -> Self {
        Self {
            family,
            target,
            luck,
            backends: BTreeMap::new(),
            columns: Arc::default(),
            width: 0,
        }
    }

    /// Counts requests to a backend, which the Pod at an address answered.
    pub(super) fn record(
        &mut self,
        backend: &Labels,
        node: &str,
        status: u16,
        (requests, latency): (u64, Latency),
    ) {
        let luck = &mut self.luck;
        let named = self
            .family
            .node
            .map(|label| backend.clone().with(label, node));
        let backend = named.as_ref().unwrap_or(backend);
        if let Some(recorder) = self.backends.get_mut(backend) {
            return recorder.record(status, requests, latency, luck);
        }
        let mut recorder = Recorder::new(self.family);
        recorder.record(status, requests, latency, luck);
        self.backends.insert(backend.clone(), recorder);
    }

    /// What it shows; `None`: it is not scraped now.
    pub(super) fn page(&mut self, is_due: impl Fn(&Labels) -> bool) -> Option<Page> {
        if !is_due(&self.target) {
            return None;
        }
        let width = self.backends.values().map(Recorder::width).sum();
        if width != self.width {
            self.columns = self.all_columns().into();
            self.width = width;
        }
        let mut values = Vec::with_capacity(self.columns.len());
        for recorder in self.backends.values_mut() {
            recorder.values(&mut self.luck, &mut values);
        }
        Some(Page {
            target: self.target.clone(),
            columns: Arc::clone(&self.columns),
            values: Some(values),
        })
    }

    fn all_columns(&self) -> Vec<Labels> {
        let columns = self.backends.iter().map(|(backend, recorder)| {
            let labels = beside(&self.target, backend);
            recorder.columns(&labels)
        });
        columns.flatten().collect()
    }
}
