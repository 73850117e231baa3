//! What a write has to pass, put together from defaults, schemas, admission and rights.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::admission::review::{self, Operation};
use crate::sim::admission::{Admission, Mutator};
use crate::sim::api::{Api, Part};
use crate::sim::apply::{self, Writer};
use crate::sim::kinds::Served;
use crate::sim::rbac::{self, Access};
use crate::sim::refusal::{Cause, Refusal};
use crate::sim::requests::Asked;
use crate::sim::schema::Schema;
use crate::sim::shape::Shape;
use crate::sim::store::Key;
use crate::sim::write::Request;
use crate::sim::{defaults, disruption, validity};

/// What the server knows besides objects.
#[derive(Default)]
pub(crate) struct Rules {
    admission: Admission,
    mutators: Vec<Box<dyn Mutator>>,
    schemas: BTreeMap<(String, String), Arc<Schema>>,
    shapes: BTreeMap<(String, String), Arc<Shape>>,
}

impl Rules {
    /// The same for another server; whom this one invited is not there.
    pub(crate) fn copy(&self) -> Self {
        Self {
            schemas: self.schemas.clone(),
            shapes: self.shapes.clone(),
            ..Self::default()
        }
    }

    /// Somebody changes objects on their way in from now on.
    pub(crate) fn invite(&mut self, mutator: Box<dyn Mutator>) {
        self.mutators.push(mutator);
    }

    /// Forgets what was read of a kind.
    pub(crate) fn forget(&mut self, group: &str, plural: &str) {
        let kind = (group.to_owned(), plural.to_owned());
        self.schemas.remove(&kind);
        self.shapes.remove(&kind);
    }

    /// What the lists and maps of a kind mean.
    pub(crate) fn shape(&mut self, kind: &Served) -> Arc<Shape> {
        let name = (kind.group.clone(), kind.plural.clone());
        let shape = self.shapes.entry(name);
        shape.or_insert_with(|| Arc::new(Shape::of(kind))).clone()
    }

    /// The schema of a kind that a CRD defines.
    fn schema(&mut self, kind: &Served) -> Option<Arc<Schema>> {
        let definition = kind.definition.as_ref()?;
        let name = (kind.group.clone(), kind.plural.clone());
        if let Some(schema) = self.schemas.get(&name) {
            return Some(schema.clone());
        }
        let versions = definition["spec"]["versions"].as_array()?;
        let version = versions
            .iter()
            .find(|one| one["name"] == kind.version.as_str())?;
        let schema = Schema::read(&version["schema"]["openAPIV3Schema"]).ok()?;
        let schema = Arc::new(schema);
        self.schemas.insert(name, schema.clone());
        Some(schema)
    }
}

/// One write on its way.
pub(crate) struct Review<'a> {
    pub(crate) api: &'a Api,
    pub(crate) request: &'a Request,
    pub(crate) kind: &'a Arc<Served>,
    pub(crate) key: &'a Key,
    pub(crate) operation: Operation,
    pub(crate) old: Option<&'a Arc<Value>>,
}

impl Review<'_> {
    /// The object as it may be stored: with defaults, with its fields' owners, changed and allowed by admission, and valid.
    pub(crate) fn admit(&self, mut object: Value) -> Result<Value, Refusal> {
        if self.operation != Operation::Delete {
            self.fill(&mut object);
            self.own(&mut object);
            if self.mutate(&mut object)? {
                self.fill(&mut object);
            }
            self.check(&object)?;
        }
        self.validate(&object)?;
        Ok(object)
    }

    fn fill(&self, object: &mut Value) {
        match self.api.state().rules.schema(self.kind) {
            Some(schema) => {
                schema.prune(object);
                schema.default(object);
            }
            None => defaults::fill(&self.kind.kind, object),
        }
    }

    /// Notes who wrote which fields; an apply has done so already.
    fn own(&self, object: &mut Value) {
        let old = self.old.map(|old| &**old);
        if self.request.applied {
            return;
        }
        let shape = self.api.state().rules.shape(self.kind);
        let version = self.kind.api_version();
        apply::track(
            &shape,
            old,
            object,
            &self.request.writer(&version, self.api.now()),
        );
    }

    /// Whether somebody had a say.
    fn mutate(&self, object: &mut Value) -> Result<bool, Refusal> {
        let mut state = self.api.state();
        let state = &mut *state;
        let old = self.old.map(|old| self.seen(old));
        let new = self.seen(object);
        let review = self.review(Some(&new), old.as_deref());
        let rules = &mut state.rules;
        let changed = rules
            .admission
            .mutate(&state.store, &review, &rules.mutators)?;
        let Some(changed) = changed else {
            return Ok(false);
        };
        drop(new);
        self.take(object, changed);
        Ok(true)
    }

    fn validate(&self, object: &Value) -> Result<(), Refusal> {
        let mut state = self.api.state();
        let state = &mut *state;
        let old = self.old.map(|old| self.seen(old));
        let new = (self.operation != Operation::Delete).then(|| self.seen(object));
        let review = self.review(new.as_deref(), old.as_deref());
        state.rules.admission.validate(&state.store, &review)?;
        Ok(())
    }

    /// The object as this request shows it: a `Scale` for what is scaled.
    fn seen<'b>(&self, object: &'b Value) -> Cow<'b, Value> {
        if self.request.part == Part::Scale {
            Cow::Owned(scale_of(object))
        } else {
            Cow::Borrowed(object)
        }
    }

    fn take(&self, object: &mut Value, changed: Value) {
        if self.request.part == Part::Scale {
            object["spec"]["replicas"] = changed["spec"]["replicas"].clone();
        } else {
            *object = changed;
        }
    }

    fn review<'b>(
        &'b self,
        object: Option<&'b Value>,
        old: Option<&'b Value>,
    ) -> review::Review<'b> {
        let who = &self.request.who;
        let (kind, subresource) = match self.request.part {
            Part::Main => (self.kind.kind.as_str(), ""),
            Part::Status => (self.kind.kind.as_str(), "status"),
            Part::Scale => ("Scale", "scale"),
        };
        review::Review {
            operation: self.operation,
            key: self.key,
            version: &self.kind.version,
            kind,
            subresource,
            user: &who.user,
            groups: &who.groups,
            manager: &self.request.named,
            dry_run: self.request.dry_run,
            object,
            old,
        }
    }

    fn check(&self, object: &Value) -> Result<(), Refusal> {
        let old = self.old.map(|old| &**old);
        let schema = self.api.state().rules.schema(self.kind);
        let causes = match schema {
            Some(schema) => schema.check(object, old),
            None => validity::check(&self.kind.kind, object, old),
        };
        if causes.is_empty() {
            return Ok(());
        }
        Err(Refusal::invalid(&self.kind.kind, self.key, causes))
    }
}

/// Server-side apply on what is there.
pub(crate) fn merge(
    asked: &Asked,
    request: &Request,
    live: Option<&Value>,
    applied: &Value,
) -> Result<Value, Refusal> {
    let shape = asked.api.state().rules.shape(&asked.kind);
    let version = asked.kind.api_version();
    let writer: Writer<'_> = request.writer(&version, asked.api.now());
    apply::apply(&shape, live, applied, &writer, asked.query.is_set("force"))
}

/// Serves what a CRD defines, or does so no more.
pub(crate) fn define(api: &Api, key: &Key, object: Option<&Arc<Value>>) {
    if let Some((plural, group)) = key.name.split_once('.') {
        api.withdraw(group, plural);
    }
    let Some(object) = object else { return };
    let spec = &object["spec"];
    let served = spec["versions"].as_array().into_iter().flatten();
    if let Some(version) = served
        .into_iter()
        .find(|version| version["storage"] == true)
    {
        api.serve(defined(object, version));
    }
}

fn defined(object: &Arc<Value>, version: &Value) -> Served {
    let spec = &object["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = names["shortNames"].as_array().into_iter().flatten();
    let kind = text(&names["kind"]);
    let singular = Some(text(&names["singular"])).filter(|name| !name.is_empty());
    Served {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        plural: text(&names["plural"]),
        singular: singular.unwrap_or_else(|| kind.to_lowercase()),
        kind,
        short: short.map(text).collect(),
        namespaced: spec["scope"] == "Namespaced",
        status: !version["subresources"]["status"].is_null(),
        scale: !version["subresources"]["scale"].is_null(),
        definition: Some(object.clone()),
    }
}

/// What a CRD's status says once its kind is served.
pub(crate) fn established(object: &mut Value, now: &str) {
    let condition = |type_: &str, reason: &str| json!({"type": type_, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now});
    let names = object["spec"]["names"].clone();
    object["status"] = json!({
        "conditions": [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")],
        "acceptedNames": names,
        "storedVersions": [object["spec"]["versions"][0]["name"]],
    });
}

/// The `Scale` of an object.
pub(crate) fn scale_of(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let metadata = &object["metadata"];
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector.join(",")},
    })
}

/// Scales an object as its `Scale` says.
pub(crate) fn scale(object: &mut Value, scale: &Value) {
    object["spec"]["replicas"] = scale["spec"]["replicas"].clone();
    let version = &scale["metadata"]["resourceVersion"];
    if !version.is_null() {
        object["metadata"]["resourceVersion"] = version.clone();
    }
}

/// Evicts a Pod, if its disruption budgets allow it.
pub(crate) fn evict(api: &Api, request: &Request, key: &Key) -> Result<(), Refusal> {
    disruption::evict(api, request, key)
}

/// Whether this user may do this.
///
/// # Errors
/// 403 with the words of a real API server.
pub(crate) fn permit(asked: &Asked, verb: &str) -> Result<(), Refusal> {
    let Key {
        group,
        plural,
        namespace,
        name,
    } = &asked.address.key;
    let access = Access {
        user: &asked.who.user,
        groups: &asked.who.groups,
        verb,
        group,
        resource: plural,
        subresource: &asked.address.subresource,
        namespace,
        name,
        path: "",
    };
    if rbac::allows(&asked.api.state().store, &access) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        &asked.address.key,
        &rbac::refused(&access),
    ))
}

/// One field of an object that a registry gives when it is made.
pub(crate) fn prepare(kind: &Served, object: &mut Value) {
    if kind.definition.is_none() {
        defaults::prepare(&kind.kind, object);
    }
}

/// A cause without a field list of its own.
pub(crate) fn required(field: &str, message: &str) -> Cause {
    Cause {
        reason: "FieldValueRequired".to_owned(),
        field: field.to_owned(),
        message: format!("Required value: {message}"),
    }
}
