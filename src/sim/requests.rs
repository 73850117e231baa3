//! The API server as a service: requests in, replies out, as the real client sends and reads them.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::sim::address::{Address, Query, Selector};
use crate::sim::api::{Api, Who};
use crate::sim::columns::{self, Table};
use crate::sim::kinds::Served;
use crate::sim::refusal::Refusal;
use crate::sim::store::Key;
use crate::sim::{body, discovery, metadata, openapi, questions, rules, watching};

/// Longest request body that is read.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// What one request is about, once it is understood.
pub(crate) struct Asked {
    pub(crate) api: Api,
    pub(crate) who: Who,
    pub(crate) address: Address,
    pub(crate) query: Query,
    pub(crate) kind: Arc<Served>,
    pub(crate) headers: HeaderMap,
}

/// Answers one request.
pub async fn answer(api: &Api, who: &Who, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        let why = "the request is too large";
        return refused(&Refusal::new(413, "RequestEntityTooLarge", why));
    };
    let body = body::plain(&parts.headers, body);
    let query = Query::read(parts.uri.query().unwrap_or_default());
    let Some(address) = Address::read(parts.uri.path()) else {
        return discovery::answer(api, parts.uri.path(), &parts.headers);
    };
    let kind = api.kind(&address.key.group, &address.key.plural);
    if parts.method == Method::POST
        && let Ok(question) = body.as_ref()
        && let Some(review) = body::read(question)
            .ok()
            .and_then(|review| questions::answer(api, who, &address, review))
    {
        return match review {
            Ok(review) => said(StatusCode::CREATED, &review),
            Err(refusal) => refused(&refusal),
        };
    }
    let Some(kind) = kind.filter(|kind| kind.version == address.version) else {
        let message = "the server could not find the requested resource";
        return refused(&Refusal::new(404, "NotFound", message));
    };
    let asked = Asked {
        api: api.clone(),
        who: named(who, &query, &parts.headers),
        address,
        query,
        kind,
        headers: parts.headers,
    };
    match asked.answer(&parts.method, body) {
        Ok(reply) => reply,
        Err(refusal) => refused(&refusal),
    }
}

/// The field manager is what the request says, or the beginning of the client's name.
fn named(who: &Who, query: &Query, headers: &HeaderMap) -> Who {
    let mut who = who.clone();
    let manager = query.text("fieldManager");
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    if !manager.is_empty() {
        manager.clone_into(&mut who.manager);
    } else if !agent.is_empty() {
        agent
            .split('/')
            .next()
            .unwrap_or_default()
            .clone_into(&mut who.manager);
    }
    who
}

impl Asked {
    fn answer(
        &self,
        method: &Method,
        body: Result<Bytes, Refusal>,
    ) -> Result<Response<Body>, Refusal> {
        let verb = self.verb(method);
        rules::permit(self, verb)?;
        self.part()?;
        let body = &body?;
        match verb {
            "watch" => Ok(watching::stream(self)),
            "list" => self.list(),
            "get" => self.get(),
            "create" => self.create(body::read(body)?),
            "update" => self.update(body::read(body)?),
            "patch" => self.patch(body),
            "delete" => self.delete(body),
            "deletecollection" => self.delete_all(body),
            _ => Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
        }
    }

    fn verb(&self, method: &Method) -> &'static str {
        let one = !self.address.key.name.is_empty();
        match (method.as_str(), one) {
            ("GET", _) if self.query.is_set("watch") => "watch",
            ("GET", true) => "get",
            ("GET", false) => "list",
            ("POST", _) => "create",
            ("PUT", true) => "update",
            ("PATCH", true) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "",
        }
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        (!self.address.everywhere).then_some(self.address.key.namespace.as_str())
    }

    fn list(&self) -> Result<Response<Body>, Refusal> {
        let Key { group, plural, .. } = &self.address.key;
        let selector = Selector::read(&self.query);
        let last = continued(self.query.text("continue"));
        let exact = self.query.text("resourceVersionMatch") == "Exact";
        let past = self.query.number("resourceVersion").filter(|_| exact);
        let past = last.as_ref().map(|(first, ..)| *first).or(past);
        let (revision, mut found) = self
            .api
            .snapshot((group, plural), self.namespace(), past)
            .map_err(|_| too_old())?;
        found.retain(|(_, object)| selector.fits(object));
        if let Some((_, namespace, name)) = last {
            found.retain(|(key, _)| (&key.namespace, &key.name) > (&namespace, &name));
        }
        let limit = usize::try_from(self.query.number("limit").unwrap_or(0)).unwrap_or(0);
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if limit > 0 && found.len() > limit {
            // What does not fit a selector is not counted, so that nothing is said of what comes.
            if selector == Selector::default() {
                metadata["remainingItemCount"] = json!(found.len() - limit);
            }
            found.truncate(limit);
            if let Some((key, _)) = found.last() {
                metadata["continue"] = json!(format!("{revision}|{}|{}", key.namespace, key.name));
            }
        }
        let items: Vec<_> = found.iter().map(|(_, object)| &**object).collect();
        Ok(match self.table(&items, &metadata) {
            Some(table) => said(StatusCode::OK, &table),
            None => self.listed(&items, &metadata),
        })
    }

    /// A table, if the client asks for one.
    pub(crate) fn table(&self, items: &[&Value], metadata: &Value) -> Option<Value> {
        let table = Table {
            kind: &self.kind,
            now: self.api.now(),
            include: self.query.text("includeObject"),
        };
        columns::wanted(&self.headers).then(|| table.of(items, metadata))
    }

    /// Written by hand: items of built-in kinds say neither kind nor version, and none of them is copied.
    pub(crate) fn listed(&self, items: &[&Value], metadata: &Value) -> Response<Body> {
        let bare = openapi::typed(&self.kind);
        let items: Vec<Value> = items
            .iter()
            .map(|item| {
                let mut item = Value::clone(item);
                if bare {
                    metadata::remove(&mut item, "apiVersion");
                    metadata::remove(&mut item, "kind");
                }
                item
            })
            .collect();
        let list = json!({
            "kind": format!("{}List", self.kind.kind), "apiVersion": self.kind.api_version(),
            "metadata": metadata, "items": items,
        });
        said(StatusCode::OK, &list)
    }

    fn get(&self) -> Result<Response<Body>, Refusal> {
        let key = &self.address.key;
        let object = self.api.get(key).ok_or_else(|| Refusal::not_found(key))?;
        if self.address.subresource == "scale" {
            return Ok(said(StatusCode::OK, &rules::scale_of(&object)));
        }
        let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
        let table = self.table(&[&*object], &metadata);
        Ok(said(StatusCode::OK, table.as_ref().unwrap_or(&object)))
    }
}

/// Where a list goes on: the revision of its first page, and the last object of the page before.
fn continued(token: &str) -> Option<(u64, String, String)> {
    let mut parts = token.split('|');
    let revision = parts.next()?.parse().ok()?;
    Some((revision, parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// 410: what a list would go on with is forgotten.
fn too_old() -> Refusal {
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
        the continue parameter.";
    Refusal::new(410, "Expired", message)
}

/// A reply in JSON.
pub(crate) fn said(status: StatusCode, value: &Value) -> Response<Body> {
    let mut reply = Response::new(Body::from(value.to_string()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    reply
}

/// A refusal as a reply.
pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    said(status, &refusal.status())
}
