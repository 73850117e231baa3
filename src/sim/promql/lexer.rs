//! The words of a query.

use crate::sim::promql::Refused;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or keyword.
    Word(String),
    /// A number.
    Number(f64),
    /// A duration, in milliseconds.
    Duration(i64),
    /// A text in quotes, without them.
    Text(String),
    /// A sign.
    Sign(&'static str),
    /// Nothing more.
    End,
}

impl Token {
    /// How a message names it.
    pub(super) fn spoken(&self) -> String {
        match self {
            Self::Word(word) => format!("identifier {word:?}"),
            Self::Number(number) => format!("number \"{number}\""),
            Self::Duration(_) => "duration".to_owned(),
            Self::Text(text) => format!("string {text:?}"),
            Self::Sign(sign) => format!("{sign:?}"),
            Self::End => "end of input".to_owned(),
        }
    }
}

/// Longer signs before those that they begin with.
const SIGNS: [&str; 22] = [
    "==", "!=", "=~", "!~", ">=", "<=", "=", ">", "<", "(", ")", "{", "}", "[", "]", ",", "+", "-",
    "*", "/", "%", "^",
];

/// Signs that are only read to say that they are not supported, and `@`.
const MORE_SIGNS: [&str; 2] = ["@", ":"];

/// Units of durations in milliseconds; `ms` before `m`.
const UNITS: [(&str, i64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

/// All words with the places where they begin, the end last.
pub(super) fn words(query: &str) -> Result<Vec<(Token, usize)>, Refused> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at = skipped(query, at);
        let rest = query.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else {
            found.push((Token::End, query.len()));
            return Ok(found);
        };
        let (token, length) = word(rest, first).map_err(|why| Refused::new(query, at, why))?;
        found.push((token, at));
        at += length;
    }
}

/// Behind white space and comments.
fn skipped(query: &str, mut at: usize) -> usize {
    loop {
        let rest = query.get(at..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start().len();
        at += blank;
        match rest.get(blank..) {
            Some(rest) if rest.starts_with('#') => at += rest.find('\n').unwrap_or(rest.len()),
            _ => return at,
        }
    }
}

fn word(rest: &str, first: char) -> Result<(Token, usize), String> {
    if matches!(first, '"' | '\'' | '`') {
        return text(rest, first);
    }
    let after = rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    if first.is_ascii_digit() || first == '.' && after {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' || first == ':' && !after {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
        if let Some(word) = rest.get(..length).filter(|word| *word != ":") {
            return Ok((Token::Word(word.to_owned()), length));
        }
    }
    let mut signs = SIGNS.iter().chain(&MORE_SIGNS);
    let sign = signs.find(|sign| rest.starts_with(**sign));
    sign.map(|sign| (Token::Sign(sign), sign.len()))
        .ok_or_else(|| format!("unexpected character: {first:?}"))
}

/// A number or a duration.
fn number(rest: &str) -> Result<(Token, usize), String> {
    let length = number_end(rest);
    let word = rest.get(..length).unwrap_or_default();
    if let Some(duration) = duration(word) {
        return Ok((Token::Duration(duration), length));
    }
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let number = match hex {
        Some(hex) => u64::from_str_radix(hex, 16)
            .ok()
            .map(|number| number as f64),
        None => word.parse().ok(),
    };
    let refused = || format!("bad number or duration syntax: {word:?}");
    Ok((Token::Number(number.ok_or_else(refused)?), length))
}

/// Letters, digits and points; a sign behind the `e` of a number.
fn number_end(rest: &str) -> usize {
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut before = ' ';
    for (at, letter) in rest.char_indices() {
        let sign = matches!(letter, '+' | '-') && matches!(before, 'e' | 'E') && !hex;
        if !(letter.is_ascii_alphanumeric() || letter == '.' || sign) {
            return at;
        }
        before = letter;
    }
    rest.len()
}

/// `1h30m` in milliseconds.
pub(super) fn duration(word: &str) -> Option<i64> {
    let (mut rest, mut sum) = (word, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?;
        let (unit, length) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        sum = sum.checked_add(number.checked_mul(*length)?)?;
        rest = after.get(unit.len()..)?;
    }
    (!word.is_empty()).then_some(sum)
}

/// A text in quotes; between backquotes nothing is escaped.
fn text(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if letter == quote => return Ok((Token::Text(text), at + 1)),
            '\\' if quote != '`' => text.push(escaped(&mut letters)?),
            '\n' if quote != '`' => break,
            letter => text.push(letter),
        }
    }
    Err("unterminated quoted string".to_owned())
}

/// What an escape of Go stands for.
fn escaped(letters: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    let (_, letter) = letters.next().ok_or("unterminated quoted string")?;
    let digits = match letter {
        'a' => return Ok('\u{7}'),
        'b' => return Ok('\u{8}'),
        'f' => return Ok('\u{c}'),
        'n' => return Ok('\n'),
        'r' => return Ok('\r'),
        't' => return Ok('\t'),
        'v' => return Ok('\u{b}'),
        '\\' | '"' | '\'' => return Ok(letter),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => {
            return Err(format!(
                "unknown escape sequence U+{:04X} {letter:?}",
                letter as u32
            ));
        }
    };
    let code: String = letters.take(digits).map(|(_, digit)| digit).collect();
    let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
    code.ok_or_else(|| "escape sequence is an invalid Unicode code point".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Vec<Token> {
        let words = words(query).unwrap();
        words.into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn words_are_told_apart() {
        let word = |word: &str| Token::Word(word.to_owned());
        assert_eq!(
            read("a:b_c{x!~'y'}[1h30m] # c\n>=1.5e-3"),
            [
                word("a:b_c"),
                Token::Sign("{"),
                word("x"),
                Token::Sign("!~"),
                Token::Text("y".to_owned()),
                Token::Sign("}"),
                Token::Sign("["),
                Token::Duration(5_400_000),
                Token::Sign("]"),
                Token::Sign(">="),
                Token::Number(0.0015),
                Token::End,
            ]
        );
        assert_eq!(
            read("0x1F .5 10ms")[..3],
            [Token::Number(31.0), Token::Number(0.5), Token::Duration(10)]
        );
    }

    #[test]
    fn texts_are_unescaped() {
        let rows = [
            (r#""a\\.2""#, r"a\.2"),
            (r#""\"\n\x41\u00e9""#, "\"\nA\u{e9}"),
            (r"`\n`", r"\n"),
            (r"'it\'s'", "it's"),
        ];
        for (query, expected) in rows {
            assert_eq!(read(query)[0], Token::Text(expected.to_owned()), "{query}");
        }
    }

    #[test]
    fn what_is_no_word_is_refused() {
        let rows = [
            (
                "up + 1x",
                "1:6: parse error: bad number or duration syntax: \"1x\"",
            ),
            ("a\n  \"b", "2:3: parse error: unterminated quoted string"),
            ("a ~ b", "1:3: parse error: unexpected character: '~'"),
            (
                r#""\q""#,
                "1:1: parse error: unknown escape sequence U+0071 'q'",
            ),
        ];
        for (query, expected) in rows {
            assert_eq!(words(query).unwrap_err().to_string(), expected);
        }
    }
}
