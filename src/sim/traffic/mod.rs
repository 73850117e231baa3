//! Traffic: users who send requests, Pods that answer them, and what both come to. Requests are counted by slices of time, in
//! which nothing changes, never one by one; every count is a whole number.

pub mod behaviour;
pub mod families;
pub mod ledger;
mod process;
pub mod rate;
mod recorder;
pub mod route;
mod share;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::sim::promql::labels::Labels;
use crate::sim::samples::Page;
use crate::sim::seed::Seed;
use crate::sim::traffic::behaviour::{Behaviour, Latency};
use crate::sim::traffic::families::Family;
use crate::sim::traffic::ledger::{Counts, Ledger};
use crate::sim::traffic::process::{Process, Proxy};
use crate::sim::traffic::rate::Rate;
use crate::sim::traffic::share::{Luck, Shares};

/// Names a thing in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Name {
    /// A name.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// How requests fall to versions and Pods, and which of them fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// As evenly as whole numbers can: 5 % are 5 of every 100.
    Even,
    /// By chance, from the seed: arrivals, choices, errors and latencies.
    Drawn,
}

/// A process that may answer, as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// The Pod.
    pub name: Name,
    /// Address and port, as Prometheus has them in `instance`.
    pub address: String,
    /// The job that scrapes it, if any.
    pub job: Option<String>,
    /// Image of its container.
    pub image: String,
    /// Version, under which its requests are counted.
    pub version: String,
    /// How often its process began; counters begin at zero each time.
    pub starts: u64,
    /// It answers whoever asks, ready or not.
    pub answers: bool,
    /// How it answers by its image and environment, unless a scenario says otherwise.
    pub replies: Behaviour,
    /// The proxy in the Pod, if it counts.
    pub sidecar: Option<Sidecar>,
}

/// A proxy in a Pod, which counts what comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// How it shows that.
    pub family: &'static Family,
    /// Labels of the target that is scraped.
    pub target: Labels,
    /// Labels of its series beside those.
    pub labels: Labels,
}

/// Where some of the requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// Weight beside other branches; of copies so many percent.
    pub weight: u32,
    /// The Pods that take turns; none: requests are lost.
    pub pods: Vec<Name>,
    /// Labels under which the proxy counts; none: nobody does.
    pub counted: Labels,
    /// It gets copies of requests, whose answers nobody waits for.
    pub copies: bool,
}

/// How long a proxy takes to say that nobody answers.
const REFUSAL: Latency = Latency {
    median: Duration::from_millis(1),
    p99: Duration::from_millis(2),
    delayed: 0.0,
    delay: Duration::ZERO,
};

/// The users of all applications, and the Pods that answer them.
#[derive(Debug)]
pub struct Traffic {
    seed: Seed,
    chance: Chance,
    now: Timestamp,
    flows: BTreeMap<Name, Flow>,
    /// Places of Pods in the table, for ever.
    places: BTreeMap<Name, usize>,
    processes: Vec<Option<Process>>,
    proxy: Option<Proxy>,
}

/// The requests of one application.
#[derive(Debug)]
struct Flow {
    rate: Rate,
    since: Timestamp,
    luck: Luck,
    branches: Vec<Branch>,
    shares: Shares,
    turns: Vec<Turns>,
    ledger: Ledger,
}

/// How requests fall in one branch.
#[derive(Debug)]
struct Turns {
    /// The places of its Pods.
    places: Vec<usize>,
    /// How they take turns.
    pods: Shares,
    /// How many requests are copied, and how many are not.
    copies: Option<Shares>,
}

impl Traffic {
    /// No traffic yet.
    #[must_use]
    pub fn new(seed: u64, chance: Chance, now: Timestamp) -> Self {
        Self {
            seed: Seed::new(seed),
            chance,
            now,
            flows: BTreeMap::new(),
            places: BTreeMap::new(),
            processes: Vec::new(),
            proxy: None,
        }
    }

    /// Everything up to this time is counted.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A proxy counts the requests of branches with labels, and is scraped as a target.
    pub fn count_in_proxy(&mut self, family: &'static Family, target: Labels) {
        let luck = self.luck("proxy");
        self.proxy = Some(Proxy::new(family, target, luck));
    }

    /// Users of an application come, or change their mind about how much they ask.
    pub fn send(&mut self, application: &Name, rate: Rate) {
        let luck = self.luck(&application.to_string());
        let since = self.now;
        let flow = self
            .flows
            .entry(application.clone())
            .or_insert_with(|| Flow {
                rate: Rate::Quiet,
                since,
                luck,
                branches: Vec::new(),
                shares: Shares::default(),
                turns: Vec::new(),
                ledger: Ledger::default(),
            });
        (flow.rate, flow.since) = (rate, since);
        flow.ledger.mark(since);
    }

    /// Remembers so many moments of every application that there is, so that memory does not grow with time.
    pub fn remember(&mut self, moments: usize) {
        for flow in self.flows.values_mut() {
            flow.ledger.remember(moments);
        }
    }

    fn luck(&self, name: &str) -> Luck {
        match self.chance {
            Chance::Even => Luck::Even,
            Chance::Drawn => Luck::Drawn(self.seed.fork(name)),
        }
    }

    /// A Pod is there, or changed.
    pub fn pod(&mut self, pod: Pod) {
        let place = self.place(&pod.name);
        let luck = self.luck(&format!("{} {}", pod.name, pod.starts));
        if let Some(slot) = self.processes.get_mut(place) {
            match slot {
                Some(process) if process.is(&pod) => process.change(pod),
                _ => *slot = Some(Process::new(pod, luck)),
            }
        }
    }

    /// A Pod is gone, with its counters.
    pub fn pod_gone(&mut self, name: &Name) {
        let place = self.place(name);
        if let Some(slot) = self.processes.get_mut(place) {
            *slot = None;
        }
    }

    fn place(&mut self, name: &Name) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.processes.push(None);
        let place = self.processes.len() - 1;
        self.places.insert(name.clone(), place);
        place
    }

    /// From now on the requests of an application go this way; no branch: they are lost.
    pub fn route(&mut self, application: &Name, branches: Vec<Branch>) {
        let known = self.flows.get(application);
        if known.is_none_or(|flow| flow.branches == branches) {
            return;
        }
        let turns = branches.iter().map(|branch| {
            let places = branch.pods.iter().map(|pod| self.place(pod));
            let places: Vec<_> = places.collect();
            let percent = branch.weight.min(100);
            let copies = branch.copies.then(|| Shares::new([percent, 100 - percent]));
            Turns {
                pods: Shares::new(places.iter().map(|_| 1)),
                places,
                copies,
            }
        });
        let turns = turns.collect();
        if let Some(flow) = self.flows.get_mut(application) {
            let share = |branch: &Branch| if branch.copies { 0 } else { branch.weight };
            flow.shares = Shares::new(branches.iter().map(share));
            (flow.branches, flow.turns) = (branches, turns);
        }
    }

    /// Counts the requests up to a time, with the ways and Pods as they are; how each Pod answers is asked once.
    pub fn advance(&mut self, to: Timestamp, behaviour: &dyn Fn(&Pod, Timestamp) -> Behaviour) {
        if to <= self.now {
            return;
        }
        for process in self.processes.iter_mut().flatten() {
            process.behave(behaviour, self.now);
        }
        for flow in self.flows.values_mut() {
            let requests = flow.arrivals(self.now, to);
            if requests > 0 {
                flow.spread(requests, &mut self.processes, &mut self.proxy);
            }
            flow.ledger.mark(to);
        }
        self.now = to;
    }

    /// What all targets show that are due.
    pub fn pages(&mut self, is_due: impl Fn(&Labels) -> bool) -> Vec<Page> {
        let processes = self.processes.iter_mut().flatten();
        let mut pages: Vec<_> = processes
            .flat_map(|process| process.pages(&is_due))
            .collect();
        pages.extend(self.proxy.as_mut().and_then(|proxy| proxy.page(&is_due)));
        pages
    }

    /// What became of the requests of an application; `None`: it has no users.
    #[must_use]
    pub fn ledger(&self, application: &Name) -> Option<&Ledger> {
        self.flows.get(application).map(|flow| &flow.ledger)
    }

    /// Requests of all applications that nobody answered.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.flows.values().map(|flow| flow.ledger.lost()).sum()
    }
}

impl Flow {
    /// Requests that users send between two times.
    fn arrivals(&mut self, from: Timestamp, to: Timestamp) -> u64 {
        let total = |time: Timestamp| {
            let time = time.duration_since(self.since);
            self.rate.total(time.try_into().unwrap_or_default())
        };
        let (before, after) = (total(from), total(to));
        match &mut self.luck {
            // What is a whole number but for the rounding of fractions is one.
            Luck::Even => ((after + 1e-6).floor() - (before + 1e-6).floor()) as u64,
            Luck::Drawn(seed) => seed.arrivals(after - before),
        }
    }

    fn spread(
        &mut self,
        requests: u64,
        processes: &mut [Option<Process>],
        proxy: &mut Option<Proxy>,
    ) {
        if self.shares.is_empty() {
            self.ledger.add("", lost(requests));
            return;
        }
        let given = self.shares.split(requests, &mut self.luck).to_vec();
        let branches = self.branches.iter().zip(&mut self.turns).zip(given);
        for ((branch, turns), given) in branches {
            let given = match &mut turns.copies {
                Some(copies) => copies.split(requests, &mut self.luck).first().copied(),
                None => Some(given),
            };
            let given = given.unwrap_or_default();
            if given == 0 {
                continue;
            }
            let parts = turns.answer(branch, given, &mut self.luck, (processes, proxy));
            for (version, counts) in parts {
                let counts = if branch.copies {
                    copied(counts)
                } else {
                    counts
                };
                self.ledger.add(&version, counts);
            }
        }
    }
}

impl Turns {
    /// The Pods answer the requests of their branch: what became of them, by version.
    fn answer(
        &mut self,
        branch: &Branch,
        requests: u64,
        luck: &mut Luck,
        (processes, proxy): (&mut [Option<Process>], &mut Option<Proxy>),
    ) -> Vec<(String, Counts)> {
        let is_counted = branch.counted != Labels::default();
        let mut proxy = proxy.as_mut().filter(|_| is_counted);
        let mut tell = |node: &str, status, requests, latency| {
            if let Some(proxy) = &mut proxy {
                proxy.record(&branch.counted, node, status, (requests, latency));
            }
        };
        if self.places.is_empty() {
            tell("", 503, requests, REFUSAL);
            return vec![(String::new(), lost(requests))];
        }
        let given = self.pods.split(requests, luck);
        let places = self.places.iter().zip(given.iter().copied());
        let answered = places.map(|(place, requests)| {
            let Some(process) = processes.get_mut(*place).and_then(Option::as_mut) else {
                tell("", 502, requests, REFUSAL);
                return (String::new(), lost(requests));
            };
            let (version, node) = (process.version().to_owned(), process.node().to_owned());
            let mut told = |status, requests, latency| tell(&node, status, requests, latency);
            let counts = process.answer(requests, &mut told);
            let counts = counts.unwrap_or_else(|| {
                told(502, requests, REFUSAL);
                lost(requests)
            });
            (version, counts)
        });
        answered.collect()
    }
}

/// Counts of copies: nobody misses one that is lost.
fn copied(counts: Counts) -> Counts {
    Counts {
        copied: counts.answered,
        ..Counts::default()
    }
}

fn lost(requests: u64) -> Counts {
    Counts {
        lost: requests,
        ..Counts::default()
    }
}
