//! Who may use what: the table of ARCHITECTURE.md, and the words that pure modules must not say.

use crate::source::{Source, read};

/// What one module may use of ours, and what of others' it must not name.
struct Layer {
    module: &'static str,
    /// Modules and paths of this crate; everything below a path is meant too.
    uses: &'static [&'static str],
    /// Words and paths that must not appear.
    banned: &'static [&'static [&'static str]],
}

/// Waiting and its runtimes.
const WAITING: &[&str] = &["async", "await", "tokio", "futures", "std::thread"];
/// What answers differently the next time.
const CHANCE: &[&str] = &[
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Instant::now",
    "HashMap",
    "HashSet",
    "rand",
    "std::env",
];
/// Files, sockets, programs, other people's servers.
const WORLD: &[&str] = &[
    "std::fs",
    "std::io",
    "std::process",
    "tokio::net",
    "tokio::fs",
    "tokio::process",
    "reqwest",
    "hyper",
];
/// Addresses, and what is opened at them.
const NET: &[&str] = &["std::net"];
/// Clients of the API server.
const CLIENT: &[&str] = &[
    "kube::Client",
    "kube::client",
    "kube::Api",
    "kube::api::Api",
    "kube::runtime",
    "kube::Config",
];
/// What serves, and what people type.
const SURFACE: &[&str] = &["axum", "clap", "anyhow"];
/// Logs and metrics.
const TELLING: &[&str] = &["tracing", "prometheus_client", "println", "eprintln"];
/// How tests and the shell know the time.
const CLOCK: &[&str] = &[
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "std::time::Instant",
];

const PURE: &[&[&str]] = &[WAITING, CHANCE, WORLD, NET, CLIENT, SURFACE, TELLING];
const ADAPTER: &[&[&str]] = PURE;

/// The table, from the bottom to the top. A module that is not here may not exist.
const LAYERS: &[Layer] = &[
    layer("clock", &[], &[WORLD, NET, CLIENT, SURFACE, TELLING]),
    layer("objects", &[], PURE),
    layer("crd", &["objects::mark"], PURE),
    layer("analysis", &["crd"], PURE),
    layer("digest", &["objects"], PURE),
    layer("rollout", &["crd", "analysis", "objects::mark"], PURE),
    layer(
        "workload",
        &[
            "crd",
            "objects",
            "digest",
            "rollout::decision",
            "rollout::observed",
        ],
        ADAPTER,
    ),
    layer(
        "router",
        &[
            "crd",
            "objects",
            "digest",
            "rollout::decision",
            "rollout::observed",
        ],
        ADAPTER,
    ),
    layer(
        "metrics",
        &["crd", "analysis", "rollout::decision", "rollout::observed"],
        ADAPTER,
    ),
    layer("hooks", &["crd", "rollout::observed"], ADAPTER),
    layer("alerts", &["crd"], ADAPTER),
    layer("admission", &["objects::mark"], ADAPTER),
    layer("http_client", &["clock"], &[CLIENT, SURFACE, CLOCK]),
    // How logs look is a flag, so `clap` may read it.
    layer(
        "telemetry",
        &["crd"],
        &[WORLD_BUT_IO, CLIENT, &["axum", "anyhow"], CLOCK],
    ),
    layer(
        "cluster",
        &[
            "crd",
            "objects",
            "digest",
            "clock",
            "rollout::decision::Note",
        ],
        &[SURFACE, CLOCK],
    ),
    layer(
        "controller",
        &[
            "alerts",
            "analysis",
            "clock",
            "cluster",
            "crd",
            "digest",
            "hooks",
            "http_client",
            "metrics",
            "objects",
            "rollout",
            "router",
            "telemetry",
            "workload",
        ],
        &[SURFACE, CLOCK],
    ),
    layer(
        "server",
        &[
            "admission",
            "clock",
            "cluster",
            "crd",
            "objects::mark",
            "rollout::verbs",
            "telemetry",
        ],
        &[&["clap", "anyhow", "reqwest"], CLOCK],
    ),
    // No adapter and nothing of the core: a wrong renderer must not agree with itself.
    // `sim::listen` has a socket, for programs that are no part of the tests.
    layer(
        "sim",
        &["clock", "crd"],
        &[WORLD_BUT_NET, &["clap", "anyhow", "reqwest"], CLOCK],
    ),
    layer("cli", EVERYTHING, &[CLOCK]),
];
const WORLD_BUT_NET: &[&str] = &[
    "std::fs",
    "std::io",
    "std::process",
    "tokio::fs",
    "tokio::process",
];
const WORLD_BUT_IO: &[&str] = &["std::fs", "std::net", "tokio::net", "reqwest", "hyper"];
const EVERYTHING: &[&str] = &[
    "admission",
    "alerts",
    "analysis",
    "clock",
    "cluster",
    "controller",
    "crd",
    "digest",
    "hooks",
    "http_client",
    "metrics",
    "objects",
    "rollout",
    "router",
    "server",
    "sim",
    "telemetry",
    "workload",
];

/// Words that one module alone may say.
const DOORS: &[(&str, &[&str])] = &[
    ("Timestamp::now", &["clock"]),
    ("reqwest", &["http_client"]),
    ("TcpListener", &["server", "cli", "sim"]),
];

const fn layer(
    module: &'static str,
    uses: &'static [&'static str],
    banned: &'static [&'static [&'static str]],
) -> Layer {
    Layer {
        module,
        uses,
        banned,
    }
}

#[test]
fn modules_use_what_they_may() {
    let found: Vec<_> = read("src").iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Every breach of one file, as a line for people.
fn breaches(source: &Source) -> Vec<String> {
    let place = module_path(&source.path);
    let Some(module) = place.first() else {
        return Vec::new();
    };
    if source.is_test() {
        return Vec::new();
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.module == module) else {
        return vec![format!(
            "{}: module `{module}` is not in the table of tests/it/layers.rs",
            source.path
        )];
    };
    let mut found: Vec<String> = paths(&source.product(), &place)
        .iter()
        .filter_map(|path| objection(layer, path))
        .map(|why| format!("{}: {why}", source.path))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Why a module must not name a path, if it must not.
fn objection(layer: &Layer, path: &[String]) -> Option<String> {
    let module = layer.module;
    let whole = path.join("::");
    if let [first, ours, ..] = path
        && first == "crate"
    {
        let inner = &path[1..];
        let may = ours == module || layer.uses.iter().any(|may| starts_with(inner, may));
        return (!may).then(|| format!("`{module}` may not use `{whole}`"));
    }
    let banned = layer.banned.iter().flat_map(|words| words.iter());
    if let Some(word) = banned.copied().find(|word| contains(path, word)) {
        return Some(format!("`{module}` may not say `{word}` (`{whole}`)"));
    }
    let door = DOORS
        .iter()
        .find(|(word, keepers)| contains(path, word) && !keepers.contains(&module));
    door.map(|(word, keepers)| format!("only {keepers:?} may say `{word}`, not `{module}`"))
}

fn starts_with(path: &[String], prefix: &str) -> bool {
    let mut path = path.iter();
    prefix
        .split("::")
        .all(|part| path.next().is_some_and(|own| own == part))
}

fn contains(path: &[String], word: &str) -> bool {
    let word: Vec<_> = word.split("::").collect();
    path.windows(word.len())
        .any(|window| window.iter().eq(word.iter()))
}

/// The module that a file is: `src/a/b.rs` is `a::b`, `src/a/mod.rs` is `a`; `main.rs` and `lib.rs` are none.
fn module_path(path: &str) -> Vec<String> {
    let parts = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts: Vec<_> = parts
        .split('/')
        .filter(|part| *part != "mod")
        .map(str::to_owned)
        .collect();
    match parts.as_slice() {
        [one] if one == "main" || one == "lib" => Vec::new(),
        _ => parts,
    }
}

/// Every path that code names, in `use` trees and elsewhere; those of this crate begin with `crate`.
fn paths(code: &str, place: &[String]) -> Vec<Vec<String>> {
    let words = words(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if is_name(words[at]) {
            at = tree(&words, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
        .into_iter()
        .map(|path| absolute(path, place))
        .collect()
}

/// Reads a path and the groups in braces behind it; returns where it ends.
fn tree(words: &[&str], start: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    let mut at = start;
    while let Some(name) = words.get(at).filter(|word| is_name(word)) {
        path.push((*name).to_owned());
        at += 1;
        if words.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    if words.get(at) != Some(&"{") || words.get(at.wrapping_sub(1)) != Some(&"::") {
        found.push(path);
        return at.max(start + 1);
    }
    at += 1;
    while let Some(word) = words.get(at) {
        match *word {
            "}" => return at + 1,
            word if is_name(word) || word == "{" => at = tree(words, at, &path, found),
            _ => at += 1,
        }
    }
    at
}

/// Names, `::`, and single other letters.
fn words(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(letter) = rest.chars().next() {
        let name = rest
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let length = match name {
            0 if rest.starts_with("::") => 2,
            0 => letter.len_utf8(),
            length => length,
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// Replaces leading `self` and `super` by what they mean here.
fn absolute(path: Vec<String>, place: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let to_self = path.first().is_some_and(|part| part == "self");
    if path.len() < 2 || supers == 0 && !to_self {
        return path;
    }
    let kept = place.len().saturating_sub(supers);
    let mut whole = vec!["crate".to_owned()];
    whole.extend_from_slice(&place[..kept]);
    whole.extend(path.into_iter().skip(supers.max(1)));
    whole
}

#[cfg(test)]
mod planted {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "so that it reads well")]
    fn check(path: &str, text: &str, expected: Expect) {
        expected.assert_eq(&breaches(&Source::new(path, text)).join("\n"));
    }

    #[test]
    fn a_use_of_a_higher_module_is_found() {
        check(
            "src/rollout/plan.rs",
            "use crate::cluster::Cluster;",
            expect!["src/rollout/plan.rs: `rollout` may not use `crate::cluster::Cluster`"],
        );
        check(
            "src/rollout/plan.rs",
            "use crate::{crd::canary::Canary, objects::{mark, Live}};",
            expect!["src/rollout/plan.rs: `rollout` may not use `crate::objects::Live`"],
        );
        check(
            "src/router/none.rs",
            "fn f() { crate::rollout::advance() }",
            expect!["src/router/none.rs: `router` may not use `crate::rollout::advance`"],
        );
        check(
            "src/router/none.rs",
            "use super::super::workload;",
            expect!["src/router/none.rs: `router` may not use `crate::workload`"],
        );
    }

    #[test]
    fn a_banned_word_is_found() {
        check(
            "src/rollout/mod.rs",
            "use kube::{Api, ResourceExt}; async fn f() {}",
            expect![[r#"
                src/rollout/mod.rs: `rollout` may not say `async` (`async`)
                src/rollout/mod.rs: `rollout` may not say `kube::Api` (`kube::Api`)"#]],
        );
        check(
            "src/analysis/counts.rs",
            "fn f() { let _ = jiff::Timestamp::now(); let m: std::collections::HashMap<u8, u8>; }",
            expect![[r#"
                src/analysis/counts.rs: `analysis` may not say `HashMap` (`std::collections::HashMap`)
                src/analysis/counts.rs: `analysis` may not say `Timestamp::now` (`jiff::Timestamp::now`)"#]],
        );
        check(
            "src/server/api.rs",
            "use reqwest::Client;",
            expect!["src/server/api.rs: `server` may not say `reqwest` (`reqwest::Client`)"],
        );
    }

    #[test]
    fn a_door_has_its_keeper() {
        check(
            "src/controller/mod.rs",
            "use tokio::net::TcpListener; use reqwest::Client;",
            expect![[r#"
                src/controller/mod.rs: only ["http_client"] may say `reqwest`, not `controller`
                src/controller/mod.rs: only ["server", "cli", "sim"] may say `TcpListener`, not `controller`"#]],
        );
    }

    #[test]
    fn a_module_without_a_row_is_found() {
        check(
            "src/helper.rs",
            "fn f() {}",
            expect!["src/helper.rs: module `helper` is not in the table of tests/it/layers.rs"],
        );
    }

    #[test]
    fn what_is_allowed_passes() {
        check(
            "src/rollout/plan.rs",
            "//! tokio\nuse crate::crd::status::Phase;\nuse crate::rollout::tick::Tick;\nfn f() -> &'static str { \"async\" }",
            expect![""],
        );
        check(
            "src/analysis/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::rollout::advance; }",
            expect![""],
        );
        check("src/lib.rs", "pub mod cluster;", expect![""]);
    }
}
