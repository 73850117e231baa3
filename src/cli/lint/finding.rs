//! What is wrong, as people and as programs read it.

use serde_json::{Value, json};

use crate::cli::simulate::files::Manifest;
use crate::cli::simulate::problem::Problem;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The API server or the controller refuses it.
    Error,
    /// It may be right: the files do not tell.
    Warning,
}

/// Something that is wrong, and with which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Kind, namespace and name of the object; `None`: with the file as a whole.
    pub object: Option<(String, String, String)>,
    /// What is wrong, and where.
    pub problem: Problem,
}

impl Finding {
    /// Something wrong with a field of an object.
    #[must_use]
    pub fn new(level: Level, manifest: &Manifest, field: &str, message: &str) -> Self {
        Self::of(level, manifest, manifest.problem(field, message))
    }

    /// A problem that was found with an object.
    #[must_use]
    pub fn of(level: Level, manifest: &Manifest, problem: Problem) -> Self {
        let object = [manifest.kind(), manifest.namespace(), manifest.name()].map(str::to_owned);
        Self {
            level,
            object: Some(object.into()),
            problem,
        }
    }

    /// A problem with a file as a whole.
    #[must_use]
    pub fn of_file(level: Level, problem: Problem) -> Self {
        Self {
            level,
            object: None,
            problem,
        }
    }

    /// One line, as compilers write it.
    #[must_use]
    pub fn line(&self) -> String {
        match self.level {
            Level::Error => self.problem.to_string(),
            Level::Warning => format!("{} (a warning)", self.problem),
        }
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let place = self.problem.place();
        let (kind, namespace, name) = self.object.clone().unwrap_or_default();
        json!({
            "level": if self.level == Level::Error { "error" } else { "warning" },
            "file": self.problem.file(), "line": place.line, "column": place.column,
            "kind": kind, "namespace": namespace, "name": name,
            "field": self.problem.field(), "message": self.problem.message(),
        })
    }
}
