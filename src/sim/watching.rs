//! Watches: the writes after a revision, as they come, until the time that was asked for is over.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, Stream};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::sim::address::Selector;
use crate::sim::refusal::Refusal;
use crate::sim::requests::{Asked, refused, said};
use crate::sim::store::{Event, Happened, Key};

/// How often a watch that asked for bookmarks is told how far it is.
const BOOKMARK: Duration = Duration::from_secs(60);

/// One watch.
struct Watching {
    asked: Asked,
    selector: Selector,
    revision: u64,
    changed: watch::Receiver<u64>,
    until: Instant,
    bookmark: Option<Instant>,
    over: bool,
    /// The columns of tables were said.
    headed: bool,
}

/// The reply to a watch.
pub(crate) fn stream(asked: &Asked) -> Response<Body> {
    let query = &asked.query;
    let version = query.text("resourceVersion");
    let revision = match version {
        "" | "0" => None,
        text => match text.parse() {
            Ok(revision) => Some(revision),
            Err(_) => {
                let why = format!("invalid resource version: {text:?}");
                return refused(&Refusal::bad_request(why));
            }
        },
    };
    let now = Instant::now();
    let seconds = query.number("timeoutSeconds").unwrap_or(1800);
    let whole = query.is_set("sendInitialEvents");
    if whole && query.text("resourceVersionMatch") != "NotOlderThan" {
        let why = "sendInitialEvents needs resourceVersionMatch=NotOlderThan";
        return refused(&Refusal::bad_request(why));
    }
    let mut watching = Watching {
        selector: Selector::read(query),
        revision: revision.unwrap_or_else(|| asked.api.revision()),
        changed: asked.api.subscribe(),
        until: now + Duration::from_secs(seconds),
        bookmark: query
            .is_set("allowWatchBookmarks")
            .then_some(now + BOOKMARK),
        over: false,
        headed: false,
        asked: asked.again(),
    };
    let mut first = Vec::new();
    if whole || revision.is_none() {
        first = watching.everything();
    }
    if whole {
        first.push(watching.marked(true));
    }
    let mut reply = said(StatusCode::OK, &Value::Null);
    let rest = watching.chunks();
    let all = stream::iter(first.into_iter().map(Ok)).chain_with(rest);
    *reply.body_mut() = Body::from_stream(all);
    reply
}

/// `StreamExt::chain`, named apart from the import of `stream`.
trait Chain: Stream + Sized {
    fn chain_with<S: Stream<Item = Self::Item>>(self, next: S) -> impl Stream<Item = Self::Item> {
        futures::StreamExt::chain(self, next)
    }
}

impl<S: Stream> Chain for S {}

impl Watching {
    /// What there is, for a watch that begins nowhere.
    fn everything(&mut self) -> Vec<Bytes> {
        let (mut found, name) = (Vec::new(), self.asked.address.key.name.clone());
        let Key { group, plural, .. } = &self.asked.address.key;
        let home = self.asked.namespace();
        // Of now nothing is forgotten.
        if let Ok((revision, all)) = self.asked.api.snapshot((group, plural), home, None) {
            self.revision = revision;
            found = all;
        }
        found.retain(|(key, object)| {
            (name.is_empty() || key.name == name) && self.selector.fits(object)
        });
        let lines = found.iter().map(|(_, object)| self.line("ADDED", object));
        lines.collect()
    }

    /// One line, with the object or with its row of a table, as it was asked for.
    fn line(&mut self, happened: &str, object: &Value) -> Bytes {
        let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
        let Some(mut table) = self.asked.table(&[object], &metadata) else {
            return line(happened, object);
        };
        if self.headed {
            table["columnDefinitions"] = Value::Null;
        }
        self.headed = true;
        line(happened, &table)
    }

    fn chunks(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        stream::unfold(self, |mut watching| async move {
            let chunk = watching.next().await?;
            Some((Ok(chunk), watching))
        })
    }

    /// The next lines; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            let lines = self.new_lines();
            if !lines.is_empty() {
                return Some(lines.into());
            }
            let wake = self.bookmark.map_or(self.until, |at| at.min(self.until));
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= self.until {
                        return None;
                    }
                    return Some(self.mark());
                }
            }
        }
    }

    fn new_lines(&mut self) -> Vec<u8> {
        self.changed.mark_unchanged();
        let mine = self.asked.address.key.clone();
        let Ok((revision, events)) = self.asked.api.told(self.revision, &mine) else {
            self.over = true;
            let why = format!("too old resource version: {}", self.revision);
            return line("ERROR", &Refusal::new(410, "Expired", why).status()).into();
        };
        self.revision = revision;
        let mut lines = Vec::new();
        for event in &events {
            if let Some(line) = self.told(event) {
                lines.extend_from_slice(&line);
            }
        }
        lines
    }

    /// What this watch is told of a write: with a selector, an object comes and goes as it fits.
    fn told(&mut self, event: &Event) -> Option<Bytes> {
        let home = self
            .asked
            .namespace()
            .is_none_or(|home| home == event.key.namespace);
        let name = &self.asked.address.key.name;
        if !home || !(name.is_empty() || *name == event.key.name) {
            return None;
        }
        let is = event.happened != Happened::Deleted && self.selector.fits(&event.object);
        let before = event.before.as_ref();
        let was = before.is_some_and(|object| self.selector.fits(object));
        match (was, is) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &event.object)),
            (true, true) => Some(self.line("MODIFIED", &event.object)),
            (true, false) => Some(self.line("DELETED", &event.object)),
        }
    }

    fn mark(&mut self) -> Bytes {
        self.bookmark = self.bookmark.map(|_| Instant::now() + BOOKMARK);
        self.marked(false)
    }

    /// How far the watch is, and whether that was the last of what there was at its beginning.
    fn marked(&self, beginning: bool) -> Bytes {
        let kind = &self.asked.kind;
        let mut object = json!({
            "kind": kind.kind, "apiVersion": kind.api_version(),
            "metadata": {"resourceVersion": self.revision.to_string(), "creationTimestamp": null},
            "spec": {}, "status": {},
        });
        if beginning {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line("BOOKMARK", &object)
    }
}

fn line(happened: &str, object: &Value) -> Bytes {
    let mut text = format!("{{\"type\":\"{happened}\",\"object\":{object}}}");
    text.push('\n');
    text.into()
}

impl Asked {
    /// The same request, to be followed.
    fn again(&self) -> Self {
        Self {
            api: self.api.clone(),
            who: self.who.clone(),
            address: self.address.clone(),
            query: self.query.clone(),
            kind: self.kind.clone(),
            headers: self.headers.clone(),
        }
    }
}
