//! A Prometheus without network: it scrapes what it is handed, at its interval, and answers its HTTP API.

mod http;
mod reply;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

pub use self::http::router;
use crate::sim::promql::labels::Labels;
use crate::sim::promql::syntax::Expr;
use crate::sim::samples::{Page, Samples};
use crate::sim::seed::Seed;

/// How targets are scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scraping {
    /// From one scrape of a target to its next.
    pub interval: Duration,
    /// Moments of an interval over which targets are spread; 1: all are scraped at once.
    pub moments: u32,
    /// How long samples are remembered.
    pub retention: Duration,
    /// The series of a target that goes end at its next scrape; otherwise their last samples count for five minutes.
    pub ends_series: bool,
}

impl Default for Scraping {
    /// Every five seconds, all at once, and 15 minutes of memory.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            moments: 1,
            retention: Duration::from_secs(900),
            ends_series: true,
        }
    }
}

/// A Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    scraping: Scraping,
    samples: Samples,
    targets: BTreeSet<Labels>,
    /// Scrapes since 1970, at this rate; the next one has this number.
    next: i64,
    /// The time of the last scrape, in milliseconds.
    now: i64,
    /// Queries that were read before.
    read: RefCell<BTreeMap<String, Arc<Expr>>>,
}

impl Prometheus {
    /// A Prometheus that starts at a time.
    #[must_use]
    pub fn new(scraping: Scraping, start: Timestamp) -> Self {
        let now = start.as_millisecond();
        Self {
            scraping,
            samples: Samples::new(scraping.retention),
            targets: BTreeSet::new(),
            next: now.div_euclid(step(scraping)) + 1,
            now,
            read: RefCell::default(),
        }
    }

    /// When it scrapes next.
    #[must_use]
    pub fn next_scrape(&self) -> Timestamp {
        let at = self.next.saturating_mul(step(self.scraping));
        Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
    }

    /// Whether a target is scraped then.
    #[must_use]
    pub fn is_due(&self, target: &Labels) -> bool {
        let moments = i64::from(self.scraping.moments.max(1));
        if moments == 1 {
            return true;
        }
        let moment = Seed::new(0)
            .fork(target.get("instance"))
            .below(moments as u64);
        self.next.rem_euclid(moments) == moment as i64
    }

    /// Takes the pages of all targets that are due, at the time that `next_scrape` says. A target that is due and has no page
    /// is gone.
    pub fn scrape(&mut self, pages: &[Page]) {
        self.now = self.next_scrape().as_millisecond();
        let there: BTreeSet<_> = pages.iter().map(|page| &page.target).collect();
        let gone = self.targets.iter();
        let gone = gone.filter(|target| self.is_due(target) && !there.contains(target));
        for target in gone.cloned().collect::<Vec<_>>() {
            self.targets.remove(&target);
            if self.scraping.ends_series {
                self.samples.end(&target, self.now);
            }
        }
        for page in pages {
            self.samples.record(page, self.now);
            if !self.targets.contains(&page.target) {
                self.targets.insert(page.target.clone());
            }
        }
        self.samples.sweep(self.now);
        self.next += 1;
    }
}

/// From one moment of scraping to the next, in milliseconds.
fn step(scraping: Scraping) -> i64 {
    let interval = scraping.interval.as_millis() / u128::from(scraping.moments.max(1));
    i64::try_from(interval).unwrap_or(i64::MAX).max(1)
}

/// What a panic elsewhere left behind is still a store of samples.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
