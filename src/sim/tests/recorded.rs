//! What a real API server answered (tests/golden/sim), taken again with our functions.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::apply::{Writer, apply, keep, settle, track};
use crate::sim::defaults::{fill, prepare};
use crate::sim::kinds::Served;
use crate::sim::patch;
use crate::sim::refusal::Refusal;
use crate::sim::shape::Shape;
use crate::sim::store::Key;
use crate::sim::validity::check;

/// Steps that end otherwise here, and why.
const OTHERWISE: &[(&str, usize, &str)] = &[
    ("custom-apply", 2, "the schema of the CRD refuses the null"),
    ("custom-apply", 4, "the schema of the CRD refuses the null"),
    ("errors-patch", 7, "who calls compares revisions"),
    ("errors-patch", 19, "who calls compares names"),
    ("errors-patch", 20, "types of scalars are not known"),
    ("invalid-deployment", 28, "who calls knows what there is"),
    ("invalid-deployment", 32, "who calls compares names"),
    ("pod", 4, "what may change in a Pod is not checked"),
];

/// One object of a case, between its steps.
struct Taken {
    kind: String,
    shape: Shape,
    key: Key,
    live: Option<Value>,
}

#[test]
fn answers_are_those_of_a_real_api_server() {
    let mut found = Vec::new();
    let cases = read("cases");
    let names = cases["cases"].as_object().unwrap().keys();
    for name in names {
        found.extend(take(name, &read(name), &cases["crds"]));
    }
    assert!(
        found.is_empty(),
        "{} differ:\n{}",
        found.len(),
        found.join("\n")
    );
}

fn read(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sim");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Takes the steps of a case, and says what differs.
fn take(name: &str, case: &Value, crds: &Value) -> Vec<String> {
    let mut taken = Taken::new(case, crds);
    let mut found = Vec::new();
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let now: Timestamp = format!("2026-01-01T00:00:{number:02}Z").parse().unwrap();
        let (wanted, got) = (&step["reply"], taken.step(step, now));
        if wanted["kind"] == "Scale" {
            taken.live = got.ok().map(scaled);
            continue;
        }
        let difference = match &got {
            Ok(got) => difference(wanted, got),
            Err(refusal) => difference(&essence(wanted), &essence(&refusal.status())),
        };
        let known = OTHERWISE
            .iter()
            .any(|(other, at, _)| (*other, *at) == (name, number));
        match (difference, known) {
            (Some(difference), false) => found.push(format!("{name} {number}: {difference}")),
            (None, true) => found.push(format!("{name} {number}: is the same by now")),
            _ => {}
        }
        // Later steps start from what a real API server had.
        if wanted["kind"] != "Status" {
            taken.live = Some(wanted.clone());
        }
    }
    found
}

/// A scale is answered with another object; what it wrote shows in the next step.
fn scaled(mut object: Value) -> Value {
    let generation = object["metadata"]["generation"].as_i64();
    object["metadata"]["generation"] = json!(generation.map(|generation| generation + 1));
    object
}

impl Taken {
    fn new(case: &Value, crds: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let path: Vec<_> = case["path"].as_str().unwrap().split('/').collect();
        let group = if path[1] == "api" { "" } else { path[2] };
        let kind = text(&case["kind"]);
        let namespace = if path.contains(&"namespaces") {
            "golden"
        } else {
            ""
        };
        let mut crds = crds.as_array().unwrap().iter();
        let shape = match crds.find(|crd| crd["spec"]["names"]["kind"] == *kind) {
            Some(crd) => Shape::of(&served(crd, &kind)),
            None => Shape::built_in(group, &kind),
        };
        let key = Key::new(group, path[path.len() - 1], namespace, &text(&case["name"]));
        Self {
            kind,
            shape,
            key,
            live: None,
        }
    }

    /// What an API server does around our functions.
    fn step(&self, step: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let body = &step["body"];
        let subresource = step["subresource"].as_str();
        let version = self.version(body);
        let writer = Writer {
            manager: step["manager"].as_str().unwrap(),
            api_version: &version,
            subresource,
            now,
        };
        let wanted = &step["reply"];
        let live = self.live.as_ref();
        let mut object = live.cloned().unwrap_or(Value::Null);
        match step["verb"].as_str().unwrap() {
            "create" => return self.create(body.clone(), &writer, wanted),
            "apply" => {
                object = apply(&self.shape, live, body, &writer, step["force"] == true)?;
                if live.is_none() {
                    prepare(&self.kind, &mut object);
                }
            }
            "json" => patch::json(&mut object, body)?,
            "merge" => patch::merge(&mut object, body)?,
            _ => patch::strategic(&self.shape, &mut object, body)?,
        }
        self.fill(&mut object);
        if step["verb"] != "apply" {
            track(&self.shape, live, &mut object, &writer);
        }
        keep(&self.shape, live, &mut object, subresource);
        self.validate(&object, live)?;
        if let Some(live) = live {
            settle(live, &mut object);
            let mut same = object.clone();
            same["metadata"]["generation"] = live["metadata"]["generation"].clone();
            if same == *live {
                return Ok(object);
            }
        }
        Ok(with_what_is_given(object, wanted))
    }

    fn create(
        &self,
        mut object: Value,
        writer: &Writer<'_>,
        wanted: &Value,
    ) -> Result<Value, Refusal> {
        self.fill(&mut object);
        track(&self.shape, None, &mut object, writer);
        if self.shape.typed {
            keep(&self.shape, None, &mut object, None);
        }
        prepare(&self.kind, &mut object);
        self.validate(&object, None)?;
        Ok(with_what_is_given(object, wanted))
    }

    /// The defaults, with those of the CRD.
    fn fill(&self, object: &mut Value) {
        fill(&self.kind, object);
        if self.kind == "Widget" {
            let parts = object
                .pointer_mut("/spec/parts")
                .and_then(Value::as_array_mut);
            for part in parts
                .into_iter()
                .flatten()
                .filter(|part| part.get("protocol").is_none())
            {
                part["protocol"] = json!("TCP");
            }
        }
    }

    fn validate(&self, object: &Value, live: Option<&Value>) -> Result<(), Refusal> {
        let causes = check(&self.kind, object, live);
        if causes.is_empty() {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let key = Key {
            name: name.to_owned(),
            ..self.key.clone()
        };
        Err(Refusal::invalid(&self.kind, &key, causes))
    }

    fn version(&self, body: &Value) -> String {
        let object = self.live.as_ref().unwrap_or(body);
        object["apiVersion"].as_str().unwrap().to_owned()
    }
}

/// What only an API server knows.
fn with_what_is_given(mut object: Value, wanted: &Value) -> Value {
    let given = [
        (
            "metadata",
            &[
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "generation",
                "namespace",
            ][..],
        ),
        ("spec", &["clusterIP", "clusterIPs"]),
    ];
    for (holder, names) in given {
        for name in names {
            if let Some(value) = wanted[holder].get(name) {
                object[holder][name] = value.clone();
            }
        }
    }
    object
}

fn served(crd: &Value, kind: &str) -> Served {
    Served {
        group: "golden.serin.dev".to_owned(),
        version: "v1".to_owned(),
        plural: "widgets".to_owned(),
        kind: kind.to_owned(),
        singular: kind.to_lowercase(),
        short: Vec::new(),
        namespaced: true,
        status: true,
        scale: false,
        definition: Some(std::sync::Arc::new(crd.clone())),
    }
}

/// What counts of a refusal.
fn essence(status: &Value) -> Value {
    if status["kind"] != "Status" {
        return status.clone();
    }
    let mut causes: Vec<_> = status["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect();
    // A real API server gives conflicts in any order.
    causes.sort();
    causes.dedup();
    let reason = status["reason"].as_str().unwrap_or_default();
    json!({"kind": "Status", "code": status["code"], "reason": reason, "message": status["message"], "causes": causes})
}

/// The first difference, with its path.
fn difference(wanted: &Value, got: &Value) -> Option<String> {
    match (wanted, got) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one
                .keys()
                .chain(other.keys().filter(|name| !one.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let nothing = json!("(nothing)");
                let (one, other) = (one.get(name), other.get(name));
                difference(one.unwrap_or(&nothing), other.unwrap_or(&nothing))
                    .map(|why| format!(".{name}{why}"))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs.into_iter().find_map(|(at, (one, other))| {
                difference(one, other).map(|why| format!("[{at}]{why}"))
            })
        }
        (one, other) if one == other => None,
        (one, other) => Some(format!(": wanted {one}, got {other}")),
    }
}
