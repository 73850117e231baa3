//! The manifests that a simulation is about: read, divided, and found to be objects.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::simulate::problem::{Broken, Place, Problem};
use crate::cli::simulate::yaml::{self, Node, Tree};
use crate::sim::field::text;

/// The name of standard input on the command line.
const STDIN: &str = "-";

/// What it is called in messages.
pub const STDIN_NAME: &str = "standard input";

/// An object, and where it was written.
#[derive(Clone, Debug)]
pub struct Manifest {
    file: String,
    node: Node,
    /// The object.
    pub object: Value,
}

impl Manifest {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(&self.object, "/kind")
    }

    /// Its API group; empty for the core's.
    #[must_use]
    pub fn group(&self) -> &str {
        let version = text(&self.object, "/apiVersion");
        version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.object, "/metadata/name")
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        text(&self.object, "/metadata/namespace")
    }

    /// Something wrong with a field of it.
    #[must_use]
    pub fn problem(&self, path: &str, message: &str) -> Problem {
        Problem::new(&self.file, self.node.find(path), path, message)
    }
}

impl Manifest {
    /// The file that it stands in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where a field of it stands, or else the nearest of its parents.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        self.node.find(path)
    }

    /// The same in this namespace, if it names none.
    #[must_use]
    pub fn settled(mut self, namespace: Option<&str>) -> Self {
        let metadata = self.object.get("metadata");
        let can_say = self.object.is_object() && metadata.is_none_or(Value::is_object);
        if can_say && self.namespace().is_empty() {
            self.object["metadata"]["namespace"] = namespace.unwrap_or("default").into();
        }
        self
    }

    /// What the controller says of it, at the field that it names, if it names one: `Reason: spec.service.port: …`.
    #[must_use]
    pub fn refused(&self, why: &str) -> Problem {
        let named = why.split_once(": ").and_then(|(_, it)| it.split_once(": "));
        let named = named.filter(|(path, _)| path.starts_with("spec.") && !path.contains(' '));
        named.map_or_else(
            || self.problem("", why),
            |(path, message)| self.problem(path, message),
        )
    }
}

/// Reads files of manifests; `-` is standard input.
///
/// # Errors
/// Says of every file what is wrong with it.
pub fn read(paths: &[PathBuf], namespace: Option<&str>) -> Result<Vec<Manifest>, Broken> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let (file, text) = load(path);
        match text.and_then(|text| manifests(&text, &file, namespace)) {
            Ok(manifests) => found.extend(manifests),
            Err(broken) => problems.extend(broken.0),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(Broken(problems))
    }
}

/// A file's name, as people know it, and its text.
pub fn load(path: &Path) -> (String, Result<String, Broken>) {
    if path.as_os_str() == STDIN {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        return (STDIN_NAME.to_owned(), told(read.map(|_| text), STDIN));
    }
    let file = path.display().to_string();
    let text = told(std::fs::read_to_string(path), &file);
    (file, text)
}

fn told(read: std::io::Result<String>, file: &str) -> Result<String, Broken> {
    read.map_err(|error| {
        let message = format!("cannot be read: {error}");
        Problem::new(file, Place::default(), "", &message).into()
    })
}

/// The objects of one text; those without a namespace are in this one.
pub fn manifests(text: &str, file: &str, namespace: Option<&str>) -> Result<Vec<Manifest>, Broken> {
    let manifests = pieces(text, file)?;
    let problems: Vec<_> = manifests.iter().filter_map(shapeless).collect();
    if !problems.is_empty() {
        return Err(Broken(problems));
    }
    let settled = manifests.into_iter().map(|it| it.settled(namespace));
    Ok(settled.collect())
}

/// The documents of one text, and the items of its lists, whatever they are.
pub fn pieces(text: &str, file: &str) -> Result<Vec<Manifest>, Problem> {
    let mut nodes = Vec::new();
    for node in yaml::documents(text, file)? {
        match node.get("items").map(|items| items.tree.clone()) {
            Some(Tree::List(items)) => nodes.extend(items),
            _ => nodes.push(node),
        }
    }
    let manifests = nodes.into_iter().map(|node| Manifest {
        file: file.to_owned(),
        object: node.value(),
        node,
    });
    Ok(manifests.collect())
}

/// Why a document is no object at all.
#[must_use]
pub fn shapeless(manifest: &Manifest) -> Option<Problem> {
    if !manifest.object.is_object() {
        let kind = manifest.node.kind();
        let message = format!("is {kind}, and has to be an object with apiVersion and kind");
        return Some(manifest.problem("", &message));
    }
    let rows = [
        (
            "apiVersion",
            "/apiVersion",
            "for instance serin.dev/v1beta1",
        ),
        ("kind", "/kind", "for instance Canary"),
        ("metadata.name", "/metadata/name", "the name of the object"),
    ];
    let missing = rows
        .iter()
        .find(|(_, pointer, _)| text(&manifest.object, pointer).is_empty());
    missing.map(|(path, _, right)| manifest.problem(path, &format!("is missing: write {right}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_objects_and_lists_of_them() {
        let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b, namespace: shop}}
---
{apiVersion: serin.dev/v1beta1, kind: Canary, metadata: {name: c}}
";
        let found = manifests(text, "it", Some("team")).unwrap();
        let names = found.iter().map(|it| {
            format!(
                "{}|{}|{}/{}",
                it.group(),
                it.kind(),
                it.namespace(),
                it.name()
            )
        });
        let expected = [
            "|ConfigMap|team/a",
            "apps|Deployment|shop/b",
            "serin.dev|Canary|team/c",
        ];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_object_is_pointed_at() {
        let text = "kind: Canary\nmetadata: {name: a}\n---\n7\n---\napiVersion: v1\nkind: Service\nmetadata:\n  labels: {}\n";
        let broken = manifests(text, "it.yaml", None).unwrap_err();
        expect_test::expect![[r#"
            it.yaml:1:1: apiVersion: is missing: write for instance serin.dev/v1beta1
            it.yaml:4:1: is a number, and has to be an object with apiVersion and kind
            it.yaml:8:1: metadata.name: is missing: write the name of the object"#]]
        .assert_eq(&broken.to_string());
    }
}
