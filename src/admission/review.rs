//! What an API server asks a webhook, and how it is answered: `AdmissionReview` of `admission.k8s.io/v1`.

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One write that somebody is about to make.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Names the question; the answer repeats it.
    pub uid: String,
    /// Who writes.
    #[serde(default)]
    pub user_info: User,
    /// The object as it shall be.
    #[serde(default)]
    pub object: Value,
    /// The object as it is; null if it is being created.
    #[serde(default)]
    pub old_object: Value,
    /// `UpdateOptions`, `PatchOptions` or `CreateOptions`.
    #[serde(default)]
    pub options: Value,
}

/// Who writes.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct User {
    /// Name of the user or the service account.
    #[serde(default)]
    pub username: String,
}

impl Request {
    /// The name under which the writer's fields stand in `managedFields`; empty if it gave none.
    pub(super) fn manager(&self) -> &str {
        self.options["fieldManager"].as_str().unwrap_or_default()
    }
}

/// The question as it comes in.
#[derive(Debug, Deserialize)]
pub struct Question {
    /// The write.
    pub request: Request,
}

/// The answer as it goes out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    /// Always: what is to be refused is refused by the validating policies, which every such cluster has.
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
}

impl Answer {
    /// Lets a write pass, with these changes: operations of a JSON patch.
    #[must_use]
    pub fn new(uid: String, operations: Vec<Value>) -> Self {
        let changes = !operations.is_empty();
        let patch = Value::Array(operations).to_string().into_bytes();
        Self {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: Response {
                uid,
                allowed: true,
                patch_type: changes.then_some("JSONPatch"),
                patch: changes.then_some(ByteString(patch)),
            },
        }
    }
}

/// The labels or annotations of an object; none of an object that has none.
pub(super) fn marks<'a>(object: &'a Value, which: &str) -> Option<&'a Map<String, Value>> {
    object["metadata"][which].as_object()
}

/// Whether two objects have equal labels or annotations, where none are as good as an empty list.
pub(super) fn same(one: &Value, other: &Value, which: &str) -> bool {
    let filled = |object| marks(object, which).filter(|marks| !marks.is_empty());
    filled(one) == filled(other)
}

/// A label's or annotation's name as a part of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
