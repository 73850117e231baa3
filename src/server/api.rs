//! Reading Canaries.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::Place;
use crate::crd::canary::Canary;
use crate::crd::status::Phase;
use crate::server::access::Caller;
use crate::server::admit::Admitted;
use crate::server::problem::Problem;
use crate::server::view::{CanaryItem, CanaryList, CanaryView};
use crate::server::{State, selector};

/// What a list can be narrowed by.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ListQuery {
    /// Only Canaries in this phase.
    pub phase: Option<String>,
    /// Only Canaries with these labels, as kubectl writes them.
    pub label_selector: Option<String>,
}

/// `GET /api/v1/canaries`
pub(super) async fn list(
    Extract(state): Extract<State>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<CanaryList>, Problem> {
    select(&state, None, query)
}

/// `GET /api/v1/namespaces/{namespace}/canaries`
pub(super) async fn list_namespace(
    Extract(state): Extract<State>,
    namespace: Result<Path<String>, PathRejection>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<CanaryList>, Problem> {
    let Path(namespace) = namespace.map_err(|rejection| bad(rejection.body_text()))?;
    select(&state, Some(&namespace), query)
}

/// `GET /api/v1/namespaces/{namespace}/canaries/{name}`
pub(super) async fn one(
    Extract(state): Extract<State>,
    path: Result<Path<Place>, PathRejection>,
) -> Result<Json<CanaryView>, Problem> {
    let Path(place) = path.map_err(|rejection| bad(rejection.body_text()))?;
    let canary = find(&state, &place)?;
    Ok(Json(CanaryView::of(&canary)))
}

/// `GET /api/v1/namespaces/{namespace}/canaries/{name}/timeline`
pub(super) async fn timeline(
    Extract(state): Extract<State>,
    path: Result<Path<Place>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Path(place) = path.map_err(|rejection| bad(rejection.body_text()))?;
    let canary = find(&state, &place)?;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((headers, state.recorder.timeline(&canary)))
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct WhoAmI {
    /// The name that the API server knows the token's owner by; null for nobody in particular.
    user: Option<String>,
    /// Nobody in particular: no token was sent, and none is needed to read.
    anonymous: bool,
}

/// `GET /api/v1/whoami`
pub(super) async fn whoami(Extension(admitted): Extension<Admitted>) -> Json<WhoAmI> {
    let user = match admitted.caller {
        Caller::Anonymous => None,
        Caller::Known(person, _) => Some(person.name.clone()),
    };
    Json(WhoAmI {
        anonymous: user.is_none(),
        user,
    })
}

fn find(state: &State, place: &Place) -> Result<Arc<Canary>, Problem> {
    let found = state.recorder.canary(place);
    found.ok_or_else(|| missing(place))
}

/// There is no such Canary.
pub(super) fn missing((namespace, name): &Place) -> Problem {
    let detail = format!("there is no Canary {name} in namespace {namespace}");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

fn select(
    state: &State,
    namespace: Option<&str>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<CanaryList>, Problem> {
    let Query(query) = query.map_err(|rejection| bad(rejection.body_text()))?;
    let phase = query.phase.as_deref().map(Phase::from_str).transpose();
    let phase = phase.map_err(bad)?;
    let labels = selector::parse(query.label_selector.as_deref().unwrap_or_default());
    let labels = labels.map_err(|reason| bad(format!("labelSelector: {reason}")))?;
    let mut found: Vec<Arc<Canary>> = (state.canaries)(namespace)
        .into_iter()
        .filter(|canary| wanted(canary, phase, &labels))
        .collect();
    found.sort_by_key(|canary| (canary.home(), canary.name_any()));
    let items = found.iter().map(|canary| CanaryItem::of(canary)).collect();
    Ok(Json(CanaryList { items }))
}

fn wanted(canary: &Canary, phase: Option<Phase>, labels: &Selector) -> bool {
    let is = canary
        .status
        .as_ref()
        .map_or(Phase::Initializing, |status| status.phase);
    phase.is_none_or(|phase| phase == is) && labels.matches(canary.labels())
}

/// Something in path or query cannot be understood.
pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| format!("phase: there is no {text:?}; the phases are {}", known()))
    }
}
