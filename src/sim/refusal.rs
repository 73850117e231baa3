//! Why the API server does not do what it is asked for, in the form in which it says so.

use serde_json::{Value, json};

use crate::sim::store::Key;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict` …
    pub reason: String,
    /// Path of the field, as in `spec.analysis.steps[0]`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// A refusal: a `Status` of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `NotFound`, `Conflict`, `Invalid` …
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Kind and name that it is about, if any.
    pub about: Option<Box<Key>>,
    /// One for each field that is wrong.
    pub causes: Vec<Cause>,
}

impl Refusal {
    /// A refusal without details.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            about: None,
            causes: Vec::new(),
        }
    }

    /// 404: there is no such object.
    #[must_use]
    pub fn not_found(key: &Key) -> Self {
        let message = format!("{} {:?} not found", spoken(key), key.name);
        Self::new(404, "NotFound", message).about(key)
    }

    /// 409: the object changed, or is another one.
    #[must_use]
    pub fn conflict(key: &Key, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {:?}: {why}",
            spoken(key),
            key.name
        );
        Self::new(409, "Conflict", message).about(key)
    }

    /// 409: it exists already.
    #[must_use]
    pub fn exists(key: &Key) -> Self {
        let message = format!("{} {:?} already exists", spoken(key), key.name);
        Self::new(409, "AlreadyExists", message).about(key)
    }

    /// 422: fields are wrong.
    #[must_use]
    pub fn invalid(kind: &str, key: &Key, causes: Vec<Cause>) -> Self {
        let all: Vec<_> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let what = match all.as_slice() {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        };
        let of = if key.group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{}", key.group)
        };
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{of} {:?} is invalid: {what}", key.name),
            about: Some(Box::new(key.clone())),
            causes,
        }
    }

    /// 400: the request itself makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403: this user may not.
    #[must_use]
    pub fn forbidden(key: &Key, why: &str) -> Self {
        let message = format!("{} {:?} is forbidden: {why}", spoken(key), key.name);
        Self::new(403, "Forbidden", message).about(key)
    }

    /// The same, about this object.
    #[must_use]
    pub fn about(mut self, key: &Key) -> Self {
        self.about = Some(Box::new(key.clone()));
        self
    }

    /// The `Status` that the client gets.
    #[must_use]
    pub fn status(&self) -> Value {
        let causes: Vec<_> = self
            .causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut details = json!({});
        if let Some(key) = &self.about {
            details["name"] = json!(key.name);
            details["kind"] = json!(key.plural);
            if !key.group.is_empty() {
                details["group"] = json!(key.group);
            }
        }
        if !causes.is_empty() {
            details["causes"] = json!(causes);
        }
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": details, "code": self.code,
        })
    }
}

/// `deployments.apps`, as messages name a kind.
fn spoken(key: &Key) -> String {
    if key.group.is_empty() {
        key.plural.clone()
    } else {
        format!("{}.{}", key.plural, key.group)
    }
}
