//! Writes, in the order of a real API server: what the request says, defaults, admission, validation, generation, storage.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::admission::review::Operation;
use crate::sim::api::{Api, Part, Who};
use crate::sim::apply::{self, Writer};
use crate::sim::kinds::Served;
use crate::sim::metadata::{
    counts_generations, differs, grace, is_of, keep, precondition, propagate, remove, second,
    seconds_left,
};
use crate::sim::refusal::Refusal;
use crate::sim::rules;
use crate::sim::seed::letters;
use crate::sim::store::Key;

/// How an object is written.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub who: Who,
    /// Which part.
    pub part: Part,
    /// Nothing is kept.
    pub dry_run: bool,
    /// The manager's fields were written into `managedFields` already (server-side apply).
    pub applied: bool,
    /// The field manager that the request itself names; empty if it follows from the client.
    pub named: String,
}

impl Request {
    /// An ordinary write of the main part.
    #[must_use]
    pub fn of(who: &Who) -> Self {
        Self {
            who: who.clone(),
            part: Part::Main,
            dry_run: false,
            applied: false,
            named: who.manager.clone(),
        }
    }

    /// Who writes, for `managedFields`.
    pub(crate) fn writer<'a>(&'a self, api_version: &'a str, now: Timestamp) -> Writer<'a> {
        Writer {
            manager: &self.who.manager,
            api_version,
            subresource: match self.part {
                Part::Main => None,
                Part::Status => Some("status"),
                Part::Scale => Some("scale"),
            },
            now,
        }
    }

    /// The same about another part.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }
}

/// How an object is deleted.
#[derive(Clone, Debug, Default)]
pub struct Delete {
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only this version.
    pub version: Option<String>,
    /// `Foreground`, `Background` or `Orphan`.
    pub propagation: Option<String>,
    /// Seconds that a Pod has.
    pub grace: Option<i64>,
    /// It is an eviction: rules about deletions do not apply.
    pub evicted: bool,
}

impl Api {
    /// Makes an object.
    ///
    /// # Errors
    /// As a real API server refuses.
    pub fn create_as(
        &self,
        request: &Request,
        key: &Key,
        mut object: Value,
    ) -> Result<Arc<Value>, Refusal> {
        let _one = self.writing();
        let kind = self.served(key)?;
        let key = self.named(&kind, key, &mut object)?;
        self.room(&kind, &key)?;
        if self.get(&key).is_some() {
            return Err(Refusal::exists(&key));
        }
        // A kubelet brings its node with all that is known of it.
        if kind.status && kind.plural != "nodes" {
            remove(&mut object, "status");
        }
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        self.christen(&mut object);
        let mut object = self.admit(request, (&kind, &key), Operation::Create, (object, None))?;
        self.allot(&kind, &mut object);
        rules::prepare(&kind, &mut object);
        if counts_generations(&kind) {
            object["metadata"]["generation"] = json!(1);
        }
        if request.dry_run {
            return Ok(Arc::new(object));
        }
        self.sign(request);
        let written = self.state().store.put(key.clone(), object);
        self.after(&key, Some(&written));
        Ok(written)
    }

    /// Reads an object, changes it, and writes it, unless nothing changed.
    ///
    /// # Errors
    /// What `change` says, or as a real API server refuses.
    pub fn change(
        &self,
        request: &Request,
        key: &Key,
        change: impl FnOnce(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let _one = self.writing();
        let kind = self.served(key)?;
        let old = self.get(key).ok_or_else(|| Refusal::not_found(key))?;
        let mut new = Value::clone(&old);
        change(&mut new)?;
        self.replace(request, (&kind, key), &old, new)
    }

    fn replace(
        &self,
        request: &Request,
        (kind, key): (&Arc<Served>, &Key),
        old: &Arc<Value>,
        mut new: Value,
    ) -> Result<Arc<Value>, Refusal> {
        is_of(key, old, &new)?;
        keep(kind, request.part, old, &mut new);
        let mut new = self.admit(request, (kind, key), Operation::Update, (new, Some(old)))?;
        if counts_generations(kind) && differs(old, &new) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            new["metadata"]["generation"] = json!(generation);
        }
        apply::settle(old, &mut new);
        if **old == new {
            return Ok(old.clone());
        }
        if request.dry_run {
            return Ok(Arc::new(new));
        }
        self.sign(request);
        self.store(key, new)
    }

    fn sign(&self, request: &Request) {
        let now = self.now();
        self.state().store.sign(now, &request.who.user);
    }

    /// Writes, or takes away what was only waiting for its last finalizer.
    fn store(&self, key: &Key, new: Value) -> Result<Arc<Value>, Refusal> {
        let ending = !new["metadata"]["deletionTimestamp"].is_null() && key.plural != "pods";
        let free = new["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty);
        let written = {
            let mut state = self.state();
            let written = state.store.put(key.clone(), new);
            if ending && free && key.plural != "namespaces" {
                state.store.remove(key);
            }
            written
        };
        self.after(key, (!(ending && free)).then_some(&written));
        Ok(written)
    }

    /// Deletes an object, or marks it until its finalizers are gone. The object as it is now, or as it was, comes back.
    ///
    /// # Errors
    /// As a real API server refuses.
    pub fn delete_as(
        &self,
        request: &Request,
        key: &Key,
        options: &Delete,
    ) -> Result<Arc<Value>, Refusal> {
        let _one = self.writing();
        let kind = self.served(key)?;
        let old = self.get(key).ok_or_else(|| Refusal::not_found(key))?;
        precondition(key, &old, options)?;
        if !options.evicted {
            let value = Value::clone(&old);
            let objects = (value, Some(&old));
            self.admit(request, (&kind, key), Operation::Delete, objects)?;
        }
        if request.dry_run {
            return Ok(old);
        }
        self.sign(request);
        let mut dying = Value::clone(&old);
        propagate(&mut dying, options);
        let waits = dying["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        let grace = grace(&kind, &dying, options);
        if !waits && grace == 0 && kind.plural != "namespaces" {
            let gone = self.state().store.remove(key);
            self.after(key, None);
            return Ok(gone.unwrap_or(old));
        }
        if !dying["metadata"]["deletionTimestamp"].is_null() && grace >= seconds_left(&dying) {
            return Ok(old);
        }
        let at = self.now() + jiff::SignedDuration::from_secs(grace);
        dying["metadata"]["deletionTimestamp"] = json!(second(at));
        dying["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        if kind.plural == "namespaces" {
            dying["status"]["phase"] = json!("Terminating");
        }
        if counts_generations(&kind) {
            let generation = dying["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            dying["metadata"]["generation"] = json!(generation);
        }
        let written = self.state().store.put(key.clone(), dying);
        self.after(key, Some(&written));
        Ok(written)
    }

    /// Takes a namespace away that is going, once nothing is left in it.
    pub(crate) fn finalize(&self, key: &Key) {
        let _one = self.writing();
        let free = |space: &Value| {
            let finalizers = space["metadata"]["finalizers"].as_array();
            finalizers.is_none_or(Vec::is_empty)
                && !space["metadata"]["deletionTimestamp"].is_null()
        };
        if self.get(key).is_some_and(|space| free(&space)) {
            self.state().store.remove(key);
            self.after(key, None);
        }
    }

    fn served(&self, key: &Key) -> Result<Arc<Served>, Refusal> {
        let missing = || {
            let message = "the server could not find the requested resource";
            Refusal::new(404, "NotFound", message)
        };
        self.kind(&key.group, &key.plural).ok_or_else(missing)
    }

    /// The key with the object's own name, given by the server if only its beginning was said.
    fn named(&self, kind: &Served, key: &Key, object: &mut Value) -> Result<Key, Refusal> {
        if !object.is_object() {
            return Err(Refusal::bad_request("the object is no object"));
        }
        if object["metadata"].is_null() {
            object["metadata"] = json!({});
        }
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let mut name = text("name").to_owned();
        if name.is_empty() && !text("generateName").is_empty() {
            name = format!("{}{}", text("generateName"), self.suffix());
        }
        if name.is_empty() {
            name.clone_from(&key.name);
        }
        let mut named = key.clone();
        named.name = name;
        if named.name.is_empty() {
            let cause = rules::required("metadata.name", "name or generateName is required");
            return Err(Refusal::invalid(&kind.kind, key, vec![cause]));
        }
        object["metadata"]["name"] = json!(named.name);
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(named.namespace);
        }
        Ok(named)
    }

    /// A namespace that is not there, or goes, takes nothing new.
    fn room(&self, kind: &Served, key: &Key) -> Result<(), Refusal> {
        if !kind.namespaced {
            return Ok(());
        }
        let home = Key::new("", "namespaces", "", &key.namespace);
        let space = self.get(&home).ok_or_else(|| Refusal::not_found(&home))?;
        if space["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            key.namespace
        );
        Err(Refusal::forbidden(key, &why))
    }

    /// UID and birth.
    fn christen(&self, object: &mut Value) {
        let number = self.number();
        let metadata = &mut object["metadata"];
        for field in [
            "resourceVersion",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ] {
            remove(metadata, field);
        }
        metadata["uid"] = json!(format!("00000000-0000-4000-8000-{number:012x}"));
        metadata["creationTimestamp"] = json!(second(self.now()));
    }

    fn number(&self) -> u64 {
        let mut state = self.state();
        state.made += 1;
        state.made
    }

    /// Five letters that no vowel makes a word of, as the API server gives them.
    pub(crate) fn suffix(&self) -> String {
        letters(self.number().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16, 5)
    }

    /// What the API server gives by itself.
    fn allot(&self, kind: &Served, object: &mut Value) {
        if kind.plural == "services" && kind.group.is_empty() {
            let wanted = object["spec"]["clusterIP"].as_str().unwrap_or_default();
            let name = object["spec"]["type"] == "ExternalName";
            if wanted.is_empty() && !name {
                let number = self.number();
                let address = format!("10.96.{}.{}", number / 250 % 250 + 1, number % 250 + 1);
                object["spec"]["clusterIP"] = json!(address);
            }
            if !name {
                object["spec"]["clusterIPs"] = json!([object["spec"]["clusterIP"]]);
            }
            object["status"] = json!({"loadBalancer": {}});
        }
        if kind.plural == "customresourcedefinitions" {
            rules::established(object, &second(self.now()));
        }
    }

    /// Defaults, admission and validation.
    fn admit(
        &self,
        request: &Request,
        (kind, key): (&Arc<Served>, &Key),
        operation: Operation,
        (object, old): (Value, Option<&Arc<Value>>),
    ) -> Result<Value, Refusal> {
        let review = rules::Review {
            api: self,
            request,
            kind,
            key,
            operation,
            old,
        };
        review.admit(object)
    }

    /// What follows a write by itself.
    fn after(&self, key: &Key, object: Option<&Arc<Value>>) {
        if key.plural == "customresourcedefinitions" {
            rules::define(self, key, object);
        }
        self.tell();
    }
}
