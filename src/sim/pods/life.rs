//! The containers of one Pod, from the first pull to the last exit.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::sim::api::{Api, Part, Who};
use crate::sim::behaviour::{Behaviour, Behaviours, is_app};
use crate::sim::field::{after, after_ms, count, list, text};
use crate::sim::pods::config::missing_for;
use crate::sim::pods::probe::{Watch, age, answers, at_age, changes};
use crate::sim::report::{Said, report};
use crate::sim::store::Key;

/// Milliseconds that a pull takes.
const PULL: i64 = 400;
/// Seconds for which a failed pull is told before the kubelet says that it backs off.
const PULL_FAILED: i64 = 2;
/// Seconds after which a container is made again whose configuration is missing.
const CONFIG_RETRY: i64 = 10;
/// First and longest back-off, in seconds; it is forgotten after a run of twice the longest.
const BACK_OFF: (i64, i64) = (10, 300);
/// Seconds until the kubelet notices that a container ended.
const NOTICED: i64 = 1;
/// How long an init container takes that is not told.
const INIT: Duration = Duration::from_millis(500);
/// Exit code of what was killed.
const KILLED: i64 = 137;

/// What the kubelet looks at.
pub(super) struct Scene<'a> {
    pub(super) api: &'a Api,
    pub(super) who: &'a Who,
    pub(super) behaviours: &'a Behaviours,
    pub(super) key: &'a Key,
    pub(super) pod: &'a Value,
}

impl Scene<'_> {
    pub(super) fn report(&self, said: Said<'_>) {
        report(self.api, self.who, ("v1", "Pod"), self.pod, said);
    }

    /// Writes the status, if it changed.
    pub(super) fn write(&self, status: Value) {
        if self.pod.get("status") != Some(&status) {
            let written = self.api.update(self.who, self.key, Part::Status, |pod| {
                pod["status"] = status;
            });
            drop(written);
        }
    }

    fn does(&self, run: &Run, container: &Value) -> Behaviour {
        let mut does = self
            .behaviours
            .of(&self.key.namespace, container, self.api.now());
        if run.is_step() && does.ends_after.is_none() && !is_app(text(container, "/image")) {
            does.ends_after = Some(INIT);
            does.exit_code = 0;
        }
        does
    }
}

/// How a container ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) code: i64,
    pub(super) since: Timestamp,
    pub(super) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// It waits, and is tried again.
    Waiting {
        reason: &'static str,
        message: String,
        until: Timestamp,
    },
    Running {
        since: Timestamp,
    },
    Ended(Ended),
}

/// One container.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) name: String,
    /// It comes before the others.
    pub(super) init: bool,
    /// It comes before the others and stays.
    pub(super) sidecar: bool,
    pub(super) state: State,
    pub(super) last: Option<Ended>,
    pub(super) restarts: i64,
    back_off: i64,
    pulls: u32,
    pub(super) started: bool,
    pub(super) ready: bool,
    watches: [Watch; 3],
}

/// The probes, in the order of `Run::watches`.
const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

/// The containers of one Pod.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) address: String,
    pub(super) begun: Timestamp,
    pub(super) runs: Vec<Run>,
    ends: Option<Timestamp>,
    powerless: bool,
}

impl Life {
    /// Of a Pod whose containers can start from a moment on.
    pub(super) fn new(pod: &Value, address: String, from: Timestamp, now: Timestamp) -> Self {
        let waits = if list(pod, "/spec/initContainers").is_empty() {
            "ContainerCreating"
        } else {
            "PodInitializing"
        };
        let of = |pointer, init| {
            let containers = list(pod, pointer).iter();
            containers.map(move |container| Run::new(container, init, waits, from))
        };
        let runs = of("/spec/initContainers", true).chain(of("/spec/containers", false));
        Self {
            address,
            begun: now,
            runs: runs.collect(),
            ends: None,
            powerless: false,
        }
    }

    /// The machine has no power: when it boots again the containers are started anew.
    pub(super) fn lose_power(&mut self, now: Timestamp) {
        if !self.powerless {
            self.powerless = true;
            self.stop(now);
        }
    }

    /// Brings all containers up to now; says when to look again.
    pub(super) fn advance(&mut self, scene: &Scene<'_>) -> Option<Timestamp> {
        self.powerless = false;
        let mut due: Option<Timestamp> = None;
        for run in &mut self.runs {
            due = due.into_iter().chain(run.advance(scene)).min();
            if run.init && !run.is_passed() {
                break;
            }
        }
        due
    }

    /// Whether everything that comes before the containers is done.
    pub(super) fn is_initialized(&self) -> bool {
        self.runs.iter().filter(|run| run.init).all(Run::is_passed)
    }

    /// Tells the containers to end; says when they have.
    pub(super) fn end(&mut self, scene: &Scene<'_>, grace: i64) -> Timestamp {
        if let Some(ends) = self.ends {
            return ends;
        }
        let now = scene.api.now();
        let drains = self.runs.iter().filter_map(|run| run.drain(scene));
        let longest = drains.max().unwrap_or_default();
        let ends = at_age(now, longest).min(after(now, grace));
        for run in self
            .runs
            .iter()
            .filter(|run| matches!(run.state, State::Running { .. }))
        {
            let message = format!("Stopping container {}", run.name);
            scene.report(Said::normal("Killing", &message));
        }
        self.ends = Some(ends);
        ends
    }

    /// Whatever runs has ended.
    pub(super) fn stop(&mut self, now: Timestamp) {
        for run in &mut self.runs {
            if let State::Running { since } = run.state {
                run.end(0, since, now);
            }
        }
    }
}

impl Run {
    fn new(container: &Value, init: bool, waits: &'static str, from: Timestamp) -> Self {
        Self {
            name: text(container, "/name").to_owned(),
            init,
            sidecar: init && text(container, "/restartPolicy") == "Always",
            state: State::Waiting {
                reason: waits,
                message: String::new(),
                until: after_ms(from, PULL),
            },
            last: None,
            restarts: 0,
            back_off: 0,
            pulls: 0,
            started: false,
            ready: false,
            watches: [Watch::new(from, false); 3],
        }
    }

    /// Whether it has to end before the next one starts.
    fn is_step(&self) -> bool {
        self.init && !self.sidecar
    }

    /// Whether the next one may start.
    fn is_passed(&self) -> bool {
        match &self.state {
            State::Ended(ended) => self.is_step() && ended.code == 0,
            _ => self.sidecar && self.started,
        }
    }

    /// Brings the container up to now; says when to look again.
    fn advance(&mut self, scene: &Scene<'_>) -> Option<Timestamp> {
        let containers = if self.init {
            "/spec/initContainers"
        } else {
            "/spec/containers"
        };
        let container = list(scene.pod, containers)
            .iter()
            .find(|container| text(container, "/name") == self.name)?;
        let now = scene.api.now();
        for _ in 0..8 {
            let due = match self.state.clone() {
                State::Waiting { until, .. } if until > now => Some(until),
                State::Waiting { reason, .. } => {
                    self.start(scene, container, reason);
                    Some(now)
                }
                State::Running { since } => self.watch(scene, container, since),
                State::Ended(ended) => self.restart(scene, &ended),
            };
            if due.is_none_or(|due| due > now) {
                return due;
            }
        }
        Some(after(now, 1))
    }

    fn wait(&mut self, reason: &'static str, message: String, until: Timestamp) {
        self.state = State::Waiting {
            reason,
            message,
            until,
        };
    }

    /// Pulls the image and starts the container, or says why not.
    fn start(&mut self, scene: &Scene<'_>, container: &Value, was: &str) {
        let now = scene.api.now();
        let image = text(container, "/image");
        let does = scene.does(self, container);
        if !does.exists {
            self.fail_to_pull(scene, image, was);
            return;
        }
        if let Some(missing) = missing_for(scene.api, &scene.key.namespace, container) {
            scene.report(Said::warning("Failed", &format!("Error: {missing}")));
            self.wait(
                "CreateContainerConfigError",
                missing,
                after(now, CONFIG_RETRY),
            );
            return;
        }
        if was == "CrashLoopBackOff" {
            self.restarts += 1;
        }
        for (reason, message) in [
            (
                "Pulled",
                format!("Container image {image:?} already present on machine"),
            ),
            ("Created", format!("Container created: {}", self.name)),
            ("Started", format!("Container started: {}", self.name)),
        ] {
            scene.report(Said::normal(reason, &message));
        }
        self.run(container, now);
    }

    fn run(&mut self, container: &Value, now: Timestamp) {
        self.pulls = 0;
        self.state = State::Running { since: now };
        self.started = container.get(PROBES[0]).is_none();
        self.ready = false;
        self.watches = [false, true, false].map(|holds| Watch::new(now, holds));
    }

    fn fail_to_pull(&mut self, scene: &Scene<'_>, image: &str, was: &str) {
        let now = scene.api.now();
        if was == "ErrImagePull" {
            let message = format!("Back-off pulling image {image:?}: ErrImagePull");
            scene.report(Said::normal("BackOff", &message));
            let wait = BACK_OFF.0 << (self.pulls - 1).min(5);
            self.wait(
                "ImagePullBackOff",
                message,
                after(now, wait.min(BACK_OFF.1)),
            );
            return;
        }
        self.pulls += 1;
        let message = format!("failed to pull and unpack image {image:?}: {image}: not found");
        scene.report(Said::warning(
            "Failed",
            &format!("Failed to pull image {image:?}: {message}"),
        ));
        self.wait("ErrImagePull", message, after(now, PULL_FAILED));
    }

    fn end(&mut self, code: i64, since: Timestamp, at: Timestamp) {
        self.started = false;
        self.ready = false;
        self.state = State::Ended(Ended { code, since, at });
    }

    /// Starts a container again that ended, if it has to be: the first time at once, then after a growing time.
    fn restart(&mut self, scene: &Scene<'_>, ended: &Ended) -> Option<Timestamp> {
        let policy = text(scene.pod, "/spec/restartPolicy");
        let again = match policy {
            _ if self.sidecar => true,
            "Never" => false,
            _ if self.is_step() || policy == "OnFailure" => ended.code != 0,
            _ => true,
        };
        let noticed = after(ended.at, NOTICED);
        if !again || noticed > scene.api.now() {
            return again.then_some(noticed);
        }
        self.last = Some(ended.clone());
        if age(ended.since, ended.at) > Duration::from_secs(2 * BACK_OFF.1 as u64) {
            self.back_off = 0;
        }
        if self.back_off == 0 {
            self.back_off = BACK_OFF.0;
            self.wait("CrashLoopBackOff", String::new(), noticed);
            return Some(noticed);
        }
        let uid = text(scene.pod, "/metadata/uid");
        let (name, namespace) = (&scene.key.name, &scene.key.namespace);
        let message = format!(
            "back-off {} restarting failed container={} pod={name}_{namespace}({uid})",
            spoken(self.back_off),
            self.name
        );
        let said = format!(
            "Back-off restarting failed container {} in pod {name}_{namespace}({uid})",
            self.name
        );
        scene.report(Said::warning("BackOff", &said));
        let until = after(ended.at, self.back_off);
        self.back_off = (self.back_off * 2).min(BACK_OFF.1);
        self.wait("CrashLoopBackOff", message, until);
        Some(until)
    }

    /// Looks at what a running container does, and at its probes.
    fn watch(
        &mut self,
        scene: &Scene<'_>,
        container: &Value,
        since: Timestamp,
    ) -> Option<Timestamp> {
        let now = scene.api.now();
        let does = scene.does(self, container);
        let ends = does.ends_after.map(|age| at_age(since, age));
        if ends.is_some_and(|ends| ends <= now) {
            self.end(does.exit_code, since, now);
            return Some(now);
        }
        let probed = self.probe(scene, container, &does, since);
        let changes = changes(&does).map(|age| at_age(since, age));
        changes
            .chain(ends)
            .chain(probed)
            .filter(|time| *time > now)
            .min()
    }

    fn probe(
        &mut self,
        scene: &Scene<'_>,
        container: &Value,
        does: &Behaviour,
        since: Timestamp,
    ) -> Option<Timestamp> {
        let now = scene.api.now();
        let mut due: Option<Timestamp> = None;
        for (at, name) in PROBES.into_iter().enumerate() {
            if at > 0 && !self.started {
                break;
            }
            let Some(probe) = container.get(name) else {
                continue;
            };
            if at == 0 && self.started {
                continue;
            }
            let answer = answers(container, probe, does, age(since, now));
            let verdict = self.watches[at].look(probe, answer, now);
            if verdict.fails {
                self.say_unhealthy(scene, name, does, age(since, now));
            }
            due = due.into_iter().chain(verdict.due).min();
            if verdict.has_failed && at < 2 {
                self.kill(scene, name, since);
                return Some(now);
            }
            if at == 0 && self.watches[0].holds {
                self.started = true;
                self.watches[1] = Watch::new(now, true);
                self.watches[2] = Watch::new(now, false);
            }
        }
        let unprobed = container.get(PROBES[2]).is_none();
        self.ready = self.started && (unprobed || self.watches[2].holds);
        due
    }

    fn kill(&mut self, scene: &Scene<'_>, probe: &str, since: Timestamp) {
        let probe = probe.trim_end_matches("Probe");
        let message = format!(
            "Container {} failed {probe} probe, will be restarted",
            self.name
        );
        scene.report(Said::normal("Killing", &message));
        self.end(KILLED, since, scene.api.now());
    }

    fn say_unhealthy(&self, scene: &Scene<'_>, probe: &str, does: &Behaviour, age: Duration) {
        let why = if age < does.start {
            "dial tcp: connect: connection refused"
        } else {
            "HTTP probe failed with statuscode: 503"
        };
        let probe = probe.trim_end_matches("Probe");
        let (first, rest) = probe.split_at(1);
        let message = format!("{}{rest} probe failed: {why}", first.to_uppercase());
        scene.report(Said::warning("Unhealthy", &message));
    }

    /// How long it goes on after it was told to end; none if it does not run.
    fn drain(&self, scene: &Scene<'_>) -> Option<Duration> {
        let State::Running { since } = self.state else {
            return None;
        };
        let mut containers = list(scene.pod, "/spec/containers")
            .iter()
            .chain(list(scene.pod, "/spec/initContainers"));
        let container = containers.find(|container| text(container, "/name") == self.name)?;
        let does = scene.does(self, container);
        let waits = count(container, "/lifecycle/preStop/sleep/seconds");
        let waits = Duration::from_secs(u64::try_from(waits).unwrap_or(0));
        let listens = age(since, scene.api.now()) >= does.start;
        Some(if listens { waits + does.drain } else { waits })
    }
}

/// `10s`, `1m20s`, as Go prints durations.
fn spoken(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
