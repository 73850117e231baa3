//! Conditions that are written as calls: `Host(`a`) && !Header(`x`, `y`)`.

/// The name and the arguments of a call; `None`: it is none.
pub(super) fn call(text: &str) -> Option<(&str, Vec<String>)> {
    let (name, rest) = text.trim().split_once('(')?;
    let arguments = rest.trim_end().strip_suffix(')')?;
    Some((
        name.trim(),
        split(arguments, ',').into_iter().map(plain).collect(),
    ))
}

/// Whether a condition holds, with `||`, `&&`, `!` and brackets; `None`: it cannot be read.
pub(super) fn holds(text: &str, is_true: &dyn Fn(&str, &[String]) -> Option<bool>) -> Option<bool> {
    let text = text.trim();
    let either = parts(text, "||");
    if either.len() > 1 {
        let all: Option<Vec<bool>> = either.iter().map(|it| holds(it, is_true)).collect();
        return Some(all?.contains(&true));
    }
    let both = parts(text, "&&");
    if both.len() > 1 {
        let all: Option<Vec<bool>> = both.iter().map(|it| holds(it, is_true)).collect();
        return Some(!all?.contains(&false));
    }
    if let Some(rest) = text.strip_prefix('!') {
        return Some(!holds(rest, is_true)?);
    }
    if let Some(inner) = text.strip_prefix('(') {
        return holds(inner.strip_suffix(')')?, is_true);
    }
    let (name, arguments) = call(text)?;
    is_true(name, &arguments)
}

/// Parts between a sign of two letters, outside of brackets and quotes.
fn parts<'a>(text: &'a str, sign: &str) -> Vec<&'a str> {
    let letter = sign.chars().next().unwrap_or_default();
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in outside(text).into_iter().filter(|(_, it)| *it == letter) {
        if at >= start && text[at..].starts_with(sign) {
            found.push(&text[start..at]);
            start = at + sign.len();
        }
    }
    found.push(&text[start..]);
    found
}

/// Parts between a letter, outside of brackets and quotes; nothing has none.
fn split(text: &str, by: char) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in outside(text).into_iter().filter(|(_, it)| *it == by) {
        found.push(&text[start..at]);
        start = at + by.len_utf8();
    }
    if !text.trim().is_empty() {
        found.push(&text[start..]);
    }
    found
}

/// Letters outside of brackets and quotes, with their places.
fn outside(text: &str) -> Vec<(usize, char)> {
    let (mut depth, mut quote) = (0_i32, None);
    let mut found = Vec::new();
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '`' | '"' | '\'') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, letter) if depth == 0 => found.push((at, letter)),
            _ => {}
        }
    }
    found
}

/// An argument without its quotes.
fn plain(text: &str) -> String {
    let text = text.trim();
    let quoted = ['`', '"', '\''].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?;
        inner.strip_suffix(quote)
    });
    quoted.unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let is_true = |name: &str, arguments: &[String]| match name {
            "Is" => Some(arguments == ["a", "b(,)"]),
            "Yes" => Some(arguments.is_empty()),
            _ => None,
        };
        let rows = [
            ("Is(`a`, `b(,)`)", Some(true)),
            ("Is(`a`)", Some(false)),
            ("Yes() && Is(`a`)", Some(false)),
            ("Yes() || Is(`a`) && Is(`a`)", Some(true)),
            ("(Yes() || Is(`a`)) && Is(`a`)", Some(false)),
            ("!Is(`&&`) && !(Yes() && Is(`a`))", Some(true)),
            ("No()", None),
            ("text", None),
        ];
        for (text, expected) in rows {
            assert_eq!(holds(text, &is_true), expected, "{text}");
        }
    }
}
