//! Files and functions fit a screen or a sitting, and no module has a name that says nothing.

use crate::source::{Source, item_end, read};

/// Lines of a file, its tests apart.
const FILE: usize = 500;

/// Files that are longer than that, and how long they may be until they are divided. A file that fits has to leave the list.
const LONGER: &[(&str, usize)] = &[];

/// Lines of a function's body with code in them. Clippy says the same, and counts tests too.
const FUNCTION: usize = 60;

/// Names under which anything could stand.
const EMPTY_NAMES: [&str; 13] = [
    "common", "data", "helper", "helpers", "info", "manager", "misc", "prelude", "service",
    "traits", "types", "util", "utils",
];

#[test]
fn files_and_functions_are_short() {
    let sources = ["src", "examples", "tests/it", "tests/mutants", "tests/real"].map(read);
    let found: Vec<_> = sources.iter().flatten().flat_map(too_long).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn modules_have_names_that_say_something() {
    let found: Vec<_> = read("src")
        .iter()
        .filter_map(|source| empty_name(&source.path))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn too_long(source: &Source) -> Vec<String> {
    let product = source.product();
    let lines = product.trim_end().lines().count();
    let mut found = Vec::new();
    let known = LONGER.iter().find(|(path, _)| *path == source.path);
    let limit = known.map_or(FILE, |(_, limit)| *limit);
    if lines > limit && !source.is_test() {
        found.push(format!("{}: {lines} lines, {limit} at most", source.path));
    }
    if lines <= FILE && known.is_some() {
        found.push(format!("{}: fits, so it leaves LONGER", source.path));
    }
    for (name, lines) in functions(&product) {
        if lines > FUNCTION {
            found.push(format!(
                "{}: fn {name} has {lines} lines, {FUNCTION} at most",
                source.path
            ));
        }
    }
    found
}

/// Name and lines of each function with a body.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let begins = code[..at].chars().next_back();
        if begins.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            continue;
        }
        let rest = &code[at + 3..];
        let name = rest
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .map_or(rest, |end| &rest[..end]);
        let item = &code[at..item_end(code, at)];
        if let Some(body) = item.find('{')
            && !name.is_empty()
        {
            let lines = item[body..].lines().filter(|line| !line.trim().is_empty());
            // The first line ends with the opening brace, the last is the closing one.
            found.push((name, lines.count().saturating_sub(2)));
        }
    }
    found
}

/// Names that are another project's word: the field managers of Kubernetes.
const BORROWED: [&str; 1] = ["src/digest/manager.rs"];

fn empty_name(path: &str) -> Option<String> {
    if BORROWED.contains(&path) {
        return None;
    }
    let parts = path.trim_end_matches(".rs").split('/').skip(1);
    let mut empty = parts.filter(|part| EMPTY_NAMES.contains(part));
    empty
        .next()
        .map(|name| format!("{path}: `{name}` says nothing about what it holds"))
}

#[test]
fn a_long_file_is_found() {
    let text = "const A: u8 = 1;\n".repeat(FILE + 1);
    assert_eq!(too_long(&Source::new("src/a.rs", &text)).len(), 1);
    assert_eq!(too_long(&Source::new("src/a/tests.rs", &text)).len(), 0);
    let tested = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{text}}}\n");
    assert_eq!(too_long(&Source::new("src/a.rs", &tested)).len(), 0);
}

#[test]
fn a_long_function_is_found() {
    let body = |lines: usize| format!("fn f(a: [u8; 2]) {{\n{}}}\n", "    a();\n".repeat(lines));
    assert_eq!(functions(&body(3)), [("f", 3)]);
    assert!(too_long(&Source::new("src/a.rs", &body(FUNCTION))).is_empty());
    assert_eq!(
        too_long(&Source::new("src/a.rs", &body(FUNCTION + 1))).len(),
        1
    );
}

#[test]
fn an_empty_name_is_found() {
    assert!(empty_name("src/util.rs").is_some());
    assert!(empty_name("src/a/utils/mod.rs").is_some());
    assert!(empty_name("src/workload/services.rs").is_none());
}
