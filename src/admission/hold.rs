//! The policy `serin-hold`: a changed Pod template of an armed Deployment is paused and marked in the same write. Each name here
//! is that of a variable there.

use serde_json::{Map, Value, json};

use crate::admission::review::{Request, escaped, marks, same};
use crate::objects::mark;

/// Writers of whole specs, who do not mean "resume" when they write `paused: false`.
const WHOLE: [&str; 2] = ["kubectl-client-side-apply", "kubectl-replace"];
/// Terraform names itself in its user agent only, so it is found in `managedFields`.
const UNNAMED: [&str; 2] = ["HashiCorp", "Terraform"];
/// Writers that come again by themselves: what they lose while Serin reverts, they write again later.
const PERSISTENT: [&str; 3] = [
    "argocd-controller",
    "kustomize-controller",
    "helm-controller",
];

/// The changes to a write, as operations of a JSON patch; none if it passes as it is.
#[must_use]
pub fn hold(request: &Request) -> Vec<Value> {
    let Some(write) = Write::of(request) else {
        return Vec::new();
    };
    if write.label_edit() || write.resume() || (write.contested() && !write.is_persistent()) {
        return Vec::new();
    }
    write.changes()
}

/// An update of an armed Deployment.
struct Write<'a> {
    request: &'a Request,
    old: &'a Value,
    new: &'a Value,
    was: &'a Map<String, Value>,
    now: Option<&'a Map<String, Value>>,
}

impl<'a> Write<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        let was = marks(&request.old_object, "labels")?;
        was.contains_key(mark::GATE).then_some(Self {
            request,
            old: &request.old_object,
            new: &request.object,
            was,
            now: marks(&request.object, "labels"),
        })
    }

    fn had(&self, name: &str) -> bool {
        self.was.contains_key(name)
    }

    fn label(&self, name: &str) -> Option<&'a Value> {
        self.now?.get(name)
    }

    fn has(&self, name: &str) -> bool {
        self.label(name).is_some()
    }

    fn differs(&self) -> bool {
        self.old["spec"]["template"] != self.new["spec"]["template"]
    }

    fn was_paused(&self) -> bool {
        self.old["spec"]["paused"] == true
    }

    fn is_paused(&self) -> bool {
        self.new["spec"]["paused"] == true
    }

    fn was_held(&self) -> bool {
        self.had(mark::HELD)
    }

    fn is_held(&self) -> bool {
        self.has(mark::HELD)
    }

    fn reverting(&self) -> bool {
        self.had(mark::REVERTING)
    }

    /// A writer of whole objects is told apart by the annotation `deployment.kubernetes.io/revision`, which it drops.
    fn quiet(&self) -> bool {
        same(self.old, self.new, "annotations")
    }

    /// Only labels changed: someone means it, and the guard judges it; break glass has this form.
    fn label_edit(&self) -> bool {
        self.quiet() && self.old["spec"] == self.new["spec"]
    }

    fn declarative(&self) -> bool {
        let manager = self.request.manager();
        let entries = self.new["metadata"]["managedFields"].as_array();
        let declares = |entry: &Value| {
            let name = entry["manager"].as_str().unwrap_or_default();
            if manager.is_empty() {
                UNNAMED.contains(&name)
            } else {
                entry["operation"] == "Apply" && name == manager
            }
        };
        WHOLE.contains(&manager) || entries.into_iter().flatten().any(declares)
    }

    fn resume(&self) -> bool {
        let ends = self.was_held() && self.was_paused() && !self.is_paused();
        ends && !self.differs() && self.quiet() && !self.declarative()
    }

    fn is_persistent(&self) -> bool {
        PERSISTENT.contains(&self.request.manager())
    }

    fn contested(&self) -> bool {
        self.reverting() && self.differs()
    }

    /// Once per value: a label that stays behind opens the gate only in the write that brings it.
    fn bypass(&self) -> bool {
        let value = self.label(mark::BYPASS);
        let given = value.is_some_and(|value| value != "");
        let new = value != self.was.get(mark::BYPASS);
        self.differs() && !self.reverting() && given && new
    }

    fn hold(&self) -> bool {
        let by_person = self.is_paused() && !self.is_held();
        let template = self.differs() && !self.reverting() && !by_person;
        let pause_ends = self.was_paused() && (self.is_held() || !self.is_paused());
        !self.bypass() && (self.was_held() || template || pause_ends)
    }

    /// A later mutator made the templates equal again: the pause that an earlier call set is taken back.
    fn unpause(&self) -> bool {
        let ours = self.was_held() || (self.is_held() && !self.was_paused());
        !self.hold() && self.is_paused() && ours
    }

    fn changes(&self) -> Vec<Value> {
        let mut changes = Vec::new();
        if self.now.is_none() {
            changes.push(json!({"op": "add", "path": "/metadata/labels", "value": {}}));
        }
        if self.label(mark::GATE) != self.was.get(mark::GATE) {
            changes.push(set(mark::GATE, &self.was[mark::GATE]));
        }
        changes.extend(self.pauses());
        changes.extend(self.reverts());
        changes
    }

    fn pauses(&self) -> Vec<Value> {
        let mut changes = Vec::new();
        let hold = self.hold();
        if hold && !self.is_held() {
            changes.push(set(mark::HELD, &json!("true")));
        }
        if !hold && self.is_held() {
            changes.push(unset(mark::HELD));
        }
        if hold && !self.is_paused() {
            changes.push(json!({"op": "add", "path": "/spec/paused", "value": true}));
        }
        if self.unpause() {
            changes.push(json!({"op": "remove", "path": "/spec/paused"}));
        }
        changes
    }

    fn reverts(&self) -> Vec<Value> {
        let mut changes = Vec::new();
        if self.reverting() && !self.has(mark::REVERTING) {
            changes.push(set(mark::REVERTING, &self.was[mark::REVERTING]));
        }
        if !self.reverting() && self.has(mark::REVERTING) {
            changes.push(unset(mark::REVERTING));
        }
        if self.contested() {
            let stable = &self.old["spec"]["template"];
            changes.push(json!({"op": "replace", "path": "/spec/template", "value": stable}));
            changes.push(set(mark::CONTESTED, &json!("true")));
        }
        changes
    }
}

fn set(label: &str, value: &Value) -> Value {
    json!({"op": "add", "path": path(label), "value": value})
}

fn unset(label: &str) -> Value {
    json!({"op": "remove", "path": path(label)})
}

fn path(label: &str) -> String {
    format!("/metadata/labels/{}", escaped(label))
}
