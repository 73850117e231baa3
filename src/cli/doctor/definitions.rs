//! Are Serin's definitions there, established, and those of this build?

use serde_json::Value;

use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::look::{Look, entries, text};
use crate::cli::doctor::shipped::difference;

/// Fields that are named where several are missing.
const NAMED: usize = 3;

/// One definition: as this build ships it, and as the cluster has it.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// Of this build.
    pub(super) shipped: Value,
    /// Of the cluster.
    pub(super) live: Look<Value>,
}

fn install() -> Fix {
    Fix::run("serin crd | kubectl apply --server-side --force-conflicts -f -")
}

/// It is the definition of Canaries, without which there are none.
#[must_use]
pub(super) fn is_of_canaries(definition: &Definition) -> bool {
    text(&definition.shipped, "/spec/names/kind") == "Canary"
}

/// How one definition is.
#[must_use]
pub(super) fn judge(definition: &Definition) -> Finding {
    let name = text(&definition.shipped, "/metadata/name");
    let live = match &definition.live {
        Err(why) => {
            return Finding::unknown(
                Check::Definitions,
                format!("{name} cannot be read: {why}"),
                Fix::say("ask somebody who may read CustomResourceDefinitions"),
            );
        }
        Ok(None) => {
            return Finding::failed(
                Check::Definitions,
                format!("{name} is not installed"),
                install(),
            );
        }
        Ok(Some(live)) => live,
    };
    unserved(name, live)
        .or_else(|| differing(name, &definition.shipped, live))
        .unwrap_or_else(|| Finding::ok(Check::Definitions, format!("{name} is that of this build")))
}

/// The API server does not answer for it.
fn unserved(name: &str, live: &Value) -> Option<Finding> {
    let refused = entries(live, "/status/conditions").find(|condition| {
        let type_ = text(condition, "/type");
        matches!(type_, "Established" | "NamesAccepted") && text(condition, "/status") != "True"
    });
    if let Some(condition) = refused {
        let what = format!(
            "{name} is not served: {}: {}",
            text(condition, "/reason"),
            text(condition, "/message")
        );
        return Some(Finding::failed(
            Check::Definitions,
            what,
            Fix::run(format!("kubectl describe crd {name}")),
        ));
    }
    let served = entries(live, "/spec/versions")
        .any(|version| text(version, "/name") == "v1beta1" && version["served"] == true);
    (!served).then(|| {
        let what = format!("{name} does not serve v1beta1, which this build speaks");
        Finding::failed(Check::Definitions, what, install())
    })
}

fn differing(name: &str, shipped: &Value, live: &Value) -> Option<Finding> {
    let (ours, theirs) = (schema(shipped), schema(live));
    let missing = fields_without(ours, theirs);
    if !missing.is_empty() {
        let what = format!(
            "{name} is older than this build: the API server drops {}",
            listed(&missing)
        );
        return Some(Finding::failed(Check::Definitions, what, install()));
    }
    let more = fields_without(theirs, ours);
    if !more.is_empty() {
        let what = format!(
            "{name} is newer than this build, which does not know {}",
            listed(&more)
        );
        let fix = Fix::say("use the serin of the version that the cluster has");
        return Some(Finding::warning(Check::Definitions, what, fix));
    }
    let path = difference(&without_words(ours), &without_words(theirs))?;
    let what = format!("{name} has other rules than this build, at {path}");
    Some(Finding::warning(Check::Definitions, what, install()))
}

fn schema(definition: &Value) -> &Value {
    let version = entries(definition, "/spec/versions").find(|one| text(one, "/name") == "v1beta1");
    version
        .and_then(|version| version.pointer("/schema/openAPIV3Schema"))
        .unwrap_or(&Value::Null)
}

/// Paths of the fields that one schema has and the other has not.
fn fields_without(schema: &Value, other: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, other, "", &mut found);
    found
}

fn walk(schema: &Value, other: &Value, path: &str, found: &mut Vec<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match other["properties"].get(name) {
            None => found.push(path.trim_start_matches('.').to_owned()),
            Some(other) => walk(inner, other, &path, found),
        }
    }
    if schema["items"].is_object() {
        walk(
            &schema["items"],
            &other["items"],
            &format!("{path}[]"),
            found,
        );
    }
}

fn listed(fields: &[String]) -> String {
    let named = fields[..fields.len().min(NAMED)].join(", ");
    match fields.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// The schema without what is only told to people.
fn without_words(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let told = fields
                .iter()
                .filter(|(name, value)| !(*name == "description" && value.is_string()));
            told.map(|(name, value)| (name.clone(), without_words(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_words).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::finding::State;
    use crate::crd::definition::definitions;

    fn canary() -> Value {
        let mut value = json!(definitions()[0]);
        value["status"] = json!({"conditions": [{"type": "Established", "status": "True"}, {"type": "NamesAccepted", "status": "True"}]});
        value
    }

    fn changed(how: impl Fn(&mut Value)) -> Finding {
        let mut live = canary();
        how(&mut live);
        judge(&Definition {
            shipped: canary(),
            live: Ok(Some(live)),
        })
    }

    const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

    #[test]
    fn a_definition_is_that_of_this_build_or_not() {
        let rows: [(Finding, State, &str); 7] = [
            (changed(|_| {}), State::Ok, "is that of this build"),
            (
                changed(|live| live["status"]["conditions"][0]["status"] = json!("False")),
                State::Failed,
                "is not served",
            ),
            (
                changed(|live| live["spec"]["versions"][0]["served"] = json!(false)),
                State::Failed,
                "does not serve v1beta1",
            ),
            (
                changed(|live| {
                    drop(
                        live.pointer_mut(SPEC)
                            .unwrap()
                            .as_object_mut()
                            .unwrap()
                            .remove("suspend"),
                    )
                }),
                State::Failed,
                "the API server drops spec.suspend",
            ),
            (
                changed(|live| {
                    live.pointer_mut(SPEC).unwrap()["later"] = json!({"type": "string"})
                }),
                State::Warning,
                "does not know spec.later",
            ),
            (
                changed(|live| {
                    live.pointer_mut(SPEC).unwrap()["suspend"]["description"] = json!("other words")
                }),
                State::Ok,
                "is that",
            ),
            (
                changed(|live| {
                    live.pointer_mut(SPEC).unwrap()["progressDeadlineSeconds"]["maximum"] = json!(5)
                }),
                State::Warning,
                "has other rules than this build, at properties.spec.properties.progressDeadlineSeconds.maximum",
            ),
        ];
        for (found, state, words) in rows {
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.what.contains(words), "{found:?}");
        }
    }

    #[test]
    fn one_that_is_missing_is_told_from_one_that_may_not_be_read() {
        let of = |live| {
            judge(&Definition {
                shipped: canary(),
                live,
            })
        };
        let missing = of(Ok(None));
        assert_eq!(
            (missing.state, missing.what.as_str()),
            (State::Failed, "canaries.serin.dev is not installed")
        );
        assert!(missing.fix.unwrap().text().starts_with("serin crd |"));
        assert_eq!(of(Err("forbidden".to_owned())).state, State::Unknown);
    }
}
