//! Reads Rust source as the tests of the house rules see it: without comments, texts and test modules.

use std::fs;
use std::path::Path;

/// One source file.
pub(crate) struct Source {
    /// Its path from the repository's root, with `/`.
    pub(crate) path: String,
    /// Its code: comments and texts are blanks, line breaks stay.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            code: blank(text),
        }
    }

    /// It holds nothing but tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs")
    }

    /// The code without modules and functions that only tests see.
    pub(crate) fn product(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = item_end(&code, start);
            let blanks = code[start..end].replace(|letter: char| letter != '\n', " ");
            code.replace_range(start..end, &blanks);
        }
        code
    }
}

/// All Rust files below a folder of the repository, in order.
pub(crate) fn read(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), folder, &mut found);
    found
}

fn walk(root: &Path, folder: &str, found: &mut Vec<Source>) {
    let mut names: Vec<_> = fs::read_dir(root.join(folder))
        .unwrap_or_else(|error| panic!("read {folder}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            walk(root, &path, found);
        } else if let Some(extension) = Path::new(&name).extension()
            && extension == "rs"
        {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            found.push(Source::new(&path, &text));
        }
    }
}

/// Where the item that begins at `start` ends: behind its `;` or its closing brace.
pub(crate) fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut braces = 0_usize;
    for (offset, letter) in code[start..].char_indices() {
        match letter {
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && depth == 0 {
                    return start + offset + 1;
                }
            }
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if braces == 0 && depth == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// The text with comments, texts and letters in quotes replaced by blanks.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skip = quoted(rest, code.chars().next_back());
        if skip == 0 {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else {
            code.extend(rest[..skip].chars().map(|hidden| match hidden {
                '\n' => '\n',
                _ => ' ',
            }));
            rest = &rest[skip..];
        }
    }
    code
}

/// How many bytes of a comment, a text or a letter in quotes begin here.
fn quoted(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return text_literal(rest);
    }
    if !in_word && let Some(length) = raw_literal(rest) {
        return length;
    }
    if rest.starts_with('\'') {
        return letter_literal(rest);
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn text_literal(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`.
fn raw_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inner = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - inner.len();
    let end = inner
        .find(&close)
        .map_or(rest.len(), |at| start + at + close.len());
    Some(end)
}

/// `'x'` or `'\n'`; a lifetime is no letter.
fn letter_literal(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => rest[2..].find('\'').map_or(rest.len(), |at| {
            // `'\''`: the first quote is the escaped one.
            if at == 0 && rest[3..].starts_with('\'') {
                4
            } else {
                at + 3
            }
        }),
        Some(_) => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&Source::new("src/x.rs", text).product()), code);
    }

    #[test]
    fn comments_and_texts_are_no_code() {
        check("let a = \"tokio \\\" {\"; // async", "let a = ;");
        check("/* a /* b */ c */ let b = r#\"} \" {\"#;", "let b = ;");
        check(
            "fn f<'a>(x: &'a str) -> char { '{' }",
            "fn f<'a>(x: &'a str) -> char { }",
        );
        check("let q = '\\''; let n = '\\n';", "let q = ; let n = ;");
    }

    #[test]
    fn test_modules_are_no_product() {
        check(
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { { } } }\nfn c() {}",
            "fn a() {} fn c() {}",
        );
        check("#[cfg(test)]\nmod tests;\nfn c() {}", "fn c() {}");
    }
}
