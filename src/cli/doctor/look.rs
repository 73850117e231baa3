//! Looks at a cluster: what is there, what is not, and what may not be seen.

use std::future::Future;

use futures::StreamExt;
use kube::api::{ApiResource, ListParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

use crate::cli::exit;

/// What a look showed: `None` means that it is not there, an error that nobody knows.
pub(super) type Look<T> = Result<Option<T>, String>;

/// Objects of one list that are read at a time.
const PAGE: u32 = 100;

/// Questions that are under way together.
pub(super) const TOGETHER: usize = 8;

/// What the API server's answer means.
pub(super) fn look<T>(answer: Result<T, kube::Error>) -> Look<T> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(words(error)),
    }
}

/// What the API server said, in one line.
pub(super) fn words(error: kube::Error) -> String {
    exit::words(&anyhow::Error::new(error))
}

/// Group, version, kind and plural.
pub(super) type Named<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A kind by its names.
#[must_use]
pub(super) fn resource((group, version, kind, plural): Named<'_>) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// One object of the cluster as JSON.
pub(super) async fn one(client: &Client, kind: &ApiResource, name: &str) -> Look<Value> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    look(api.get(name).await)?.map(json).transpose()
}

/// All objects of a namespace, or of all of them; `None`: the API server does not have the kind.
pub(super) async fn all(
    client: &Client,
    kind: &ApiResource,
    space: Option<&str>,
) -> Look<Vec<Value>> {
    let mut found = Vec::new();
    let listed = visit(client, kind, (space, None), |object| found.push(object)).await?;
    Ok(listed.map(|()| found))
}

/// Shows all objects of a namespace (or of all) with a label (or with any), page by page: a large cluster never is here as a whole.
pub(super) async fn visit(
    client: &Client,
    kind: &ApiResource,
    (space, label): (Option<&str>, Option<&str>),
    mut see: impl FnMut(Value),
) -> Look<()> {
    let api: Api<DynamicObject> = match space {
        Some(space) => Api::namespaced_with(client.clone(), space, kind),
        None => Api::all_with(client.clone(), kind),
    };
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = label.map(str::to_owned);
    loop {
        let Some(page) = look(api.list(&params).await)? else {
            return Ok(None);
        };
        for object in page.items {
            see(typed(object, kind)?);
        }
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => params.continue_token = Some(more),
            None => return Ok(Some(())),
        }
    }
}

/// Objects of a list do not say of which kind they are.
fn typed(object: DynamicObject, kind: &ApiResource) -> Result<Value, String> {
    let mut value = json(object)?;
    value["apiVersion"] = kind.api_version.as_str().into();
    value["kind"] = kind.kind.as_str().into();
    Ok(value)
}

fn json(object: DynamicObject) -> Result<Value, String> {
    serde_json::to_value(object).map_err(|error| format!("an object cannot be read: {error}"))
}

/// Asks about each of several things, a few at a time; the answers come in their order.
pub(super) async fn each<T, A, F>(things: Vec<T>, ask: impl Fn(T) -> F) -> Vec<A>
where
    F: Future<Output = A>,
{
    let asked = futures::stream::iter(things).map(ask);
    asked.buffered(TOGETHER).collect().await
}

/// A text of an object, by its JSON pointer; empty if there is none.
#[must_use]
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The entries of a list, by its JSON pointer.
pub(super) fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
