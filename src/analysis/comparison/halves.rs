//! Stable's past in two halves, as `bursts` measures them.

use std::collections::BTreeSet;

use crate::analysis::Counter;
use crate::analysis::comparison::bursts::{Halves, first_half};
use crate::analysis::counts::difference;

/// What both halves of stable's processes counted from each time to the next, oldest first. A process that one of the two times
/// does not have counts nothing between them.
#[must_use]
pub fn halves(history: &[Vec<Counter>]) -> Vec<Halves> {
    let stable = history.iter().flatten().filter(|counter| !counter.canary);
    let all: BTreeSet<&str> = stable.map(|counter| counter.process.as_str()).collect();
    let first = first_half(&all);
    let steps = history.windows(2).filter_map(|pair| match pair {
        [before, now] => Some(between(before, now, &first)),
        _ => None,
    });
    steps.collect()
}

fn between(before: &[Counter], now: &[Counter], first: &BTreeSet<&str>) -> Halves {
    let mut halves = Halves::default();
    for counter in now.iter().filter(|counter| !counter.canary) {
        let known = before
            .iter()
            .find(|it| !it.canary && it.process == counter.process);
        let Some(known) = known else { continue };
        let half = if first.contains(counter.process.as_str()) {
            &mut halves.first
        } else {
            &mut halves.second
        };
        half.add(difference(known, counter));
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::comparison::bursts::phi;
    use crate::analysis::counts::Counts;

    fn counter(process: &str, at: f64, all: f64, bad: f64) -> Counter {
        Counter {
            process: process.to_owned(),
            canary: false,
            canary_pod: false,
            all,
            bad,
            at,
        }
    }

    #[test]
    fn every_other_pod_is_in_the_first_half() {
        let pods = ["a", "b", "c", "d"];
        let at = |time: f64, all: f64| pods.map(|pod| counter(pod, time, all, 0.0)).to_vec();
        let halves = halves(&[at(0.0, 100.0), at(15.0, 110.0), at(30.0, 130.0)]);
        let all = halves.iter().map(|it| (it.first.all, it.second.all));
        assert_eq!(all.collect::<Vec<_>>(), [(20.0, 20.0), (40.0, 40.0)]);
    }

    #[test]
    fn restarts_and_new_pods_bring_nothing_that_was_not_counted() {
        let history = [
            vec![counter("a", 0.0, 100.0, 5.0)],
            vec![counter("a", 15.0, 7.0, 1.0), counter("b", 15.0, 900.0, 9.0)],
        ];
        let halves = halves(&history);
        let Halves { first, second } = halves[0];
        let sum = (first.all + second.all, first.bad + second.bad);
        assert_eq!(sum, (7.0, 1.0));
    }

    /// Errors that fall on one Pod at a time are bursts; those that fall on both alike are none.
    #[test]
    fn bursts_show_in_the_halves() {
        let history = |bursts: bool| {
            let mut bad = [0.0, 0.0];
            let times = (0..80_u32).map(|time| {
                if bursts {
                    bad[time as usize % 2] += 10.0;
                } else {
                    bad = bad.map(|bad| bad + 5.0);
                }
                let all = f64::from(time) * 1000.0;
                let pod = |name, bad| counter(name, f64::from(time) * 15.0, all, bad);
                vec![pod("a", bad[0]), pod("b", bad[1])]
            });
            times.collect::<Vec<_>>()
        };
        assert_eq!(phi(&halves(&history(false))), 1.0);
        assert!(phi(&halves(&history(true))) > 8.0);
        assert_eq!(halves(&[]), []);
        assert_eq!(
            halves(&history(false))[0].first,
            Counts {
                all: 1000.0,
                bad: 5.0
            }
        );
    }
}
