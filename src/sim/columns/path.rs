//! The simple JSON paths of printer columns: fields, items by number, all items, and items of which a field has a value.

use serde_json::Value;

/// What a path leads to, in order.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    let mut rest = path.trim_matches(['{', '}']);
    while !rest.is_empty() {
        let step;
        (step, rest) = first(rest);
        found = found.into_iter().flat_map(|value| step.of(value)).collect();
    }
    found
}

/// One step of a path.
enum Step<'a> {
    Field(String),
    Item(i64),
    All,
    Those(&'a str, &'a str),
    None,
}

/// The first step, and the rest of the path.
fn first(path: &str) -> (Step<'_>, &str) {
    if let Some(inner) = path.strip_prefix('[') {
        let end = inner.find(']').unwrap_or(inner.len());
        return (bracket(&inner[..end]), inner.get(end + 1..).unwrap_or(""));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let mut name = String::new();
    let mut letters = path.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
            '.' | '[' => return (field(name), &path[at..]),
            letter => name.push(letter),
        }
    }
    (field(name), "")
}

fn field(name: String) -> Step<'static> {
    match name.as_str() {
        "*" => Step::All,
        _ => Step::Field(name),
    }
}

fn bracket(inner: &str) -> Step<'_> {
    if inner == "*" {
        return Step::All;
    }
    if let Ok(number) = inner.parse() {
        return Step::Item(number);
    }
    let quotes = ['"', '\''];
    let Some(test) = inner.strip_prefix("?(@.") else {
        return Step::Field(inner.trim_matches(quotes).to_owned());
    };
    match test.trim_end_matches(')').split_once("==") {
        Some((name, value)) => Step::Those(name.trim(), value.trim().trim_matches(quotes)),
        None => Step::None,
    }
}

impl Step<'_> {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Field(name) if name.is_empty() => vec![value],
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Item(at) => {
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = if *at < 0 { length + at } else { *at };
                usize::try_from(at)
                    .ok()
                    .and_then(|at| items.get(at))
                    .into_iter()
                    .collect()
            }
            Self::All => match value {
                Value::Object(fields) => fields.values().collect(),
                _ => items.iter().collect(),
            },
            Self::Those(name, wanted) => items
                .iter()
                .filter(|item| plain(&item[*name]) == *wanted)
                .collect(),
            Self::None => Vec::new(),
        }
    }
}

/// A value as a column shows it: texts as they are, all else as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({"a": {"b": [1, 2, {"c": "x"}], "d.e/f": true},
            "on": [{"type": "A", "is": "no"}, {"type": "B", "is": "yes"}]});
        for (path, want) in [
            (".a.b[0]", "1"),
            ("{.a.b[-1].c}", "x"),
            (".a.b[*]", "1 2 {\"c\":\"x\"}"),
            (".a.d\\.e/f", "true"),
            (".a['d.e/f']", "true"),
            (".on[?(@.type==\"B\")].is", "yes"),
            (".on[?(@.type == 'A')].is", "no"),
            (".on[*].type", "A B"),
            (".on[?(@.type==\"C\")].is", ""),
            (".nothing.at.all", ""),
            (".a.b[9]", ""),
        ] {
            let found: Vec<_> = find(&object, path).into_iter().map(plain).collect();
            assert_eq!(found.join(" "), want, "{path}");
        }
    }
}
