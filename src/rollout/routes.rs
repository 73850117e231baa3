//! What the canary gets of the traffic.

use std::fmt;

use crate::crd::header_route::Standing;
use crate::crd::status::{PlannedStep, TrafficStatus};

/// The canary's share of the traffic in percent, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u8);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const ALL: Self = Self(100);

    /// A weight, cut to 100.
    #[must_use]
    pub fn new(percent: u8) -> Self {
        Self(percent.min(100))
    }

    /// In percent.
    #[must_use]
    pub fn percent(self) -> u8 {
        self.0
    }
}

/// Where the requests of the apex go; what is not the canary's is stable's.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Routes {
    /// The canary's share.
    pub canary: Weight,
    /// Requests that `analysis.match` describes go to the canary, whatever its share.
    pub matched: bool,
    /// Those steps `setHeaderRoute` of the plan whose requests go to the canary, whatever its share.
    pub headers: Standing,
    /// The share of requests that are copied to the canary.
    pub mirror: Weight,
}

impl Routes {
    /// A share alone, in percent.
    #[must_use]
    pub fn share(percent: u8) -> Self {
        Self {
            canary: Weight::new(percent),
            ..Self::default()
        }
    }

    /// What a status says that the canary shall get.
    #[must_use]
    pub fn wanted(traffic: &TrafficStatus) -> Self {
        Self {
            canary: Weight::new(traffic.wanted),
            matched: traffic.matched,
            headers: traffic.header_routes,
            mirror: Weight::new(traffic.mirror),
        }
    }

    /// What a step of a plan gives the canary.
    #[must_use]
    pub fn planned(step: &PlannedStep) -> Self {
        Self {
            canary: Weight::new(step.weight),
            matched: step.matched,
            headers: step.header_routes,
            mirror: Weight::new(step.mirror),
        }
    }

    /// Whether the canary gets any requests.
    #[must_use]
    pub fn reach(self) -> bool {
        self != Self::default()
    }

    /// Whether requests go to the canary for what they say.
    #[must_use]
    pub fn by_request(self) -> bool {
        self.matched || !self.headers.is_empty()
    }

    /// Whether the canary gets more than its share.
    #[must_use]
    pub fn beside(self) -> bool {
        self.by_request() || self.mirror > Weight::ZERO
    }

    /// What the canary gets by either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            canary: self.canary.max(other.canary),
            matched: self.matched || other.matched,
            headers: self.headers.or(other.headers),
            mirror: self.mirror.max(other.mirror),
        }
    }

    /// What the canary gets by both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            canary: self.canary.min(other.canary),
            matched: self.matched && other.matched,
            headers: self.headers.and(other.headers),
            mirror: self.mirror.min(other.mirror),
        }
    }
}

/// Short where the share is all there is.
impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Routes");
        shown.field("canary", &self.canary);
        if self.matched {
            shown.field("matched", &self.matched);
        }
        if !self.headers.is_empty() {
            shown.field("headers", &Vec::from(self.headers));
        }
        if self.mirror > Weight::ZERO {
            shown.field("mirror", &self.mirror);
        }
        shown.finish()
    }
}

/// For people: `10 %`, `10 % and matching requests`, `copies of 100 %`.
impl fmt::Display for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.canary > Weight::ZERO || !self.beside();
        let parts = [
            share.then(|| format!("{} %", self.canary.percent())),
            self.by_request().then(|| "matching requests".to_owned()),
            (self.mirror > Weight::ZERO).then(|| format!("copies of {} %", self.mirror.percent())),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(" and "))
    }
}
