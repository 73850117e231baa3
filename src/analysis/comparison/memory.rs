//! What a status keeps of the evidence about one metric (ANALYSIS 4.8): about 1 KiB, which no restart loses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::analysis::comparison::evidence::{Evidence, Terms};
use crate::analysis::comparison::grid::{Likelihood, POINTS};
use crate::analysis::counts::Counts;
use crate::crd::comparison::PackedEvidence;

/// Which form of memory this is. Another is not read: it may mean the same numbers differently.
const FORM: u32 = 1;

/// What a memory held.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The evidence, all but the last digits.
    pub evidence: Evidence,
    /// The common time up to which it was counted (T), in seconds since 1970; `None`: no round was made since the last
    /// weight began.
    pub common_time: Option<f64>,
}

/// Packs the evidence, and the common time up to which it was counted.
#[must_use]
pub fn write(evidence: &Evidence, common_time: Option<f64>) -> PackedEvidence {
    let doubles = numbers(evidence, common_time);
    PackedEvidence {
        form: FORM,
        steps: evidence.terms.steps,
        step: evidence.step,
        crossed: evidence.crossed,
        proven: evidence.proven,
        sums: pack(doubles.iter().flat_map(|number| number.to_le_bytes())),
        attempt: packed(&evidence.attempt),
        since_step: packed(&evidence.since_step),
    }
}

/// What was packed; `None` if it cannot be read. Then the metric begins anew, and that has to be said.
#[must_use]
pub fn read(memory: &PackedEvidence) -> Option<Remembered> {
    let numbers = floats(&memory.sums, f64::from_le_bytes)?;
    let known = remembered(memory, &numbers)?;
    let finite = |likelihood: &Likelihood| {
        let mut all = likelihood.points.iter().chain([&likelihood.bound]);
        all.all(|value| value.is_finite())
    };
    let evidence = &known.evidence;
    let sound = finite(&evidence.attempt) && finite(&evidence.since_step) && memory.form == FORM;
    sound.then_some(known)
}

fn remembered(memory: &PackedEvidence, numbers: &[f64]) -> Option<Remembered> {
    let [at, tolerance, non_inferiority, limit, phi, rest @ ..] = numbers else {
        return None;
    };
    let [finished, x, y, rest @ ..] = rest else {
        return None;
    };
    let [canary, canary_bad, stable, stable_bad, recent, recent_bad] = *rest else {
        return None;
    };
    let counts = |all, bad| Counts { all, bad };
    let terms = Terms {
        tolerance: *tolerance,
        non_inferiority: *non_inferiority,
        limit: known(*limit),
        phi: *phi,
        steps: memory.steps,
    };
    let evidence = Evidence {
        terms,
        step: memory.step,
        attempt: unpacked(&memory.attempt)?,
        since_step: unpacked(&memory.since_step)?,
        finished: *finished,
        canary: counts(canary, canary_bad),
        stable: counts(stable, stable_bad),
        excess: (*x, *y),
        recent: counts(recent, recent_bad),
        crossed: memory.crossed,
        proven: memory.proven,
    };
    let always_known = [tolerance, non_inferiority, phi, finished, x, y];
    let mut certain = always_known.into_iter().chain(rest);
    certain
        .all(|number| number.is_finite())
        .then(|| Remembered {
            evidence,
            common_time: known(*at),
        })
}

/// The numbers that have to be exact; what is not known is not a number.
fn numbers(evidence: &Evidence, common_time: Option<f64>) -> Vec<f64> {
    let Terms {
        tolerance,
        non_inferiority,
        limit,
        phi,
        steps: _,
    } = evidence.terms;
    let unknown = |number: Option<f64>| number.unwrap_or(f64::NAN);
    let (x, y) = evidence.excess;
    let mut numbers = vec![
        unknown(common_time),
        tolerance,
        non_inferiority,
        unknown(limit),
        phi,
        evidence.finished,
        x,
        y,
    ];
    for counts in [evidence.canary, evidence.stable, evidence.recent] {
        numbers.extend([counts.all, counts.bad]);
    }
    numbers
}

fn known(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

fn packed(likelihood: &Likelihood) -> String {
    let all = likelihood.points.iter().chain([&likelihood.bound]);
    pack(all.flat_map(|value| single(*value).to_le_bytes()))
}

fn unpacked(text: &str) -> Option<Likelihood> {
    let values = floats(text, f32::from_le_bytes)?;
    let (bound, points) = values.split_last()?;
    let points: Vec<f64> = points.iter().map(|value| f64::from(*value)).collect();
    let points: [f64; POINTS] = points.try_into().ok()?;
    Some(Likelihood {
        points,
        bound: f64::from(*bound),
    })
}

fn pack(bytes: impl Iterator<Item = u8>) -> String {
    STANDARD_NO_PAD.encode(bytes.collect::<Vec<_>>())
}

/// The numbers of a text, each of so many bytes; `None` if it holds none, or half of one.
fn floats<const BYTES: usize, Float>(
    text: &str,
    read: impl Fn([u8; BYTES]) -> Float,
) -> Option<Vec<Float>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let each = bytes.chunks(BYTES).map(|chunk| chunk.try_into().map(&read));
    each.collect::<Result<_, _>>().ok()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "fewer digits are what saves space"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::comparison::{Round, round};

    fn evidence(rounds: &[Round]) -> Evidence {
        let terms = Terms {
            tolerance: 1.2,
            non_inferiority: 2.0,
            limit: Some(0.01),
            phi: 1.25,
            steps: 3,
        };
        let mut evidence = Evidence::new(terms, 1);
        for round in rounds {
            evidence.add(round);
        }
        evidence.enter(2);
        for round in rounds {
            evidence.add(round);
        }
        evidence
    }

    fn busy() -> PackedEvidence {
        let mut evidence = evidence(&[
            round(1_234.5, 98_765.4, 5.25, 9.125),
            round(2000.1, 8000.2, 12.0, 8.5),
        ]);
        evidence.crossed = true;
        write(&evidence, Some(1_753_000_000.123))
    }

    #[test]
    fn a_memory_is_about_a_kibibyte() {
        let text = serde_json::to_string(&busy()).expect("it is JSON");
        assert!(text.len() < 1200, "{}", text.len());
        let back: PackedEvidence = serde_json::from_str(&text).expect("it is a memory");
        assert_eq!(back, busy());
    }

    #[test]
    fn what_has_to_be_exact_is() {
        let before = evidence(&[round(1_234.5, 98_765.4, 5.25, 9.125)]);
        let memory = write(&before, Some(1_753_000_000.123));
        let remembered = read(&memory).expect("it can be read");
        assert_eq!(remembered.common_time, Some(1_753_000_000.123));
        let mut after = remembered.evidence;
        after.attempt = before.attempt.clone();
        after.since_step = before.since_step.clone();
        assert_eq!(after, before);
    }

    #[test]
    fn what_is_not_known_stays_so() {
        let terms = Terms {
            limit: None,
            ..evidence(&[]).terms
        };
        let fresh = Evidence::new(terms, 1);
        let remembered = read(&write(&fresh, None));
        let expected = Remembered {
            evidence: fresh,
            common_time: None,
        };
        assert_eq!(remembered, Some(expected));
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        type Damage = fn(&mut PackedEvidence);
        let damages: [Damage; 7] = [
            |memory| memory.form = 2,
            |memory| memory.sums.truncate(16),
            |memory| memory.sums.push_str("AAAAAAAAAAA"),
            |memory| memory.attempt.clear(),
            |memory| memory.attempt.truncate(100),
            |memory| memory.since_step.insert(0, '?'),
            |memory| memory.since_step = STANDARD_NO_PAD.encode(f32::NAN.to_le_bytes().repeat(82)),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            let mut memory = busy();
            damage(&mut memory);
            assert_eq!(read(&memory), None, "{number}");
        }
    }

    /// Rounds of a busy service: up to a million requests, and any part of them bad.
    fn any_rounds() -> impl Strategy<Value = Vec<Round>> {
        let arm = || (1.0_f64..1e6, 0.0_f64..1.0);
        let one = (arm(), arm()).prop_map(|((canary, p), (stable, q))| {
            round(canary, stable, canary * p.powi(6), stable * q.powi(6))
        });
        proptest::collection::vec(one, 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_restart_changes_evidence_by_less_than_a_ten_thousandth(rounds in any_rounds()) {
            let before = evidence(&rounds);
            let remembered = read(&write(&before, None)).expect("it can be read");
            let after = remembered.evidence;
            prop_assert!((before.ln_e() - after.ln_e()).abs() < 1e-4);
            let passes = before.ln_pass().zip(after.ln_pass()).expect("there is a limit");
            // Beyond that, as after a verdict, digits are lost that decide nothing.
            if before.ln_e() < 590.0 && passes.0.abs() < 100.0 {
                prop_assert!((passes.0 - passes.1).abs() < 1e-4, "{passes:?}");
            }
        }
    }
}
