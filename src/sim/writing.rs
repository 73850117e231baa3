//! Requests that write: create, update, the kinds of patches, apply, delete.

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::sim::address::Selector;
use crate::sim::api::Part;
use crate::sim::body::{self, Validation, media_type, read, unsupported, warned};
use crate::sim::refusal::Refusal;
use crate::sim::requests::{Asked, said};
use crate::sim::store::Key;
use crate::sim::write::{self, Delete};
use crate::sim::{openapi, patch, rules};

/// Kinds of which a deletion returns the object; of others it says what is gone.
const RETURNED: [&str; 4] = ["namespaces", "pods", "serviceaccounts", "services"];

/// What needs a container.
const INSIDE: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

impl Asked {
    /// The part of the object that the address names.
    pub(crate) fn part(&self) -> Result<Part, Refusal> {
        let pods = self.kind.plural == "pods" && self.kind.group.is_empty();
        match self.address.subresource.as_str() {
            "" => Ok(Part::Main),
            "status" if self.kind.status => Ok(Part::Status),
            "scale" if self.kind.scale => Ok(Part::Scale),
            "eviction" if pods => Ok(Part::Main),
            inside if pods && INSIDE.contains(&inside) => {
                let why = format!(
                    "no container runs in a simulated cluster, so that there is no {inside}"
                );
                Err(Refusal::new(405, "MethodNotAllowed", why))
            }
            _ => {
                let message = "the server could not find the requested resource";
                Err(Refusal::new(404, "NotFound", message))
            }
        }
    }

    /// How this request writes.
    fn request(&self) -> Result<write::Request, Refusal> {
        let mut request = write::Request::of(&self.who).part(self.part()?);
        request.dry_run = self.query.text("dryRun") == "All";
        self.query
            .text("fieldManager")
            .clone_into(&mut request.named);
        Ok(request)
    }

    /// Takes unknown fields out of an object that was sent as a whole.
    fn strip(&self, object: &mut Value) -> Result<Vec<String>, Refusal> {
        let validation = Validation::read(self.query.text("fieldValidation"))?;
        let (kind, version) = (&self.kind.kind, &self.kind.version);
        validation.strip(&self.kind, object, |why| {
            Refusal::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            ))
        })
    }

    pub(crate) fn create(&self, mut object: Value) -> Result<Response<Body>, Refusal> {
        let mut request = self.request()?;
        if self.address.subresource == "eviction" {
            request.dry_run |= is_dry(&object["deleteOptions"]);
            rules::evict(&self.api, &request, &self.address.key)?;
            let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
            return Ok(said(StatusCode::CREATED, &done));
        }
        let warnings = self.strip(&mut object)?;
        let made = self.api.create_as(&request, &self.address.key, object)?;
        Ok(warned(said(StatusCode::CREATED, &made), &warnings))
    }

    pub(crate) fn update(&self, mut object: Value) -> Result<Response<Body>, Refusal> {
        let request = self.request()?;
        let warnings = if request.part == Part::Scale {
            Vec::new()
        } else {
            self.strip(&mut object)?
        };
        let written = self.api.change(&request, &self.address.key, |live| {
            if request.part == Part::Scale {
                rules::scale(live, &object);
            } else {
                *live = object;
            }
            Ok(())
        })?;
        Ok(warned(self.reply(&request, &written), &warnings))
    }

    fn reply(&self, request: &write::Request, written: &Value) -> Response<Body> {
        if request.part == Part::Scale {
            return said(StatusCode::OK, &rules::scale_of(written));
        }
        said(StatusCode::OK, written)
    }

    pub(crate) fn patch(&self, body: &Bytes) -> Result<Response<Body>, Refusal> {
        let kind = media_type(&self.headers);
        if kind == "application/apply-patch+yaml" {
            return self.apply(read(body)?);
        }
        let patch = read(body)?;
        let request = self.request()?;
        let validation = Validation::read(self.query.text("fieldValidation"))?;
        let mut warnings = Vec::new();
        let written = self.api.change(&request, &self.address.key, |live| {
            if request.part == Part::Scale {
                let mut scale = rules::scale_of(live);
                self.patched(kind, &mut scale, &patch)?;
                rules::scale(live, &scale);
                return Ok(());
            }
            self.patched(kind, live, &patch)?;
            warnings = validation.strip(&self.kind, live, |why| {
                let why = format!(
                    " \"\" is invalid: patch: Invalid value: {:?}: {why}",
                    patch.to_string()
                );
                Refusal::new(422, "Invalid", why)
            })?;
            Ok(())
        })?;
        Ok(warned(self.reply(&request, &written), &warnings))
    }

    fn patched(&self, kind: &str, object: &mut Value, patch: &Value) -> Result<(), Refusal> {
        match kind {
            "application/json-patch+json" => patch::json(object, patch),
            "application/merge-patch+json" => patch::merge(object, patch),
            "application/strategic-merge-patch+json" if openapi::typed(&self.kind) => {
                let shape = self.api.state().rules.shape(&self.kind);
                patch::strategic(&shape, object, patch)
            }
            other => Err(unsupported(other)),
        }
    }

    fn apply(&self, mut applied: Value) -> Result<Response<Body>, Refusal> {
        let mut request = self.request()?;
        request.applied = true;
        let key = &self.address.key;
        if let Some(path) = openapi::strip(&self.kind, &mut applied).first() {
            let why = format!(
                "failed to create typed patch object ({}/{}; {}, Kind={}): .{path}: field not declared in schema",
                key.namespace,
                key.name,
                self.kind.api_version(),
                self.kind.kind
            );
            return Err(Refusal::new(500, "", why));
        }
        if self.api.get(key).is_none() {
            let object = rules::merge(self, &request, None, &applied)?;
            let made = self.api.create_as(&request, key, object)?;
            return Ok(said(StatusCode::CREATED, &made));
        }
        let written = self.api.change(&request, key, |live| {
            *live = rules::merge(self, &request, Some(live), &applied)?;
            Ok(())
        })?;
        Ok(said(StatusCode::OK, &written))
    }

    pub(crate) fn delete(&self, body: &Bytes) -> Result<Response<Body>, Refusal> {
        let (options, dry) = self.options(body)?;
        let mut request = self.request()?;
        request.dry_run |= dry;
        let key = &self.address.key;
        let last = self.api.delete_as(&request, key, &options)?;
        let uid = &last["metadata"]["uid"];
        let stays = self
            .api
            .get(key)
            .is_some_and(|object| object["metadata"]["uid"] == *uid);
        if (stays && !request.dry_run) || RETURNED.contains(&self.kind.plural.as_str()) {
            return Ok(said(StatusCode::OK, &last));
        }
        let mut details = json!({"name": key.name, "kind": key.plural, "uid": uid});
        if !key.group.is_empty() {
            details["group"] = json!(key.group);
        }
        Ok(said(
            StatusCode::OK,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
        ))
    }

    /// How it is deleted, and whether only for show.
    fn options(&self, body: &Bytes) -> Result<(Delete, bool), Refusal> {
        let given = if body.is_empty() {
            json!({})
        } else {
            body::read(body)?
        };
        let text = |pointer: &str| given.pointer(pointer).and_then(Value::as_str);
        let propagation = Some(self.query.text("propagationPolicy")).filter(|it| !it.is_empty());
        let grace = self.query.text("gracePeriodSeconds").parse().ok();
        let options = Delete {
            uid: text("/preconditions/uid").map(str::to_owned),
            version: text("/preconditions/resourceVersion").map(str::to_owned),
            propagation: text("/propagationPolicy")
                .or(propagation)
                .map(str::to_owned),
            grace: given["gracePeriodSeconds"].as_i64().or(grace),
            evicted: false,
        };
        Ok((options, is_dry(&given)))
    }

    pub(crate) fn delete_all(&self, body: &Bytes) -> Result<Response<Body>, Refusal> {
        let Key { group, plural, .. } = &self.address.key;
        let (options, dry) = self.options(body)?;
        let mut request = self.request()?;
        request.dry_run |= dry;
        let selector = Selector::read(&self.query);
        let mut found = self.api.list(group, plural, self.namespace());
        found.retain(|(_, object)| selector.fits(object));
        for (key, _) in &found {
            self.api.delete_as(&request, key, &options)?;
        }
        let items: Vec<_> = found.iter().map(|(_, object)| &**object).collect();
        let metadata = json!({"resourceVersion": self.api.revision().to_string()});
        Ok(self.listed(&items, &metadata))
    }
}

fn is_dry(options: &Value) -> bool {
    options["dryRun"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one == "All"))
}
