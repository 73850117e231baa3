//! Every route in one table: what answers it, what its caller needs, and how it is described. Router and description are made from it,
//! so that they cannot differ.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use schemars::{Schema, SchemaGenerator};

use crate::server::admit::{Need, admit};
use crate::server::ask::Accepted;
use crate::server::timeline::Timeline;
use crate::server::view::{CanaryList, CanaryView};
use crate::server::{State, api, ask, events, health, openapi, ui};
use crate::telemetry::OPEN_METRICS;

/// A route.
pub(super) struct Route {
    /// `get` or `post`.
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// A name for generated clients.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) need: Need,
    /// What may stand in the query, with its meaning.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) answer: Answer,
    handler: fn() -> MethodRouter<State>,
}

/// What a route answers when all is well.
pub(super) enum Answer {
    /// Text of this media type, or any file.
    Text(&'static str),
    /// JSON.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// 202 with JSON, to a body with details.
    Accepted(fn(&mut SchemaGenerator) -> Schema),
    /// Server-sent events.
    Events,
}

const PHASE: (&str, &str) = ("phase", "Only Canaries in this phase.");
const LABELS: (&str, &str) = (
    "labelSelector",
    "Only Canaries with these labels, as kubectl writes them.",
);
const NAMESPACE: (&str, &str) = ("namespace", "Only Canaries of this namespace.");

/// The table.
pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/api/v1/canaries",
        id: "listCanaries",
        summary: "The Canaries of all namespaces",
        need: Need::List,
        query: &[PHASE, LABELS],
        answer: Answer::Json(|all| all.subschema_for::<CanaryList>()),
        handler: || get(api::list),
    },
    Route {
        method: "get",
        path: "/api/v1/namespaces/{namespace}/canaries",
        id: "listCanariesOfNamespace",
        summary: "The Canaries of a namespace",
        need: Need::List,
        query: &[PHASE, LABELS],
        answer: Answer::Json(|all| all.subschema_for::<CanaryList>()),
        handler: || get(api::list_namespace),
    },
    Route {
        method: "get",
        path: "/api/v1/namespaces/{namespace}/canaries/{name}",
        id: "getCanary",
        summary: "One Canary, whole",
        need: Need::Get,
        query: &[],
        answer: Answer::Json(|all| all.subschema_for::<CanaryView>()),
        handler: || get(api::one),
    },
    Route {
        method: "get",
        path: "/api/v1/namespaces/{namespace}/canaries/{name}/timeline",
        id: "getTimeline",
        summary: "Weights and checks of one Canary over time, for charts",
        need: Need::Get,
        query: &[],
        answer: Answer::Json(|all| all.subschema_for::<Timeline>()),
        handler: || get(api::timeline),
    },
    Route {
        method: "get",
        path: "/api/v1/namespaces/{namespace}/canaries/{name}/events",
        id: "watchCanary",
        summary: "Every change of one Canary, whole each time",
        need: Need::Get,
        query: &[],
        answer: Answer::Events,
        handler: || get(events::one),
    },
    Route {
        method: "get",
        path: "/api/v1/events",
        id: "watchCanaries",
        summary: "Every change of the Canaries, as lists show them",
        need: Need::List,
        query: &[NAMESPACE, PHASE],
        answer: Answer::Events,
        handler: || get(events::all),
    },
    Route {
        method: "post",
        path: "/api/v1/namespaces/{namespace}/canaries/{name}/{verb}",
        id: "askForVerb",
        summary: "Asks for a verb: what the view lists under `verbs` is allowed now",
        need: Need::Person,
        query: &[],
        answer: Answer::Accepted(|all| all.subschema_for::<Accepted>()),
        handler: || post(ask::ask),
    },
    Route {
        method: "get",
        path: "/api/v1/whoami",
        id: "whoAmI",
        summary: "Who the token belongs to",
        need: Need::Reader,
        query: &[],
        answer: Answer::Json(|all| all.subschema_for::<api::WhoAmI>()),
        handler: || get(api::whoami),
    },
    open(
        "/openapi.json",
        "describe",
        "This description",
        "application/json",
        || get(openapi::document),
    ),
    open(
        "/healthz",
        "isAlive",
        "Whether it lives",
        "text/plain",
        || get(health::live),
    ),
    open(
        "/readyz",
        "isReady",
        "Whether it is ready to work",
        "text/plain",
        || get(health::ready),
    ),
    open(
        "/metrics",
        "metrics",
        "Metrics in OpenMetrics text",
        OPEN_METRICS,
        || get(super::metrics),
    ),
    open("/", "page", "The web page", "text/html", || get(ui::page)),
    open(
        "/ui/{file}",
        "file",
        "A file of the web page",
        "*/*",
        || get(ui::file),
    ),
];

const fn open(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media: &'static str,
    handler: fn() -> MethodRouter<State>,
) -> Route {
    Route {
        method: "get",
        path,
        id,
        summary,
        need: Need::Nothing,
        query: &[],
        answer: Answer::Text(media),
        handler,
    }
}

/// The router of the table.
pub(super) fn router(state: &State) -> Router<State> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        let mut handler = (route.handler)();
        if matches!(route.need, Need::List | Need::Get | Need::Person) {
            // Before that, a list would lack what is there.
            let ready = from_fn_with_state(state.clone(), health::once_ready);
            handler = handler.route_layer(ready);
        }
        if route.need != Need::Nothing {
            let admit = from_fn_with_state((state.clone(), route.need), admit);
            handler = handler.route_layer(admit);
        }
        router.route(route.path, handler)
    })
}
