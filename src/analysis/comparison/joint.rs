//! The decision over all compared metrics of an attempt (ANALYSIS 4.3 and 4.5).

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::comparison::Round;
use crate::analysis::comparison::evidence::Evidence;
use crate::analysis::comparison::forecast::divergence;
use crate::analysis::comparison::grid::{canarys_part, capped};

/// How often the comparison may be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Probability of a rollback of a canary within the tolerance (α).
    pub false_rollback: f64,
    /// Probability of evidence for a canary that is as bad as the bound (β); 1: none is asked for.
    pub missed_regression: f64,
}

/// The verdict against a canary.
#[derive(Clone, Debug, PartialEq)]
pub struct Worse {
    /// The metric that says most.
    pub metric: String,
    /// ln of the evidence of all metrics together.
    pub ln_e: f64,
}

/// All metrics that are compared in one attempt, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    errors: Errors,
    /// How many metrics there were when the attempt began; each has the same part in the sum (1/`u_j`).
    compared: u32,
    metrics: BTreeMap<String, Evidence>,
}

impl Joint {
    /// Those metrics, with as many as were `compared` when the attempt began. Metrics that decide nothing do not belong here:
    /// their evidence stands alone.
    #[must_use]
    pub fn new(errors: Errors, compared: u32, metrics: BTreeMap<String, Evidence>) -> Self {
        Self {
            errors,
            compared: compared.max(1),
            metrics,
        }
    }

    /// The evidence of each metric.
    #[must_use]
    pub fn metrics(&self) -> &BTreeMap<String, Evidence> {
        &self.metrics
    }

    /// Begins a metric anew, because its terms changed; the others go on. It may make the whole attempt fail falsely with a
    /// probability of α/`compared` more.
    pub fn begin_anew(&mut self, metric: &str, evidence: Evidence) {
        if let Some(old) = self.metrics.get_mut(metric) {
            *old = evidence;
        }
    }

    /// Enters a step with traffic for both arms, counted from 1; entering it again changes nothing.
    pub fn enter(&mut self, step: u32) {
        for evidence in self.metrics.values_mut() {
            evidence.enter(step);
        }
    }

    /// Takes in what rounds there are, at most one for each metric; the verdict, if they are the second in a row that says
    /// that the canary is worse. A round of a metric that is not compared changes nothing.
    ///
    /// It takes two rounds of the metric with the largest part in the sum: processes are read at different moments, and what
    /// hits both arms shows in one of them first (M11).
    #[must_use]
    pub fn add(&mut self, rounds: &BTreeMap<String, Round>) -> Option<Worse> {
        let compared = self.take(rounds);
        let ln_e = self.ln_e();
        let crosses = ln_e.is_some_and(|ln_e| ln_e >= self.ln_needed());
        let largest = self.largest();
        let confirmed = largest.filter(|(metric, evidence)| {
            crosses && evidence.crossed && compared.contains(metric.as_str())
        });
        let worse = confirmed.zip(ln_e).map(|((metric, _), ln_e)| Worse {
            metric: metric.clone(),
            ln_e,
        });
        for metric in &compared {
            if let Some(evidence) = self.metrics.get_mut(*metric) {
                evidence.crossed = crosses;
            }
        }
        worse
    }

    /// ln of the sum over all metrics that say anything substantial; `None`: none does.
    #[must_use]
    pub fn ln_e(&self) -> Option<f64> {
        let substantial = self.substantial();
        let sum: f64 = substantial.map(|(_, evidence)| evidence.ln_e().exp()).sum();
        (sum > 0.0).then(|| capped(sum.ln() - self.ln_compared()))
    }

    /// What the sum has to reach: ln(1/α).
    #[must_use]
    pub fn ln_needed(&self) -> f64 {
        -self.errors.false_rollback.ln()
    }

    /// What one metric has to reach if all others say nothing: ln(1/(α·`u_j`)).
    #[must_use]
    pub fn ln_needed_alone(&self) -> f64 {
        self.ln_needed() + self.ln_compared()
    }

    /// What the evidence for promotion has to reach: ln(1/β).
    #[must_use]
    pub fn ln_pass_needed(&self) -> f64 {
        -self.errors.missed_regression.ln()
    }

    /// The metrics that lack evidence for promotion; none if the last shared weight may be left.
    #[must_use]
    pub fn unproven(&self) -> Vec<&str> {
        let none_asked = self.ln_pass_needed() <= 0.0;
        let lacking = self.metrics.iter().filter(|(_, evidence)| {
            !none_asked && !evidence.is_proven() && evidence.ln_pass().is_some()
        });
        lacking.map(|(metric, _)| metric.as_str()).collect()
    }

    /// The minutes until this metric decides against the canary, if it goes on as so far with so many bad requests of both
    /// arms per minute; `None` if it does not go that way.
    #[must_use]
    pub fn minutes_to_decide(&self, metric: &str, bad_per_minute: f64) -> Option<f64> {
        let evidence = self.metrics.get(metric)?;
        let (ratio, share) = (evidence.ratio()?.estimate, evidence.share()?);
        let tolerance = evidence.terms().tolerance;
        if ratio <= tolerance || bad_per_minute <= 0.0 {
            return None;
        }
        let (seen, tolerated) = (canarys_part(ratio, share), canarys_part(tolerance, share));
        let missing = (self.ln_needed() - self.ln_e()?).max(0.0);
        let per_minute = bad_per_minute * divergence(seen, tolerated);
        Some(missing * evidence.terms().phi.max(1.0) / per_minute)
    }

    /// Adds the rounds up; the names of the metrics whose arms were compared in theirs.
    fn take<'a>(&mut self, rounds: &'a BTreeMap<String, Round>) -> BTreeSet<&'a str> {
        let needed = self.ln_pass_needed();
        let mut compared = BTreeSet::new();
        for (metric, round) in rounds {
            let Some(evidence) = self.metrics.get_mut(metric) else {
                continue;
            };
            if evidence.add(round) {
                compared.insert(metric.as_str());
            }
            evidence.proven |= evidence.ln_pass().is_some_and(|ln_e| ln_e >= needed);
        }
        compared
    }

    fn substantial(&self) -> impl Iterator<Item = (&String, &Evidence)> {
        self.metrics
            .iter()
            .filter(|(_, evidence)| evidence.is_substantial())
    }

    fn largest(&self) -> Option<(&String, &Evidence)> {
        self.substantial()
            .max_by(|(_, a), (_, b)| a.ln_e().total_cmp(&b.ln_e()))
    }

    fn ln_compared(&self) -> f64 {
        f64::from(self.compared).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::comparison::evidence::Terms;
    use crate::analysis::comparison::round;

    const USUAL: Errors = Errors {
        false_rollback: 0.01,
        missed_regression: 0.05,
    };

    fn terms() -> Terms {
        Terms {
            tolerance: 1.2,
            non_inferiority: 2.0,
            limit: Some(0.01),
            phi: 1.0,
            steps: 1,
        }
    }

    fn joint(metrics: &[&str]) -> Joint {
        let evidence = metrics
            .iter()
            .map(|metric| ((*metric).to_owned(), Evidence::new(terms(), 1)));
        let compared = u32::try_from(metrics.len()).unwrap_or_default();
        Joint::new(USUAL, compared, evidence.collect())
    }

    fn rounds(rounds: &[(&str, Round)]) -> BTreeMap<String, Round> {
        let named = rounds
            .iter()
            .map(|(metric, round)| ((*metric).to_owned(), *round));
        named.collect()
    }

    fn add(joint: &mut Joint, of: &[(&str, Round)]) -> Option<String> {
        joint.add(&rounds(of)).map(|worse| worse.metric)
    }

    /// One in which the canary alone fails, more than enough for a verdict.
    fn bad() -> Round {
        round(500.0, 500.0, 50.0, 0.0)
    }

    fn clean() -> Round {
        round(500.0, 500.0, 0.0, 0.0)
    }

    fn named(metric: &str) -> Option<String> {
        Some(metric.to_owned())
    }

    #[test]
    fn what_is_filtered_is_not_in_the_sum() {
        let mut joint = joint(&["errors", "latency"]);
        let both = [
            ("errors", round(100_000.0, 100_000.0, 45.0, 1.0)),
            ("latency", round(100_000.0, 100_000.0, 500.0, 300.0)),
        ];
        assert_eq!(add(&mut joint, &both), None);
        let ln_e: Vec<_> = joint.metrics.values().map(Evidence::ln_e).collect();
        assert!((ln_e[0] - 22.206_959).abs() < 1e-5, "{}", ln_e[0]);
        assert!((ln_e[1] - 7.274_214).abs() < 1e-5, "{}", ln_e[1]);
        let sum = joint.ln_e().expect("one is substantial");
        assert!((sum - 6.581_067).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn it_takes_two_rounds_in_a_row() {
        let mut joint = joint(&["errors"]);
        assert_eq!(add(&mut joint, &[("errors", bad())]), None);
        assert_eq!(add(&mut joint, &[("errors", clean())]), named("errors"));
    }

    #[test]
    fn a_shared_outage_blames_nobody() {
        // The canary's processes are read first: its failure shows one round before stable's.
        let mut joint = joint(&["errors"]);
        let rounds = [(200.0, 0.0), (300.0, 500.0), (0.0, 0.0)];
        for (canary, stable) in rounds {
            let round = round(500.0, 500.0, canary, stable);
            assert_eq!(add(&mut joint, &[("errors", round)]), None);
        }
    }

    #[test]
    fn a_round_without_requests_of_one_arm_confirms_nothing() {
        let mut joint = joint(&["errors"]);
        assert_eq!(add(&mut joint, &[("errors", bad())]), None);
        let silent = round(0.0, 500.0, 0.0, 0.0);
        assert_eq!(add(&mut joint, &[("errors", silent)]), None);
        assert_eq!(add(&mut joint, &[]), None);
        assert_eq!(add(&mut joint, &[("errors", bad())]), named("errors"));
    }

    #[test]
    fn another_metrics_round_confirms_nothing() {
        let mut joint = joint(&["errors", "latency"]);
        assert_eq!(add(&mut joint, &[("errors", bad())]), None);
        assert_eq!(add(&mut joint, &[("latency", clean())]), None);
        assert_eq!(add(&mut joint, &[("latency", clean())]), None);
        assert_eq!(add(&mut joint, &[("errors", clean())]), named("errors"));
    }

    #[test]
    fn a_metric_without_data_keeps_its_part() {
        let mut alone = joint(&["errors"]);
        let mut one_of_four = joint(&["errors", "latency", "queue", "cache"]);
        for joint in [&mut alone, &mut one_of_four] {
            add(joint, &[("errors", bad())]);
        }
        let sums = alone.ln_e().zip(one_of_four.ln_e());
        let (alone, shared) = sums.expect("both are substantial");
        assert!((alone - shared - 4_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn evidence_for_promotion_stays_until_the_next_step() {
        let mut joint = joint(&["errors"]);
        assert_eq!(joint.unproven(), ["errors"]);
        add(&mut joint, &[("errors", clean())]);
        assert_eq!(joint.unproven(), [""; 0]);
        add(&mut joint, &[("errors", round(100.0, 100.0, 10.0, 0.0))]);
        assert_eq!(joint.unproven(), [""; 0], "it has been shown");
        joint.enter(2);
        assert_eq!(joint.unproven(), ["errors"]);
    }

    #[test]
    fn who_asks_for_no_evidence_gets_none() {
        let mut joint = joint(&["errors"]);
        joint.errors.missed_regression = 1.0;
        add(&mut joint, &[("errors", bad())]);
        assert_eq!(joint.unproven(), [""; 0]);
    }

    #[test]
    fn a_metric_begins_anew_alone() {
        let mut joint = joint(&["errors", "latency"]);
        add(&mut joint, &[("errors", bad()), ("latency", bad())]);
        let before = joint.clone();
        joint.begin_anew("errors", Evidence::new(terms(), 1));
        joint.begin_anew("unknown", Evidence::new(terms(), 1));
        assert_eq!(joint.metrics["errors"], Evidence::new(terms(), 1));
        assert_eq!(joint.metrics["latency"], before.metrics["latency"]);
        assert_eq!(joint.metrics.len(), 2);
    }

    #[test]
    fn the_time_to_decide_shrinks_with_evidence() {
        let mut joint = joint(&["errors"]);
        let slow = round(500.0, 500.0, 5.0, 2.0);
        add(&mut joint, &[("errors", slow)]);
        let first = joint.minutes_to_decide("errors", 20.0).expect("a time");
        add(&mut joint, &[("errors", slow)]);
        let second = joint.minutes_to_decide("errors", 20.0).expect("a time");
        assert!(second < first, "{second} after {first}");
        assert_eq!(joint.minutes_to_decide("errors", 0.0), None);
        let mut good = self::joint(&["errors"]);
        add(&mut good, &[("errors", round(500.0, 500.0, 5.0, 5.0))]);
        assert_eq!(good.minutes_to_decide("errors", 20.0), None);
    }
}
