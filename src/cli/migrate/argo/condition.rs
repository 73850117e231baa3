//! Argo's conditions on results, as far as they are limits: `result[0] >= 0.95`.

/// Limits of a value; one on a limit passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// The least that passes.
    pub(super) min: Option<f64>,
    /// The greatest that passes.
    pub(super) max: Option<f64>,
    /// A value on a limit did not pass before.
    pub(super) loosened: bool,
}

/// The limits within which a condition of success holds, if it is no more than limits.
pub(super) fn success(condition: &str) -> Option<Limits> {
    let mut parts = condition.split("&&").map(comparison);
    parts.try_fold(Limits::default(), |limits, part| {
        let (operator, number) = part?;
        limits.with(operator, number)
    })
}

/// The limits outside of which a condition of failure holds, if it is no more than limits.
pub(super) fn failure(condition: &str) -> Option<Limits> {
    let mut parts = condition.split("||").map(comparison);
    parts.try_fold(Limits::default(), |limits, part| {
        let (operator, number) = part?;
        let passes = match operator {
            ">" => "<=",
            ">=" => "<",
            "<" => ">=",
            "<=" => ">",
            _ => return None,
        };
        limits.with(passes, number)
    })
}

impl Limits {
    /// The same with one more; two of a kind are nobody's habit, and are not merged.
    fn with(mut self, operator: &str, number: f64) -> Option<Self> {
        let (side, is_open) = match operator {
            ">=" => (&mut self.min, false),
            ">" => (&mut self.min, true),
            "<=" => (&mut self.max, false),
            "<" => (&mut self.max, true),
            _ => return None,
        };
        if side.is_some() {
            return None;
        }
        *side = Some(number);
        self.loosened |= is_open;
        Some(self)
    }
}

/// `result[0] >= 0.95` as an operator and a number.
fn comparison(text: &str) -> Option<(&str, f64)> {
    let rest = text.trim().strip_prefix("result")?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("[0]").unwrap_or(rest).trim_start();
    let operator = [">=", "<=", ">", "<"]
        .into_iter()
        .find(|operator| rest.starts_with(operator))?;
    let number: f64 = rest[operator.len()..].trim().parse().ok()?;
    number.is_finite().then_some((operator, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(min: Option<f64>, max: Option<f64>, loosened: bool) -> Option<Limits> {
        Some(Limits { min, max, loosened })
    }

    #[test]
    fn simple_conditions_are_limits() {
        let rows = [
            ("result[0] >= 0.95", limits(Some(0.95), None, false)),
            ("result < 5", limits(None, Some(5.0), true)),
            (
                "result[0]>=1&&result[0]<=2",
                limits(Some(1.0), Some(2.0), false),
            ),
            ("result[0] >= 1 || result[0] <= 2", None),
            ("len(result) == 0 || result[0] < 5", None),
            ("result[1] >= 0.95", None),
            ("result[0] >= 1 && result[0] >= 2", None),
            ("result[0] == 1", None),
            ("result[0] >= NaN", None),
            ("", None),
        ];
        for (condition, expected) in rows {
            assert_eq!(success(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_failure_is_what_lies_outside() {
        let rows = [
            ("result[0] >= 5", limits(None, Some(5.0), true)),
            ("result[0] > 5", limits(None, Some(5.0), false)),
            (
                "result[0] < 1 || result[0] > 5",
                limits(Some(1.0), Some(5.0), false),
            ),
            ("result[0] < 1 && result[0] > 0", None),
            ("isNaN(result[0])", None),
        ];
        for (condition, expected) in rows {
            assert_eq!(failure(condition), expected, "{condition}");
        }
    }
}
