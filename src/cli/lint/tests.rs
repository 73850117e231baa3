use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use super::{Defaults, Report, lint, paths};
use crate::cli::exit::Exit;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn defaults() -> Defaults {
    Defaults {
        provider: "gatewayapi:v1".to_owned(),
        metrics_server: None,
    }
}

fn linted(text: &str) -> Report {
    let texts = [("it.yaml".to_owned(), text.to_owned())];
    lint(&texts, None, &defaults()).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "so that it reads well")]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&linted(text).text());
}

const CANARY: &str = "
apiVersion: serin.dev/v1beta1
kind: Canary
metadata: {name: web}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  provider: kubernetes
  service: {port: 80}
";

/// Who wrote a field is known to the cluster alone, so lint uses other words.
const OTHER_WORDS: [(&str, &str); 1] = [(
    "65-target-paused",
    "spec.paused: is written here, which would fight the gate: take the field out",
)];

#[test]
fn broken_manifests_are_found_with_their_message() {
    let files = paths(&[at("tests/broken")], true).unwrap();
    assert!(files.len() > 70, "{files:?}");
    let mut missed = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let refused = text.lines().next().unwrap();
        let refused = refused.strip_prefix("# refused: ").unwrap();
        let report = linted(&text);
        let found = report.text();
        let other = OTHER_WORDS.iter().find(|(known, _)| *known == name);
        let refused = other.map_or(refused, |(_, words)| words);
        let is_placed = report.findings.iter().all(|it| it.problem.place().line > 0);
        if !found.contains(refused) || !is_placed {
            missed.push(format!("{name}: {refused}\n{found}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn good_manifests_are_clean() {
    let named = [
        "examples/canary.yaml",
        "examples/tour.yaml",
        "tests/golden/router/gatewayapi/gateway/in.yaml",
        "tests/golden/router/gatewayapi/mesh/in.yaml",
        "tests/golden/router/none/worker/in.yaml",
        "src/cli/demo/checkout.yaml",
        "src/cli/demo/mailer.yaml",
        "src/cli/demo/payments.yaml",
        "src/cli/demo/reviews.yaml",
        "src/cli/demo/search.yaml",
        "src/cli/demo/storefront.yaml",
        "src/cli/demo/website.yaml",
    ];
    for file in named {
        let report = linted(&fs::read_to_string(at(file)).unwrap());
        assert!(report.checked > 0, "{file}");
        assert_eq!(report.exit(), Exit::Done, "{file}: {}", report.text());
    }
}

#[test]
fn a_clean_file_is_counted() {
    let others = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\nreplicas: 3\n";
    check(
        &format!("{CANARY}{others}"),
        expect!["1 object checked, nothing wrong, 2 of other kinds passed over\n"],
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_its_line() {
    let text = format!(
        "{CANARY}  hystoryLimit: 3
  analysis:
    threshold: many
    alerts: [{{name: a}}]
"
    );
    check(
        &text,
        expect![[r#"
            it.yaml:9:3: spec.hystoryLimit: is no field; did you mean historyLimit?
            it.yaml:11:5: spec.analysis.threshold: Invalid value: "string": spec.analysis.threshold in body must be of type integer: "string"
            it.yaml:12:14: spec.analysis.alerts[0].providerRef: Required value
            1 object checked, 3 wrong
        "#]],
    );
}

#[test]
fn misspelt_kinds_and_versions_are_found() {
    let kinds = "
{apiVersion: serin.dev/v1beta1, kind: Canery, metadata: {name: a}}
---
{apiVersion: serin.dev/v1alpha1, kind: Canary, metadata: {name: a}}
---
{kind: Canary, metadata: {name: a}}
---
{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: a}}
";
    check(
        kinds,
        expect![[r#"
        it.yaml:2:33: kind: Canery is no kind of serin.dev; did you mean Canary?
        it.yaml:4:2: apiVersion: serin.dev/v1alpha1 is not served; write serin.dev/v1beta1
        it.yaml:6:1: apiVersion: is missing: write for instance serin.dev/v1beta1
        3 objects checked, 3 wrong, 1 of other kinds passed over
        1 object of Flagger or Argo Rollouts: `serin migrate` converts them
    "#]],
    );
}

#[test]
fn templates_are_judged_alone_and_with_their_canary() {
    let text = "
apiVersion: serin.dev/v1beta1
kind: MetricTemplate
metadata: {name: a}
spec:
  provider: {type: influxdb}
  query: x
---
apiVersion: serin.dev/v1beta1
kind: MetricTemplate
metadata: {name: b}
spec:
  provider: {type: prometheus}
  query: x{a=\"{{ variables.a }}\"} {{ tarket }}
---
apiVersion: serin.dev/v1beta1
kind: MetricTemplate
metadata: {name: c}
spec:
  provider: {type: prometheus, address: http://prometheus}
  query: x{a=\"{{ variables.a }}\"}
";
    let metrics = "  analysis:
    metrics:
    - {name: a, templateRef: {name: a}, thresholdRange: {max: 1}}
    - {name: c, templateRef: {name: c}, thresholdRange: {max: 1}}
    - {name: d, templateRef: {name: d}, thresholdRange: {max: 1}}
";
    check(
        &format!("{CANARY}{metrics}---{text}"),
        expect![[r#"
            it.yaml:12:17: spec.analysis.metrics[1].templateRef: MetricTemplate "c": spec.query: {{ variables.a }}: there is no such variable
            it.yaml:13:17: spec.analysis.metrics[2].templateRef: there is no MetricTemplate "d" in "default"; no file has it (a warning)
            it.yaml:19:3: spec.provider.secretRef: is missing; influxdb answers nobody without credentials
            it.yaml:27:3: spec.query: {{ tarket }}: there is no such variable
            4 objects checked, 3 wrong, 1 warning
        "#]],
    );
}

#[test]
fn what_is_no_yaml_does_not_hide_the_rest() {
    let texts = [("a.yaml", "a: [1"), ("b.yaml", "kind: Canary\n")];
    let texts = texts.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let report = lint(&texts, None, &defaults()).unwrap();
    let files: Vec<_> = report.findings.iter().map(|it| it.problem.file()).collect();
    assert_eq!(files, ["a.yaml", "b.yaml"]);
    assert_eq!(report.exit(), Exit::Failed);
}

#[test]
fn what_has_no_form_at_all_is_no_reason_to_stop() {
    let text = "
7
---
[a]
---
{apiVersion: v1, kind: ConfigMap, metadata: text}
---
{apiVersion: serin.dev/v1beta1, kind: Canary, metadata: [text]}
---
{apiVersion: serin.dev/v1beta1, kind: Canary, metadata: {name: a}, spec: text}
---
{apiVersion: serin.dev/v1beta1, kind: Canary, metadata: {name: b}}
";
    let report = linted(text);
    assert_eq!((report.checked, report.passed_over), (3, 3));
    let names: Vec<_> = report
        .findings
        .iter()
        .map(|it| it.problem.place().line)
        .collect();
    assert_eq!(names, [8, 10, 12], "{}", report.text());
}

#[test]
fn templates_of_charts_are_not_wrong() {
    let report =
        linted("metadata:\n  {{- with .Values.labels }}\n  labels: {{ . }}\n  {{- end }}\n");
    assert_eq!(report.exit(), Exit::Done);
    assert!(
        report
            .text()
            .starts_with("it.yaml: is a template, and not checked")
    );
}

#[test]
fn programs_read_the_same() {
    let report = linted(&format!("{CANARY}  suspend: 1\n"));
    expect![[r#"
        {
          "checked": 1,
          "findings": [
            {
              "column": 3,
              "field": "spec.suspend",
              "file": "it.yaml",
              "kind": "Canary",
              "level": "error",
              "line": 9,
              "message": "Invalid value: \"integer\": spec.suspend in body must be of type boolean: \"integer\"",
              "name": "web",
              "namespace": "default"
            }
          ],
          "passedOver": 0
        }
    "#]].assert_eq(&report.json().unwrap());
}

#[test]
fn folders_are_read_when_that_is_asked_for() {
    let error = paths(&[at("tests/broken")], false).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is a folder: add -R to read it")
    );
    let found = paths(&[at("tests/golden/migrate")], true).unwrap();
    assert!(found.is_sorted() && found.iter().all(|it| it.extension().unwrap() == "yaml"));
}
