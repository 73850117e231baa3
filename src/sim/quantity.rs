//! Quantities such as `100m` or `1Gi`.

use serde_json::Value;

/// A quantity in thousandths: `100m` is 100, `1Ki` is 1,024,000. What is no quantity is 0.
#[must_use]
pub fn thousandths(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Number(number)) => number
            .as_f64()
            .map_or(0, |number| (number * 1000.0).round() as i64),
        Some(Value::String(text)) => parse(text.trim()),
        _ => 0,
    }
}

fn parse(text: &str) -> i64 {
    let end = text.find(|letter: char| letter.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor = match unit {
        "" => 1e3,
        "n" => 1e-6,
        "u" => 1e-3,
        "m" => 1.0,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "Ki" => 1e3 * 1024.0,
        "Mi" => 1e3 * 1_048_576.0,
        "Gi" => 1e3 * 1_073_741_824.0,
        "T" => 1e15,
        "Ti" => 1e3 * 1_099_511_627_776.0,
        _ => 0.0,
    };
    let number: f64 = number.parse().unwrap_or(0.0);
    (number * factor).ceil() as i64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read() {
        for (value, expected) in [
            (json!("100m"), 100),
            (json!("1.5"), 1500),
            (json!(2), 2000),
            (json!("1Ki"), 1_024_000),
            (json!("x"), 0),
            (json!(null), 0),
        ] {
            assert_eq!(thousandths(Some(&value)), expected, "{value}");
        }
    }
}
