//! The pages for people say what the code does: every field, reason and metric is there, and every link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::source::read;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The pages whose links are followed.
const PAGES: [&str; 21] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SAFETY.md",
    "chart/serin/README.md",
    "dashboards/README.md",
    "docs/alerts.md",
    "docs/api.md",
    "docs/gate.md",
    "docs/hooks.md",
    "docs/migrate.md",
    "docs/operations.md",
    "docs/pipelines.md",
    "docs/providers.md",
    "docs/reference.md",
    "docs/analysis.md",
    "docs/simulate.md",
    "docs/ui.md",
    "tests/cluster/README.md",
    "tests/conformance/README.md",
];

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path))
        .unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Words in backquotes, and what stands between commas and the like in them.
fn named(page: &str) -> BTreeSet<&str> {
    let spans = page.split('`').skip(1).step_by(2);
    spans
        .flat_map(|span| span.split(|letter: char| !letter.is_alphanumeric() && letter != '_'))
        .collect()
}

#[track_caller]
fn all_named(wanted: &BTreeSet<String>, what: &str) {
    let page = page("docs/reference.md");
    let named = named(&page);
    let missing: Vec<_> = wanted
        .iter()
        .filter(|name| !named.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/reference.md lacks {what}: {missing:?}"
    );
    assert!(wanted.len() > 10, "found only {wanted:?}");
}

#[test]
fn every_reason_is_explained() {
    let calls = ["note(", "warn(", "refusal(", "warning(", "reason:"];
    let mut reasons = BTreeSet::new();
    for source in read("src") {
        // Those of the simulated API server are Kubernetes'.
        let shown = ["src/cli/", "src/server/", "src/sim/"];
        if source.is_test() || shown.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        let text = page(&source.path);
        let text = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        for call in calls {
            reasons.extend(text.split(call).skip(1).filter_map(reason));
        }
    }
    all_named(&reasons, "reasons");
}

/// The text that begins here, if it looks like a reason.
fn reason(rest: &str) -> Option<String> {
    let (word, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    let camel = word.starts_with(|letter: char| letter.is_ascii_uppercase())
        && word.chars().all(|letter| letter.is_ascii_alphabetic());
    camel.then(|| word.to_owned())
}

#[test]
fn every_metric_is_listed() {
    let mut metrics = BTreeSet::new();
    for path in ["src/telemetry/mod.rs", "src/telemetry/gauges.rs"] {
        let text = page(path);
        for word in text.split('"').skip(1).step_by(2) {
            let is_metric = word.starts_with("serin_")
                && word
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter == '_');
            if is_metric {
                metrics.insert(word.to_owned());
            }
        }
    }
    let page = page("docs/reference.md");
    let named = named(&page);
    // The text format adds an end to the names of counters and of what describes itself.
    let listed = |name: &String| {
        ["", "_total", "_info"]
            .iter()
            .any(|end| named.contains(format!("{name}{end}").as_str()))
    };
    let missing: Vec<_> = metrics.iter().filter(|name| !listed(name)).collect();
    assert!(missing.is_empty(), "docs/reference.md lacks {missing:?}");
    assert!(metrics.len() > 20, "found only {metrics:?}");
}

#[test]
fn every_field_of_a_canary_is_listed() {
    let crd = page("crds/canaries.serin.dev.yaml");
    let spec = crd
        .lines()
        .skip_while(|line| line.trim() != "spec:" || !line.starts_with("          "))
        .skip(1)
        .take_while(|line| line.trim() != "status:" || line.trim_start().len() + 10 < line.len());
    let mut fields = BTreeSet::new();
    let mut depth = None;
    for line in spec {
        let indent = line.len() - line.trim_start().len();
        if line.trim() == "properties:" && depth.is_none() {
            depth = Some(indent + 2);
        } else if Some(indent) == depth
            && let Some(field) = line.trim().strip_suffix(':')
        {
            fields.insert(field.to_owned());
        }
    }
    all_named(&fields, "fields");
}

#[test]
fn every_test_that_safety_names_is_there() {
    let sources = ["src", "tests"].map(read);
    let code: Vec<_> = sources
        .iter()
        .flatten()
        .map(|source| &source.code)
        .collect();
    let text = page("SAFETY.md");
    let rows = text.split("## Bugs of other controllers").nth(1);
    let rows = rows.and_then(|rest| rest.split("\n## ").next());
    let names: Vec<_> = named(rows.unwrap_or_default())
        .into_iter()
        .filter(|name| name.matches('_').count() > 2)
        .collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| {
            !code
                .iter()
                .any(|code| code.contains(&format!("fn {name}(")))
        })
        .collect();
    assert!(missing.is_empty(), "SAFETY.md names {missing:?}");
    assert!(names.len() > 30, "found only {names:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for path in PAGES {
        let text = page(path);
        for (target, _) in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let file = target.split('#').next().unwrap_or_default();
            let folder = Path::new(ROOT).join(path);
            let found = folder
                .parent()
                .is_some_and(|folder| folder.join(file).exists());
            if !target.contains("://") && !file.is_empty() && !found {
                dead.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}
