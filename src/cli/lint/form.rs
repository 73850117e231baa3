//! What one object says of itself: its fields, their types and values, as the API server and the controller judge them.

use serde_json::{Value, json};

use crate::cli::lint::finding::{Finding, Level};
use crate::cli::simulate::files::{Manifest, shapeless};
use crate::cli::simulate::problem::meant;
use crate::cli::simulate::strict;
use crate::crd::canary::Canary;
use crate::crd::definition;
use crate::crd::refusals::refusals;
use crate::sim::refusal::Cause;
use crate::sim::schema::Schema;

/// Group and version of our kinds.
const VERSION: &str = "serin.dev/v1beta1";

/// What the API server adds when it has not tried the rules, since the form was wrong already.
const NOT_ALL: &str = "some validation rules were not checked";

/// Our definitions, read once.
pub struct Definitions(Vec<(String, Schema)>);

impl Definitions {
    /// Those of this version.
    ///
    /// # Errors
    /// When one cannot be read, which would be a mistake of ours.
    pub fn read() -> anyhow::Result<Self> {
        let read = |it| -> anyhow::Result<_> {
            let it: Value = json!(it);
            let schema = &it["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let schema = Schema::read(schema).map_err(anyhow::Error::msg)?;
            let kind = it["spec"]["names"]["kind"].as_str().unwrap_or_default();
            Ok((kind.to_owned(), schema))
        };
        let found = definition::definitions().into_iter().map(read);
        Ok(Self(found.collect::<Result<_, _>>()?))
    }

    /// The names of our kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(kind, _)| kind.as_str())
    }

    fn of(&self, kind: &str) -> Option<&Schema> {
        let found = self.0.iter().find(|(known, _)| known == kind);
        found.map(|(_, schema)| schema)
    }
}

/// An object that was looked at alone.
pub struct Judged {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// The object with its defaults, where its form is right.
    pub object: Option<Value>,
}

/// Looks at one object of ours.
#[must_use]
pub fn judge(manifest: &Manifest, definitions: &Definitions) -> Judged {
    if let Some(finding) = misnamed(manifest, definitions) {
        let findings = vec![finding];
        return Judged {
            findings,
            object: None,
        };
    }
    let Some(schema) = definitions.of(manifest.kind()) else {
        return Judged {
            findings: Vec::new(),
            object: None,
        };
    };
    let unknown = strict::unknown_fields(manifest).into_iter();
    let mut findings: Vec<_> = unknown
        .map(|problem| Finding::of(Level::Error, manifest, problem))
        .collect();
    let mut object = manifest.object.clone();
    schema.prune(&mut object);
    schema.default(&mut object);
    let causes = schema.check(&object, None);
    let is_formed = !causes.iter().any(|cause| cause.message.contains(NOT_ALL));
    told(manifest, (&causes, &[]), &mut findings);
    if !is_formed {
        // What has the wrong form is taken out, so that the rest can be judged.
        let mut rest = object.clone();
        for cause in &causes {
            remove(&mut rest, &cause.field);
        }
        schema.default(&mut rest);
        let said: Vec<_> = causes.iter().map(|cause| cause.field.clone()).collect();
        told(manifest, (&schema.check(&rest, None), &said), &mut findings);
        refused(manifest, &rest, &mut findings);
    } else {
        refused(manifest, &object, &mut findings);
    }
    Judged {
        findings,
        object: is_formed.then_some(object),
    }
}

/// Adds what the API server says, less what it said already of the same field.
fn told(manifest: &Manifest, (causes, said): (&[Cause], &[String]), findings: &mut Vec<Finding>) {
    for cause in causes.iter().filter(|it| !it.message.contains(NOT_ALL)) {
        let field = precise(&cause.field, &cause.message);
        if !said.iter().any(|known| are_related(known, &field)) {
            findings.push(Finding::new(Level::Error, manifest, &field, &cause.message));
        }
    }
}

fn fields(findings: &[Finding]) -> Vec<String> {
    let fields = findings.iter().map(|it| it.problem.field().to_owned());
    fields.collect()
}

/// Takes a field out of an object, by a path such as `spec.analysis.steps[0].setWeight`.
fn remove(object: &mut Value, path: &str) {
    let parts: Vec<_> = path
        .split(['.', '['])
        .map(|part| part.trim_end_matches(']'))
        .collect();
    let Some((last, parents)) = parts.split_last() else {
        return;
    };
    let mut at = object;
    for part in parents {
        let next = match at {
            Value::Array(items) => part.parse().ok().and_then(|it: usize| items.get_mut(it)),
            other => other.get_mut(part),
        };
        let Some(next) = next else {
            return;
        };
        at = next;
    }
    match at {
        Value::Array(items) => {
            if let Some(index) = last.parse().ok().filter(|it| *it < items.len()) {
                items.remove(index);
            }
        }
        Value::Object(fields) => {
            fields.remove(*last);
        }
        _ => {}
    }
}

/// An object whose name, kind or version is not one of ours.
fn misnamed(manifest: &Manifest, definitions: &Definitions) -> Option<Finding> {
    if let Some(problem) = shapeless(manifest) {
        return Some(Finding::of(Level::Error, manifest, problem));
    }
    let wrong =
        |field: &str, message: String| Some(Finding::new(Level::Error, manifest, field, &message));
    let kind = manifest.kind();
    if definitions.of(kind).is_none() {
        let known: Vec<_> = definitions.kinds().collect();
        return wrong(
            "kind",
            match meant(kind, known.iter().copied()) {
                Some(other) => format!("{kind} is no kind of serin.dev; did you mean {other}?"),
                None => format!(
                    "{kind} is no kind of serin.dev; there are {}",
                    known.join(", ")
                ),
            },
        );
    }
    let version = manifest.object["apiVersion"].as_str().unwrap_or_default();
    if version != VERSION {
        return wrong(
            "apiVersion",
            format!("{version} is not served; write {VERSION}"),
        );
    }
    None
}

/// Adds what the controller refuses and the API server has not said already.
fn refused(manifest: &Manifest, object: &Value, findings: &mut Vec<Finding>) {
    if manifest.kind() != "Canary" {
        return;
    }
    let Ok(canary) = serde_json::from_value::<Canary>(object.clone()) else {
        return;
    };
    let said = fields(findings);
    for refusal in refusals(&canary) {
        let is_later = refusal.message.contains("with a later version");
        if is_later || !said.iter().any(|field| are_related(field, &refusal.field)) {
            let finding = Finding::new(Level::Error, manifest, &refusal.field, &refusal.message);
            findings.push(finding);
        }
    }
}

/// Whether one of two paths is the other, or leads to it.
#[must_use]
pub fn are_related(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The field that is meant: rules about the whole spec begin with the name of one.
fn precise(field: &str, message: &str) -> String {
    if field == "<nil>" {
        return String::new();
    }
    let message = message.strip_prefix("Invalid value: ").unwrap_or(message);
    let word = message.split([' ', ':', ',']).next().unwrap_or_default();
    let is_path = word.starts_with(|letter: char| letter.is_ascii_lowercase())
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '.');
    if field == "spec" && is_path {
        format!("spec.{word}")
    } else {
        field.to_owned()
    }
}
