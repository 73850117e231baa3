//! The death of a controller at one of its writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::Instant;

/// When the controller dies.
#[derive(Debug)]
pub(crate) struct Crash {
    /// At which of its writes, counted from 0.
    at: usize,
    /// The write took effect.
    after: bool,
    /// Writes are counted.
    armed: AtomicBool,
    writes: Mutex<Vec<Instant>>,
    /// Told when it is time to die.
    pub(crate) now: Notify,
}

/// What becomes of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It takes effect, and is answered.
    Lives,
    /// It takes effect; nobody hears the answer.
    DiesAfter,
    /// It is never sent.
    DiesBefore,
}

impl Crash {
    /// A death at this write, before or after it takes effect. Writes count once it is armed.
    pub(crate) fn new(at: usize, after: bool) -> Arc<Self> {
        Arc::new(Self {
            at,
            after,
            armed: AtomicBool::new(false),
            writes: Mutex::default(),
            now: Notify::new(),
        })
    }

    /// Writes count from now on.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// When the writes were.
    pub(crate) fn writes(&self) -> Vec<Instant> {
        self.writes.lock().unwrap().clone()
    }

    /// What becomes of the next write.
    pub(crate) fn next(&self) -> Fate {
        if !self.armed.load(Ordering::SeqCst) {
            return Fate::Lives;
        }
        let mut writes = self.writes.lock().unwrap();
        writes.push(Instant::now());
        match (writes.len() - 1).cmp(&self.at) {
            std::cmp::Ordering::Less => Fate::Lives,
            std::cmp::Ordering::Equal if self.after => Fate::DiesAfter,
            _ => Fate::DiesBefore,
        }
    }
}
