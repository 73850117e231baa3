//! Label selectors in the form that kubectl takes.

use kube::core::{Expression, Selector};

/// Parses `app=web,tier!=db,env in (a, b),env notin (c),key,!key`.
pub fn parse(text: &str) -> Result<Selector, String> {
    requirements(text)
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(expression)
        .collect()
}

/// Cuts at the commas that do not stand between parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, sign) in text.char_indices() {
        match sign {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn expression(part: &str) -> Result<Expression, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(key_of(key)?));
    }
    if let Some((key, values)) = part.split_once(" notin ") {
        return Ok(Expression::NotIn(key_of(key)?, set(values)?));
    }
    if let Some((key, values)) = part.split_once(" in ") {
        return Ok(Expression::In(key_of(key)?, set(values)?));
    }
    for (sign, negative) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(sign) {
            let (key, value) = (key_of(key)?, value.trim().to_owned());
            return Ok(if negative {
                Expression::NotEqual(key, value)
            } else {
                Expression::Equal(key, value)
            });
        }
    }
    Ok(Expression::Exists(key_of(part)?))
}

fn key_of(text: &str) -> Result<String, String> {
    let key = text.trim();
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(legal) {
        return Err(format!("{key:?} is not the name of a label"));
    }
    Ok(key.to_owned())
}

fn set(text: &str) -> Result<std::collections::BTreeSet<String>, String> {
    let inner = text
        .trim()
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| format!("{text:?} is not a list of values in parentheses"))?;
    Ok(inner
        .split(',')
        .map(|value| value.trim().to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn selectors_match_as_in_kubectl() {
        let labels: BTreeMap<String, String> = [("app", "web"), ("env", "a")]
            .map(|(k, v)| (k.into(), v.into()))
            .into();
        let rows = [
            ("", Ok(true)),
            ("app=web", Ok(true)),
            ("app==web, env in (a,b)", Ok(true)),
            ("app!=web", Ok(false)),
            ("env notin (a)", Ok(false)),
            ("app,!tier", Ok(true)),
            ("tier", Ok(false)),
            ("env in a", Err(())),
            ("=web", Err(())),
            ("a b", Err(())),
        ];
        for (text, expected) in rows {
            let matches = parse(text).map(|selector| selector.matches(&labels));
            assert_eq!(matches.map_err(|_| ()), expected, "{text}");
        }
    }
}
