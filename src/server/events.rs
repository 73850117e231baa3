//! Server-sent events: what changes of the Canaries, told as it happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::cluster::Place;
use crate::crd::status::Phase;
use crate::server::State;
use crate::server::access::Access;
use crate::server::admit::Admitted;
use crate::server::api::{bad, missing};
use crate::server::listen::Line;
use crate::server::problem::Problem;
use crate::server::recorder::{Change, READERS, Recorder, Subscription, view};

/// Silence is broken after so long: proxies close what says nothing, and who is gone is noticed.
const STILL_HERE: Duration = Duration::from_secs(15);
/// So often it is asked again whether the reader may read.
const RECHECK: Duration = Duration::from_secs(60);
/// Canaries that are written at once: a reader has that many bytes waiting for him at most, some 20 kB.
const PAGE: usize = 32;
/// How soon a reader who was cut off comes back, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";

/// What events can be narrowed by.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct EventQuery {
    namespace: Option<String>,
    phase: Option<String>,
}

/// `GET /api/v1/events`
pub(super) async fn all(
    Extract(state): Extract<State>,
    query: Result<Query<EventQuery>, QueryRejection>,
    Extension(admitted): Extension<Admitted>,
    line: Option<Extension<Line>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| bad(rejection.body_text()))?;
    let phase = query.phase.as_deref().map(Phase::from_str).transpose();
    let whom = Whom::All {
        namespace: query.namespace,
        phase: phase.map_err(bad)?,
    };
    begin(&state, whom, admitted, line, &headers)
}

/// `GET /api/v1/namespaces/{namespace}/canaries/{name}/events`
pub(super) async fn one(
    Extract(state): Extract<State>,
    path: Result<Path<Place>, PathRejection>,
    Extension(admitted): Extension<Admitted>,
    line: Option<Extension<Line>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(place) = path.map_err(|rejection| bad(rejection.body_text()))?;
    if state.recorder.canary(&place).is_none() {
        return Err(missing(&place));
    }
    begin(&state, Whom::One(place), admitted, line, &headers)
}

/// Whom a reader wants to hear of.
enum Whom {
    All {
        namespace: Option<String>,
        phase: Option<Phase>,
    },
    One(Place),
}

fn begin(
    state: &State,
    whom: Whom,
    admitted: Admitted,
    line: Option<Extension<Line>>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let full = || {
        let detail = format!("{READERS} readers follow events already; try again later");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    let place = state.recorder.place().ok_or_else(full)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let subscription = state.recorder.subscribe(last);
    let now = Instant::now();
    let mut reader = Reader {
        recorder: state.recorder.clone(),
        access: state.access.clone(),
        subscription,
        whom,
        admitted,
        line: line.map(|Extension(line)| line).unwrap_or_default(),
        waiting: VecDeque::from([Bytes::from_static(RETRY.as_bytes())]),
        list: None,
        recheck: now + RECHECK,
        _place: place,
    };
    reader.greet();
    let events = stream::unfold(reader, |mut reader| async move {
        let next = reader.next().await?;
        Some((Ok::<_, Infallible>(next), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Not for proxies to collect.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// A reader, and what he has not got yet.
struct Reader {
    recorder: Recorder,
    access: Access,
    subscription: Subscription,
    whom: Whom,
    admitted: Admitted,
    line: Line,
    waiting: VecDeque<Bytes>,
    /// The list that is being written.
    list: Option<List>,
    recheck: Instant,
    _place: OwnedSemaphorePermit,
}

/// A list in pages. What changes meanwhile is told after it, for it has a later number.
#[derive(Default)]
struct List {
    after: Option<Place>,
    has_begun: bool,
    is_first: bool,
}

impl Reader {
    /// What he missed; or everything, if that is not known.
    fn greet(&mut self) {
        match self.subscription.missed.take() {
            Some(missed) => {
                let told: Vec<_> = missed.iter().filter_map(|one| self.tell(one)).collect();
                // Of one Canary, the last look has all that the others had.
                let skipped = match self.whom {
                    Whom::One(_) => told.len().saturating_sub(1),
                    Whom::All { .. } => 0,
                };
                self.waiting.extend(told.into_iter().skip(skipped));
            }
            None => match &self.whom {
                Whom::All { .. } => {
                    self.list = Some(List {
                        is_first: true,
                        ..List::default()
                    });
                }
                Whom::One(place) => {
                    let number = self.subscription.number;
                    let whole = self.whole(place, number);
                    self.waiting.push_back(whole);
                }
            },
        }
    }

    /// The next bytes; `None`: the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        self.line.beat();
        if let Some(bytes) = self.waiting.pop_front() {
            return Some(bytes);
        }
        if self.list.is_some() {
            return Some(self.page());
        }
        let still = tokio::time::sleep(STILL_HERE);
        tokio::pin!(still);
        loop {
            let recheck = tokio::time::sleep_until(self.recheck);
            tokio::select! {
                () = self.line.closed() => return None,
                news = self.subscription.news.recv() => match news {
                    Ok(change) => if let Some(event) = self.tell(&change) {
                        return Some(event);
                    },
                    // He is too slow: he comes back, and gets what he missed.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                () = recheck => {
                    self.recheck = Instant::now() + RECHECK;
                    let Admitted { caller, wish } = &self.admitted;
                    if !self.access.still(caller, wish).await {
                        return None;
                    }
                }
                () = &mut still => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }

    /// The event of a change, if this reader wants to hear of it.
    fn tell(&self, change: &Arc<Change>) -> Option<Bytes> {
        let (namespace, name) = &change.place;
        let id = self.recorder.id(change.number);
        let gone = || {
            let gone = json!({"namespace": namespace, "name": name}).to_string();
            Some(event("gone", &id, gone.as_bytes()))
        };
        match &self.whom {
            Whom::One(place) if *place != change.place => None,
            Whom::One(_) if change.item.is_none() => gone(),
            Whom::One(place) => Some(self.whole(place, change.number)),
            Whom::All {
                namespace: only, ..
            } if !change.is_listed || only.as_ref().is_some_and(|only| only != namespace) => None,
            Whom::All { phase, .. } => {
                let wanted = |is: Option<Phase>| {
                    is.is_some_and(|is| phase.is_none_or(|wanted| wanted == is))
                };
                match &change.item {
                    Some(item) if wanted(change.after) => Some(event("canary", &id, item)),
                    _ if wanted(change.before) => gone(),
                    _ => None,
                }
            }
        }
    }

    /// A Canary whole, as it is now.
    fn whole(&self, place: &Place, number: u64) -> Bytes {
        let id = self.recorder.id(number);
        match self.recorder.canary(place) {
            Some(canary) => event("canary", &id, &view(&canary)),
            None => {
                let gone = json!({"namespace": place.0, "name": place.1}).to_string();
                event("gone", &id, gone.as_bytes())
            }
        }
    }

    /// The next part of the list: its lines are one event.
    fn page(&mut self) -> Bytes {
        let Some(list) = &mut self.list else {
            return Bytes::new();
        };
        let mut text = Vec::new();
        if !list.has_begun {
            list.has_begun = true;
            let id = self.recorder.id(self.subscription.number);
            text.extend_from_slice(
                format!("event: list\nid: {id}\ndata: {{\"items\":[").as_bytes(),
            );
        }
        let page = self.recorder.page(list.after.as_ref(), PAGE);
        let is_last = page.len() < PAGE;
        for (place, phase, item) in page {
            if self.whom.wants(&place, phase) {
                if !std::mem::take(&mut list.is_first) {
                    text.push(b',');
                }
                text.extend_from_slice(&item);
            }
            list.after = Some(place);
        }
        if is_last {
            self.list = None;
            text.extend_from_slice(b"]}\n\n");
        }
        Bytes::from(text)
    }
}

impl Whom {
    fn wants(&self, place: &Place, is: Phase) -> bool {
        match self {
            Self::All { namespace, phase } => {
                namespace.as_ref().is_none_or(|only| *only == place.0)
                    && phase.is_none_or(|wanted| wanted == is)
            }
            Self::One(only) => only == place,
        }
    }
}

/// An event. JSON has no line breaks of its own.
fn event(name: &str, id: &str, data: &[u8]) -> Bytes {
    let mut text = format!("event: {name}\nid: {id}\ndata: ").into_bytes();
    text.extend_from_slice(data);
    text.extend_from_slice(b"\n\n");
    Bytes::from(text)
}
