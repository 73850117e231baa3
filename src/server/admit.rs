//! What a route needs of its caller, and who it turned out to be.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State as Extract};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::server::State;
use crate::server::access::{Access, Caller, Wish};
use crate::server::api::bad;
use crate::server::problem::Problem;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: probes, metrics, pages.
    Nothing,
    /// Somebody who may read at all.
    Reader,
    /// The right to list Canaries: of a namespace, if the request names one, or of all.
    List,
    /// The right to get the Canary.
    Get,
    /// A person; the route asks for the rest.
    Person,
}

/// Who was let in, and for what.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    /// Who.
    pub(super) caller: Caller,
    /// What for.
    pub(super) wish: Wish,
}

/// Lets a request on if its caller has what the route needs.
pub(super) async fn admit(
    Extract((state, need)): Extract<(State, Need)>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let params = match params {
        Ok(params) => params,
        Err(rejection) => return bad(rejection.body_text()).into_response(),
    };
    let (mut head, body) = request.into_parts();
    match judge(&state, need, &params, &head).await {
        Ok(admitted) => {
            head.extensions.insert(admitted);
            next.run(Request::from_parts(head, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn judge(
    state: &State,
    need: Need,
    params: &RawPathParams,
    head: &Parts,
) -> Result<Admitted, Problem> {
    let caller = state.access.caller(&head.headers).await?;
    let param = |wanted: &str| {
        let found = params.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut wish = Wish {
        namespace: param("namespace"),
        name: param("name"),
        ..Wish::default()
    };
    if need == Need::List && wish.namespace.is_empty() {
        wish.namespace = asked_namespace(&head.uri);
    }
    // Nobody is asked about what cannot be there, and nothing else gets into the log.
    for part in [&wish.namespace, &wish.name] {
        if !is_name(part) {
            return Err(bad(format!("nothing can be called {part:?}")));
        }
    }
    match need {
        Need::Nothing | Need::Reader => return Ok(Admitted { caller, wish }),
        Need::Person => {
            Access::person_of(&caller)?;
            return Ok(Admitted { caller, wish });
        }
        Need::Get => wish.verb = "get",
        Need::List => wish.verb = "list",
    }
    state.access.read(&caller, &wish).await?;
    Ok(Admitted { caller, wish })
}

/// Whether an object can be called so, or it is left out.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    text.len() <= 253 && text.bytes().all(fits)
}

/// The namespace in the query.
fn asked_namespace(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(name, _)| name == "namespace");
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
