//! What the application in a container does, as its image tag and environment say it: the same words as in `examples/app.rs`.
//! A scenario may say something else from a moment on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::sim::field::{list, text};
use crate::sim::traffic::behaviour::Behaviour as Replies;

/// The variables that may be set, with the behaviour that each one sets.
const VARIABLES: [(&str, &str); 9] = [
    ("APP_VERSION", "version"),
    ("APP_ERRORS", "errors"),
    ("APP_LATENCY", "latency"),
    ("APP_START", "start"),
    ("APP_READY", "ready"),
    ("APP_UNREADY", "unready"),
    ("APP_CRASH", "crash"),
    ("APP_DRAIN", "drain"),
    ("APP_JOBS", "jobs"),
];

/// Exit code of a program that does not know what it was told.
const WRONG_USAGE: i64 = 2;

/// What an application does.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// The version that it serves.
    pub version: String,
    /// The image is there. Without it the container never starts.
    pub exists: bool,
    /// How it answers.
    pub replies: Replies,
    /// It does not listen for so long.
    pub start: Duration,
    /// `/readyz` says yes.
    pub ready: bool,
    /// `/readyz` says no from this age on.
    pub unready_after: Option<Duration>,
    /// The container ends at this age, by itself.
    pub ends_after: Option<Duration>,
    /// With this code.
    pub exit_code: i64,
    /// It goes on answering for so long after it was told to end.
    pub drain: Duration,
    /// Jobs of a worker in a second.
    pub jobs: f64,
}

impl Behaviour {
    /// A version that does nothing wrong.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            exists: true,
            replies: Replies::default(),
            start: Duration::ZERO,
            ready: true,
            unready_after: None,
            ends_after: None,
            exit_code: 1,
            drain: Duration::from_secs(2),
            jobs: 10.0,
        }
    }

    /// What a container of a Pod does. Words that are not known end a container of the image `app` at once, as they end that
    /// program; other images mean nothing by them. A tag with `-missing` names an image that does not exist.
    #[must_use]
    pub fn of(container: &Value) -> Self {
        let image = text(container, "/image");
        let tag = tag_of(image);
        let mut behaviour = Self::new(tag.split('-').next().unwrap_or_default());
        let result = behaviour.read(tag, list(container, "/env"));
        behaviour.exists = !tag.split('-').any(|part| part == "missing");
        if let Some(code) = exit_code(container) {
            behaviour.end_at_once(code);
        } else if result.is_none() && is_app(image) {
            behaviour.end_at_once(WRONG_USAGE);
        } else if result.is_none() {
            return Self::new(tag);
        }
        behaviour
    }

    fn end_at_once(&mut self, code: i64) {
        self.ends_after = Some(Duration::ZERO);
        self.exit_code = code;
    }

    fn read(&mut self, tag: &str, env: &[Value]) -> Option<()> {
        for suffix in tag.split('-').skip(1) {
            let end = suffix.find(|letter: char| !letter.is_ascii_lowercase());
            match suffix.split_at(end.unwrap_or(suffix.len())) {
                ("notready", "") => self.ready = false,
                ("missing", "") => {}
                ("version" | "ready", _) => return None,
                (name, value) => self.set(name, value)?,
            }
        }
        for (variable, name) in VARIABLES {
            let value = env.iter().find(|item| text(item, "/name") == variable);
            let value = value.map_or("", |item| text(item, "/value"));
            if !value.is_empty() {
                self.set(name, value)?;
            }
        }
        Some(())
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "version" => value.clone_into(&mut self.version),
            "errors" => self.replies.error_rate = number(value, 100.0)? / 100.0,
            "latency" => {
                let (milliseconds, percent) = value.split_once('p').unwrap_or((value, "100"));
                self.replies.latency.delay = seconds(milliseconds)? / 1000;
                self.replies.latency.delayed = number(percent, 100.0)? / 100.0;
            }
            "start" => self.start = seconds(value)?,
            "ready" => self.ready = value.parse().ok()?,
            "unready" => self.unready_after = Some(seconds(value)?),
            "crash" if value.is_empty() => self.ends_after = Some(Duration::ZERO),
            "crash" => self.ends_after = Some(seconds(value)?),
            "drain" => self.drain = seconds(value)?,
            "jobs" => self.jobs = number(value, 1000.0)?,
            _ => return None,
        }
        Some(())
    }
}

/// The tag in `registry:5000/repository:tag@sha256:...`; empty if there is none.
fn tag_of(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or("", |(_, tag)| tag)
}

/// Whether an image is the application of the tests, which serves until it is told to end.
#[must_use]
pub fn is_app(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next() == Some("app")
}

/// The code in a command or arguments that say `exit 3`.
fn exit_code(container: &Value) -> Option<i64> {
    let parts = list(container, "/command")
        .iter()
        .chain(list(container, "/args"));
    let words: Vec<_> = parts
        .filter_map(Value::as_str)
        .flat_map(str::split_whitespace)
        .collect();
    let at = words.iter().position(|word| *word == "exit")?;
    words.get(at + 1)?.parse().ok()
}

fn seconds(value: &str) -> Option<Duration> {
    number(value, 86_400.0).map(Duration::from_secs_f64)
}

fn number(value: &str, most: f64) -> Option<f64> {
    let number = value.parse().ok()?;
    (0.0..=most).contains(&number).then_some(number)
}

/// What the applications of a cluster do: what their images say, unless a scenario says otherwise. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Behaviours {
    said: Arc<Mutex<Said>>,
}

/// From which moment on what is done.
type Moments = BTreeMap<Timestamp, Option<Behaviour>>;

#[derive(Debug, Default)]
struct Said {
    /// By namespace and image, from which moment on what is done.
    said: BTreeMap<String, BTreeMap<String, Moments>>,
    version: u64,
}

impl Behaviours {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From a moment on, containers of this image do this; `None` is what the image says.
    pub fn say(&self, namespace: &str, image: &str, from: Timestamp, does: Option<Behaviour>) {
        let mut said = self.said();
        said.version += 1;
        let of_namespace = said.said.entry(namespace.to_owned()).or_default();
        let of_image = of_namespace.entry(image.to_owned()).or_default();
        of_image.insert(from, does);
    }

    /// What a container does now.
    #[must_use]
    pub fn of(&self, namespace: &str, container: &Value, now: Timestamp) -> Behaviour {
        let image = text(container, "/image");
        let does = self.told(namespace, image, now, Behaviour::clone);
        does.unwrap_or_else(|| Behaviour::of(container))
    }

    /// How containers of an image answer now, if a scenario says so.
    #[must_use]
    pub fn replies(&self, namespace: &str, image: &str, now: Timestamp) -> Option<Replies> {
        self.told(namespace, image, now, |does| does.replies)
    }

    fn told<T>(
        &self,
        namespace: &str,
        image: &str,
        now: Timestamp,
        read: impl Fn(&Behaviour) -> T,
    ) -> Option<T> {
        let said = self.said();
        let of_image = said.said.get(namespace)?.get(image)?;
        let (_, does) = of_image.range(..=now).next_back()?;
        does.as_ref().map(read)
    }

    /// When something else is done next, anywhere.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let said = self.said();
        let images = said.said.values().flat_map(BTreeMap::values);
        let times = images.flat_map(BTreeMap::keys);
        times.filter(|time| **time > now).min().copied()
    }

    /// Grows with every `say`.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.said().version
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(image: &str) -> Behaviour {
        Behaviour::of(&json!({"image": image}))
    }

    #[track_caller]
    fn check(image: &str, change: impl FnOnce(&mut Behaviour)) {
        let mut expected = Behaviour::new("2.0.0");
        change(&mut expected);
        assert_eq!(of(image), expected, "{image}");
    }

    #[test]
    fn the_tag_says_what_to_do() {
        let seconds = Duration::from_secs;
        check("app:2.0.0", |_| ());
        check("registry:5000/team/app:2.0.0@sha256:ab", |_| ());
        check("app:2.0.0-errors0.5", |b| b.replies.error_rate = 0.005);
        check("app:2.0.0-latency300p2-errors1", |b| {
            b.replies.error_rate = 0.01;
            b.replies.latency.delay = Duration::from_millis(300);
            b.replies.latency.delayed = 0.02;
        });
        check("app:2.0.0-latency300-crash20", |b| {
            b.replies.latency.delay = Duration::from_millis(300);
            b.replies.latency.delayed = 1.0;
            b.ends_after = Some(seconds(20));
        });
        check("app:2.0.0-start10", |b| b.start = seconds(10));
        check("app:2.0.0-notready", |b| b.ready = false);
        check("app:2.0.0-unready30", |b| {
            b.unready_after = Some(seconds(30))
        });
        check("app:2.0.0-crash", |b| b.ends_after = Some(seconds(0)));
        check("app:2.0.0-crash20", |b| b.ends_after = Some(seconds(20)));
        check("app:2.0.0-drain5", |b| b.drain = seconds(5));
        check("app:2.0.0-missing", |b| b.exists = false);
        check("app:2.0.0-oops", |b| {
            (b.ends_after, b.exit_code) = (Some(seconds(0)), WRONG_USAGE);
        });
        assert_eq!(of("nginx:1.25-alpine"), Behaviour::new("1.25-alpine"));
        assert_eq!(of("nginx"), Behaviour::new(""));
    }

    #[test]
    fn a_variable_wins_and_a_command_may_exit() {
        let env =
            json!([{"name": "APP_VERSION", "value": "3"}, {"name": "APP_ERRORS", "value": ""}]);
        let container = json!({"image": "app:2.0.0-errors5", "env": env, "args": ["exit", "3"]});
        let mut expected = Behaviour::new("3");
        expected.replies.error_rate = 0.05;
        expected.end_at_once(3);
        assert_eq!(Behaviour::of(&container), expected);
    }

    #[test]
    fn a_scenario_says_otherwise_from_a_moment_on() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let all = Behaviours::default();
        let container = json!({"image": "app:2"});
        let bad = Behaviour::of(&json!({"image": "app:2-errors5"}));
        all.say("test", "app:2", at(10), Some(bad.clone()));
        all.say("test", "app:2", at(20), None);
        for (second, expected) in [
            (9, of("app:2")),
            (10, bad.clone()),
            (19, bad),
            (20, of("app:2")),
        ] {
            assert_eq!(all.of("test", &container, at(second)), expected, "{second}");
        }
        let errors = |second| Some(all.replies("test", "app:2", at(second))?.error_rate);
        assert_eq!(
            (errors(9), errors(10), errors(20)),
            (None, Some(0.05), None)
        );
        assert_eq!(all.of("other", &container, at(10)), of("app:2"));
        assert_eq!((all.next(at(9)), all.next(at(20))), (Some(at(10)), None));
    }
}
