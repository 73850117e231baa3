//! Takes the text of an expression apart.

/// A part of an expression that means something by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 23] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", "{", "}", ",",
];

/// The tokens of a text.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut rest = text;
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if rest.is_empty() {
            return Ok(found);
        } else {
            let (token, after) = token(rest)?;
            found.push(token);
            rest = after;
        }
    }
}

/// The first token, and what follows it.
fn token(rest: &str) -> Result<(Token, &str), String> {
    if let Some(found) = quoted(rest) {
        return found;
    }
    let first = rest.chars().next().unwrap_or_default();
    let second = rest.chars().nth(1).unwrap_or_default();
    if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let is_inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let (name, after) = split_where(rest, |letter| !is_inside(letter));
        return Ok((Token::Name(name.to_owned()), after));
    }
    if let Some(after) = rest.strip_prefix('.') {
        return Ok((Token::Sign("."), after));
    }
    SIGNS
        .iter()
        .find_map(|sign| Some((Token::Sign(sign), rest.strip_prefix(sign)?)))
        .ok_or_else(|| format!("token recognition error at: '{first}'"))
}

fn split_where(text: &str, is_behind: impl FnMut(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_behind).unwrap_or(text.len()))
}

fn number(rest: &str) -> Result<(Token, &str), String> {
    if let Some(hex) = rest.strip_prefix("0x") {
        let (digits, after) = split_where(hex, |letter| !letter.is_ascii_hexdigit());
        return whole(u64::from_str_radix(digits, 16).ok(), digits, after);
    }
    let (digits, after) = split_where(rest, |letter| !letter.is_ascii_digit());
    let broken = after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit());
    if !broken && !after.starts_with(['e', 'E']) {
        return whole(digits.parse().ok(), digits, after);
    }
    let end = double_end(rest);
    let value = rest[..end]
        .parse()
        .map_err(|_| format!("no number: {}", &rest[..end]))?;
    Ok((Token::Double(value), &rest[end..]))
}

/// Where a number with a point or an exponent ends.
fn double_end(rest: &str) -> usize {
    let mut before = ' ';
    rest.find(|letter: char| {
        let is_sign = matches!(letter, '+' | '-') && matches!(before, 'e' | 'E');
        before = letter;
        !(letter.is_ascii_digit() || is_sign || matches!(letter, '.' | 'e' | 'E'))
    })
    .unwrap_or(rest.len())
}

fn whole<'t>(value: Option<u64>, digits: &str, after: &'t str) -> Result<(Token, &'t str), String> {
    let value = value.ok_or_else(|| format!("invalid int literal {digits}"))?;
    if let Some(after) = after.strip_prefix(['u', 'U']) {
        return Ok((Token::Uint(value), after));
    }
    let value = i64::try_from(value).map_err(|_| format!("invalid int literal {digits}"))?;
    Ok((Token::Int(value), after))
}

/// A text or bytes, if one begins here.
fn quoted(rest: &str) -> Option<Result<(Token, &str), String>> {
    let (prefix, body) = split_where(rest, |letter| !letter.is_ascii_alphabetic());
    let prefix = prefix.to_ascii_lowercase();
    let (is_raw, is_bytes) = match prefix.as_str() {
        "" => (false, false),
        "r" => (true, false),
        "b" => (false, true),
        "br" | "rb" => (true, true),
        _ => return None,
    };
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| body.starts_with(quote))?;
    let inner = &body[quote.len()..];
    let Some(end) = text_end(inner, quote, is_raw) else {
        return Some(Err("a text is not closed".to_owned()));
    };
    let after = &inner[end + quote.len()..];
    let value = if is_raw {
        Ok(inner[..end].to_owned())
    } else {
        unescape(&inner[..end], is_bytes)
    };
    Some(value.map(|value| {
        let token = if is_bytes {
            Token::Bytes(bytes(&value))
        } else {
            Token::Text(value)
        };
        (token, after)
    }))
}

/// In bytes, an escaped octet stands as the letter of that number until here.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .flat_map(|letter| match u8::try_from(u32::from(letter)) {
            Ok(octet) => vec![octet],
            Err(_) => letter.to_string().into_bytes(),
        })
        .collect()
}

fn text_end(inner: &str, quote: &str, is_raw: bool) -> Option<usize> {
    let mut escaped = false;
    inner.char_indices().find_map(|(at, letter)| {
        if escaped {
            escaped = false;
        } else if letter == '\\' && !is_raw {
            escaped = true;
        } else if inner[at..].starts_with(quote) {
            return Some(at);
        }
        None
    })
}

fn unescape(text: &str, is_bytes: bool) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        let (letter, after) = escape(&rest[at + 1..], is_bytes)?;
        result.push(letter);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// What an escape stands for, and what follows it.
fn escape(rest: &str, is_bytes: bool) -> Result<(char, &str), String> {
    let kind = rest.chars().next().unwrap_or_default();
    let after = rest.get(kind.len_utf8()..).unwrap_or_default();
    let plain = |letter| Ok((letter, after));
    match kind {
        'n' => plain('\n'),
        't' => plain('\t'),
        'r' => plain('\r'),
        'a' => plain('\x07'),
        'b' => plain('\x08'),
        'f' => plain('\x0c'),
        'v' => plain('\x0b'),
        '\\' | '"' | '\'' | '`' | '?' => plain(kind),
        'x' | 'X' => coded(after, 2, 16),
        'u' if !is_bytes => coded(after, 4, 16),
        'U' if !is_bytes => coded(after, 8, 16),
        '0'..='3' => coded(rest, 3, 8),
        other => Err(format!("no escape: \\{other}")),
    }
}

fn coded(rest: &str, digits: usize, radix: u32) -> Result<(char, &str), String> {
    let code = rest.get(..digits).ok_or("an escape is cut off")?;
    u32::from_str_radix(code, radix)
        .ok()
        .and_then(char::from_u32)
        .map(|letter| (letter, &rest[digits..]))
        .ok_or_else(|| format!("no letter: {code}"))
}
