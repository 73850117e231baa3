//! Tests of the definitions, and of the broken Canaries in `tests/broken`.

use std::fs;
use std::path::PathBuf;

use expect_test::expect_file;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::crd::definition::{self, SERVICE_LATER};
use crate::crd::refusals::refusals;
use crate::crd::{rules, schema};

/// A Canary that is refused, and where.
struct Broken {
    file: String,
    refused: String,
    by_condition: bool,
    canary: Value,
}

fn broken() -> Vec<Broken> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    files.iter().map(read).collect()
}

fn read(path: &PathBuf) -> Broken {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let refused = lines.next().unwrap().strip_prefix("# refused: ").unwrap();
    let by = lines.next().unwrap().strip_prefix("# by: ").unwrap();
    assert!(["apiserver", "condition"].contains(&by), "{file}");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let canary = documents.last().unwrap().clone();
    assert_eq!(
        canary["kind"], "Canary",
        "{file}: the Canary is the last document"
    );
    Broken {
        file,
        refused: refused.to_owned(),
        by_condition: by == "condition",
        canary,
    }
}

fn root() -> JSONSchemaProps {
    let definition = definition::definitions().swap_remove(0);
    let version = definition.spec.versions.into_iter().next().unwrap();
    version.schema.unwrap().open_api_v3_schema.unwrap()
}

#[test]
fn definitions_in_the_repository_are_fresh() {
    let files = [
        expect_file!["../../crds/canaries.serin.dev.yaml"],
        expect_file!["../../crds/metrictemplates.serin.dev.yaml"],
        expect_file!["../../crds/alertproviders.serin.dev.yaml"],
    ];
    for (file, text) in files.iter().zip(definition::documents()) {
        file.assert_eq(&text);
    }
}

#[test]
fn rules_stand_where_they_say() {
    let mut root = root();
    let places = rules::CANARY.iter().map(|rule| rule.at);
    for place in places.chain(rules::DURATIONS.iter().map(|field| field.at)) {
        let found = schema::at(&mut root, place)
            .and_then(|schema| schema.x_kubernetes_validations.as_ref());
        assert!(found.is_some_and(|rules| !rules.is_empty()), "{place}");
    }
}

#[test]
fn every_number_of_a_spec_has_limits() {
    let mut root = root();
    let spec = schema::at(&mut root, "spec").unwrap();
    schema::everywhere(spec, &|schema| {
        let unlimited = schema.minimum.is_none() || schema.maximum.is_none();
        // Those of other projects' objects are not ours to limit.
        let ours = schema
            .format
            .as_deref()
            .is_some_and(|format| format.starts_with("int"));
        assert!(!(ours && unlimited), "{:?}", schema.description);
    });
}

/// The API server refuses a definition whose own default it would refuse; the simulated one does not look.
#[test]
fn every_text_that_is_a_default_is_long_enough() {
    let mut root = root();
    for part in ["spec", "status"] {
        let fields = schema::at(&mut root, part).unwrap();
        schema::everywhere(fields, &|schema| {
            let text = schema.default.as_ref().and_then(|it| it.0.as_str());
            let short =
                text.is_some_and(|text| (text.len() as i64) < schema.min_length.unwrap_or(0));
            assert!(!short, "{:?}", schema.description);
        });
    }
}

#[test]
fn fields_that_come_later_reach_the_refusals() {
    let generated = serde_json::to_value(Canary::crd()).unwrap();
    let service =
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/service/properties";
    let known = generated.pointer(service).unwrap();
    for (name, ..) in SERVICE_LATER {
        assert!(known.get(name).is_none(), "{name} is there already");
        let found = texts(&json!({"service": {"port": 80, name: "x"}}));
        assert!(
            found.contains(&format!("spec.service.{name}: it comes")),
            "{found}"
        );
    }
}

#[test]
fn the_smallest_canary_is_not_refused() {
    assert_eq!(texts(&json!({"service": {"port": 80}})), "");
    assert_eq!(texts(&json!({"provider": "none"})), "");
    let off = json!({"service": {"port": 80}, "analysis": {"comparison": {"enabled": false}}});
    assert_eq!(texts(&off), "");
}

#[test]
fn credentials_in_an_address_are_refused_and_not_repeated() {
    for address in [
        "http://user:secret@prometheus",
        "ftp://prometheus",
        "http://",
        "http://prometheus?a=b",
    ] {
        let found = texts(&json!({"service": {"port": 80}, "metricsServer": address}));
        assert!(
            found.contains("spec.metricsServer: is not the URL of a server"),
            "{address}: {found}"
        );
        assert!(!found.contains("secret"), "{found}");
    }
    let right =
        json!({"service": {"port": 80}, "metricsServer": "https://prometheus.test:9090/prefix"});
    assert_eq!(texts(&right), "");
}

/// What is refused about a Deployment's Canary with these fields.
fn texts(fields: &Value) -> String {
    let mut spec =
        json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}});
    spec.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    said(&json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web"}, "spec": spec})).unwrap()
}

/// What is refused about a Canary, or why it cannot be read.
fn said(canary: &Value) -> Result<String, serde_json::Error> {
    let canary: Canary = serde_json::from_value(canary.clone())?;
    let texts: Vec<String> = refusals(&canary).iter().map(ToString::to_string).collect();
    Ok(texts.join("\n"))
}

#[test]
fn broken_canaries_of_the_api_server_are_refused_without_it() {
    for row in broken().into_iter().filter(|row| !row.by_condition) {
        let passes = said(&row.canary).is_ok_and(|texts| texts.is_empty());
        assert!(!passes, "{}: nothing is refused", row.file);
    }
}

#[test]
fn broken_canaries_of_a_condition_can_be_read() {
    for row in broken().into_iter().filter(|row| row.by_condition) {
        let texts = said(&row.canary).unwrap();
        // What only the cluster knows is found there.
        assert!(
            texts.is_empty() || texts.contains(&row.refused),
            "{}: {texts}",
            row.file
        );
    }
}

#[test]
fn broken_canaries_cover_what_comes_later() {
    let rows = broken();
    assert!(rows.len() >= 40);
    let by_spec = rows
        .iter()
        .filter(|row| row.by_condition && !said(&row.canary).unwrap().is_empty());
    assert!(by_spec.count() >= 12);
}
