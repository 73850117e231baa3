//! Plays a whole attempt: φ from stable's past, then weights of 5, 10, 20, 35 and 50 %, each for eight rounds of 15 s.

use std::collections::BTreeMap;

use serin::analysis::comparison::Round;
use serin::analysis::comparison::bursts::{self, ENOUGH_ROUNDS, Halves, MOST_PHI};
use serin::analysis::comparison::evidence::{Evidence, Terms};
use serin::analysis::comparison::joint::{Errors, Joint};
use serin::analysis::counts::Counts;

use crate::statistics::chance::Chance;

/// Rounds of the whole plan.
pub(crate) const ROUNDS: usize = WEIGHTS.len() * EACH;

/// Rounds of each weight.
pub(crate) const EACH: usize = 8;

/// The defaults of `analysis.comparison`.
pub(crate) const DEFAULTS: Errors = Errors {
    false_rollback: 0.01,
    missed_regression: 0.05,
};

/// Shares of the canary.
const WEIGHTS: [f64; 5] = [0.05, 0.1, 0.2, 0.35, 0.5];

/// Seconds and minutes of a round.
const SECONDS: f64 = 15.0;
const MINUTES: f64 = 0.25;

/// Rounds in one hour, six, and a day: how far φ is looked for.
const LOOK_BACK: [usize; 3] = [240, 1440, 5760];

/// The users, and how errors come to them.
#[derive(Clone, Copy)]
pub(crate) struct World {
    /// Requests a second, to both arms together.
    pub(crate) rate: f64,
    /// Share of bad ones at rest.
    pub(crate) share: f64,
    /// Mean number of errors that come at once; 1: they are independent.
    pub(crate) burst: f64,
    /// The guard's tolerated share.
    pub(crate) limit: Option<f64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Minutes from its beginning until it was rolled back.
    pub(crate) rolled_back: Option<f64>,
    /// Minutes from the last weight on until there was evidence for promotion.
    pub(crate) evidence: Option<f64>,
}

/// The multiples of the base share that canary and stable have in a round, given a round that chance chose.
pub(crate) type Story = fn(round: usize, chosen: usize) -> (f64, f64);

/// One attempt in this world.
pub(crate) fn play(world: World, story: Story, chance: &mut Chance) -> Outcome {
    let mut outcome = Outcome::default();
    let phi = measured_phi(world, chance);
    if phi > MOST_PHI {
        return outcome;
    }
    let chosen = chance.below(ROUNDS);
    let mut joint = joint(world, phi);
    for at in 0..ROUNDS {
        let step = at / EACH;
        joint.enter(u32::try_from(step + 1).unwrap());
        let multiples = story(at, chosen);
        let round = world.round(WEIGHTS[step], multiples, chance);
        let worse = joint.add(&BTreeMap::from([("errors".to_owned(), round)]));
        if worse.is_some() {
            outcome.rolled_back = Some(MINUTES * (at + 1) as f64);
            return outcome;
        }
        let last = WEIGHTS.len() - 1;
        if step == last && outcome.evidence.is_none() && joint.unproven().is_empty() {
            outcome.evidence = Some(MINUTES * (at + 1 - last * EACH) as f64);
        }
    }
    outcome
}

fn joint(world: World, phi: f64) -> Joint {
    let terms = Terms {
        tolerance: 1.2,
        non_inferiority: 2.0,
        limit: world.limit,
        phi,
        steps: u32::try_from(WEIGHTS.len()).unwrap(),
    };
    let metrics = BTreeMap::from([("errors".to_owned(), Evidence::new(terms, 1))]);
    Joint::new(DEFAULTS, 1, metrics)
}

/// φ from two halves of stable, looking back further while there is too little.
fn measured_phi(world: World, chance: &mut Chance) -> f64 {
    let mut past: Vec<Halves> = Vec::new();
    for rounds in LOOK_BACK {
        while past.len() < rounds {
            let round = world.round(0.5, (1.0, 1.0), chance);
            past.push(Halves {
                first: round.canary,
                second: round.stable,
            });
        }
        if bursts::usable(&past) >= ENOUGH_ROUNDS {
            break;
        }
    }
    bursts::phi(&past)
}

impl World {
    /// One round at this weight, with so many times the base share of bad requests in canary and stable.
    pub(crate) fn round(self, weight: f64, multiples: (f64, f64), chance: &mut Chance) -> Round {
        let (canary, stable) = multiples;
        Round {
            canary: self.arm(weight, canary, chance),
            stable: self.arm(1.0 - weight, stable, chance),
        }
    }

    fn arm(self, part: f64, multiple: f64, chance: &mut Chance) -> Counts {
        let requests = self.rate * SECONDS * part;
        let share = self.share * multiple;
        let bursts = chance.poisson(requests * share / self.burst);
        let mut bad = bursts;
        if self.burst > 1.0 {
            bad = (0..bursts as u32)
                .map(|_| chance.geometric(self.burst))
                .sum();
        }
        Counts {
            all: chance.poisson(requests * (1.0 - share)) + bad,
            bad,
        }
    }
}
