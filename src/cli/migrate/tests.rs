use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;

use super::{Converted, convert};
use crate::cli::exit::Exit;
use crate::cli::lint::{self, Defaults};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/migrate")
}

fn converted(text: &str) -> Converted {
    let texts = [("in.yaml".to_owned(), text.to_owned())];
    convert(&texts, None).unwrap()
}

/// The cases: a folder each, with what goes in, what comes out and what is said.
fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

#[test]
fn manifests_are_converted_as_the_files_say() {
    for case in cases() {
        let converted = converted(&fs::read_to_string(case.join("in.yaml")).unwrap());
        expect_file![case.join("out.yaml")].assert_eq(&converted.yaml().unwrap());
        expect_file![case.join("report.txt")].assert_eq(&converted.report());
    }
}

#[test]
fn what_comes_out_passes_lint_or_the_report_says_why_not() {
    let defaults = Defaults {
        provider: "gatewayapi:v1".to_owned(),
        metrics_server: Some("http://prometheus".to_owned()),
    };
    let mut clean = 0;
    for case in cases() {
        let converted = converted(&fs::read_to_string(case.join("in.yaml")).unwrap());
        let texts = [("out.yaml".to_owned(), converted.yaml().unwrap())];
        let report = lint::lint(&texts, None, &defaults).unwrap();
        clean += usize::from(report.findings.is_empty());
        for finding in &report.findings {
            let told = converted.report();
            let message = finding.problem.message();
            assert!(
                told.contains(message),
                "{}: {message}\n{told}",
                case.display()
            );
        }
        let is_clean = report.findings.is_empty();
        assert!(
            is_clean || converted.exit() == Exit::Failed,
            "{}",
            case.display()
        );
    }
    assert!(clean >= 5, "{clean}");
}

#[test]
fn every_field_that_went_in_is_in_the_report() {
    for case in cases() {
        let text = fs::read_to_string(case.join("in.yaml")).unwrap();
        let told = converted(&text).report();
        let old: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        for object in old.iter().filter(|it| is_old(it)) {
            let lost = untold("spec", &object["spec"], &told);
            assert!(lost.is_empty(), "{}: {lost:?}\n{told}", case.display());
        }
    }
}

/// The paths below this one that are neither told themselves nor by all that is in them.
fn untold(path: &str, value: &serde_json::Value, told: &str) -> Vec<String> {
    let ends = [":", ",", "\n"];
    if ends
        .iter()
        .any(|end| told.contains(&format!(" {path}{end}")))
    {
        return Vec::new();
    }
    let below: Vec<_> = match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (format!("{path}.{name}"), value))
            .collect(),
        serde_json::Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (format!("{path}[{index}]"), value))
            .collect(),
        _ => Vec::new(),
    };
    if below.is_empty() && *value != serde_json::Value::Bool(false) {
        return vec![path.to_owned()];
    }
    let rest = below.into_iter();
    rest.flat_map(|(path, value)| untold(&path, value, told))
        .collect()
}

fn is_old(object: &serde_json::Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap();
    version.starts_with("flagger.app/") || version.starts_with("argoproj.io/")
}

#[test]
fn a_field_that_nobody_knows_is_not_dropped_in_silence() {
    let text = "
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: a}
spec:
  targetRef: {kind: Deployment, name: a}
  provider: kubernetes
  service: {port: 80}
  analysis: {iterations: 3, interval: [1m], shadow: true}
  hats: 3
";
    let converted = converted(text);
    let told = converted.report();
    for field in [
        "spec.hats",
        "spec.analysis.shadow",
        "spec.analysis.interval",
    ] {
        let line = format!("{field}: is not known here, and is left out");
        assert!(told.contains(&line), "{field}\n{told}");
    }
    assert_eq!(converted.exit(), Exit::Failed);
}

#[test]
fn what_is_no_object_is_wrong_usage() {
    for text in ["a: [1", "apiVersion: flagger.app/v1beta1\nkind: Canary\n"] {
        let texts = [("in.yaml".to_owned(), text.to_owned())];
        let error = convert(&texts, None).unwrap_err();
        assert!(error.is::<crate::cli::exit::Misuse>(), "{error}");
    }
}

#[test]
fn files_that_are_there_are_not_touched() {
    let folder = std::env::temp_dir().join(format!("serin-migrate-{}", std::process::id()));
    let text = fs::read_to_string(cases()[0].join("in.yaml")).unwrap();
    let converted = converted(&text);
    converted.write(&folder).unwrap();
    let written = fs::read_to_string(folder.join("in.yaml")).unwrap();
    let again = converted.write(&folder);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(written, converted.yaml().unwrap());
    assert!(again.is_err());
}

#[test]
fn numbers_in_old_forms_of_yaml_keep_their_value() {
    let text = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a, version: \"1.10\", flag: \"yes\"}}
    spec:
      containers: [{name: a, image: a}]
      volumes: [{name: a, secret: {secretName: a, defaultMode: 0440}}]
  strategy: {blueGreen: {activeService: a}}
";
    let object = &converted(text).objects[0].1;
    let template = &object["spec"]["template"];
    assert_eq!(
        template["spec"]["volumes"][0]["secret"]["defaultMode"],
        0o440
    );
    let yaml = converted(text).yaml().unwrap();
    let again: Vec<serde_json::Value> = serde_saphyr::from_multiple(&yaml).unwrap();
    assert_eq!(again[0], *object);
}

#[test]
fn files_of_one_name_keep_their_folders() {
    let files = ["a/in.yaml", "../b/in.yaml", "/c/d.yaml", "standard input"];
    let names: Vec<_> = super::named(&files)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    let expected = ["a/in.yaml", "b/in.yaml", "d.yaml", "standard-input.yaml"];
    assert_eq!(names, expected.map(PathBuf::from));
}

#[test]
fn odd_values_stop_nothing() {
    let text = "
{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: a}, spec: text}
---
{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: b}, spec: {analysis: {stepWeight: 1, maxWeight: 9999999999999,
  metrics: [1, {name: 2}], webhooks: [3, {type: confirm-promotion}], alerts: [{}]}, targetRef: [], service: 7}}
---
{apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {name: c}, spec: {metrics: [1, {failureLimit: 9223372036854775807,
  provider: {prometheus: {}}}], args: [1]}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: d}, spec: {strategy: {canary: {steps: [1, {setWeight: -5},
  {pause: 3}], analysis: {templates: [{templateName: c}, 4], args: [{}]}, trafficRouting: {plugins: 3}}}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: e}, spec: []}
";
    let converted = converted(text);
    assert_eq!(converted.accounts.len(), 5);
    assert!(
        converted
            .accounts
            .iter()
            .filter(|it| it.needs_a_person())
            .count()
            >= 4
    );
    for field in [
        "spec.targetRef",
        "spec.service",
        "spec.strategy.canary.steps[2].pause",
    ] {
        assert!(
            converted.report().contains(field),
            "{field}\n{}",
            converted.report()
        );
    }
}
