//! Writes down what the controller says of one Canary: its status and its Events, in the order of time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Deserialize;

use crate::crd::status::CanaryStatus;
use crate::sim::api::{Actor, Api};
use crate::sim::field::text;
use crate::sim::store::{Event, Happened, Key};

/// Something that was said.
#[derive(Clone, Debug)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    pub said: Said,
}

/// What was said.
#[derive(Clone, Debug)]
pub enum Said {
    /// The status, as it is from now on.
    Status(Box<CanaryStatus>),
    /// An Event.
    Event {
        /// Its reason.
        reason: String,
        /// For people.
        message: String,
        /// It is a warning.
        warning: bool,
    },
}

/// Sits among the actors of a cluster and listens. Clones listen to the same.
#[derive(Clone, Debug)]
pub struct Recorder {
    canary: Key,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Recorder {
    /// Somebody who listens to one Canary.
    #[must_use]
    pub fn new(canary: Key) -> Self {
        Self {
            canary,
            records: Arc::default(),
        }
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything from a moment on.
    #[must_use]
    pub fn since(&self, begin: Timestamp) -> Vec<Record> {
        let records = self.records();
        let late = records.iter().filter(|record| record.at >= begin);
        late.cloned().collect()
    }

    /// The last status.
    #[must_use]
    pub fn status(&self) -> Option<Box<CanaryStatus>> {
        let records = self.records();
        let mut statuses = records.iter().rev().filter_map(|it| match &it.said {
            Said::Status(status) => Some(status.clone()),
            Said::Event { .. } => None,
        });
        statuses.next()
    }

    /// How much was said.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records().len()
    }

    fn hear(&self, event: &Event) -> Option<Said> {
        if *event.key == self.canary {
            let status = CanaryStatus::deserialize(event.object.get("status")?).ok()?;
            return Some(Said::Status(Box::new(status)));
        }
        let is_event = event.key.group == "events.k8s.io" && event.happened == Happened::Added;
        let object = &event.object;
        let is_ours = is_event
            && text(object, "/regarding/kind") == "Canary"
            && text(object, "/regarding/name") == self.canary.name
            && event.key.namespace == self.canary.namespace;
        is_ours.then(|| Said::Event {
            reason: text(object, "/reason").to_owned(),
            message: text(object, "/note").to_owned(),
            warning: text(object, "/type") == "Warning",
        })
    }
}

impl Actor for Recorder {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let at = api.now();
        for event in changed {
            if let Some(said) = self.hear(event) {
                self.records().push(Record { at, said });
            }
        }
        None
    }
}
