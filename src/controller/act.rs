//! From a decision to writes: the status first, then each action on what a live read shows, then the notes.

use tracing::{info, warn};

use crate::cluster::{ClusterError, Written};
use crate::controller::ask::text;
use crate::controller::observe::View;
use crate::controller::{Context, Fresh};
use crate::crd::canary::Canary;
use crate::crd::status::CanaryStatus;
use crate::objects::{Change, Kind, ObjectKey};
use crate::rollout::decision::{Action, Decision};
use crate::router::RouterError;
use crate::workload::{self, WorkloadError};

/// Why a tick ended before everything was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    /// What was decided is out of date: nothing is wrong, the next tick decides anew.
    #[error("out of date: {0}")]
    Stale(String),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An adapter could not render what was asked for.
    #[error("{0}")]
    Render(String),
    /// This process does not lead any more.
    #[error("the lease ran out")]
    Deposed,
}

/// Performs a decision. The Canary with its new status comes back.
pub(crate) async fn act(
    context: &Context,
    canary: &Canary,
    view: &View,
    decision: &Decision,
    fresh: &mut Fresh,
) -> Result<Canary, ActError> {
    let canary = write_status(context, canary, &decision.status, fresh).await?;
    for action in &decision.actions {
        perform(context, &canary, view, action, fresh).await?;
    }
    Ok(canary)
}

async fn write_status(
    context: &Context,
    canary: &Canary,
    status: &CanaryStatus,
    fresh: &mut Fresh,
) -> Result<Canary, ActError> {
    if canary.status.as_ref() == Some(status) {
        return Ok(canary.clone());
    }
    lead(context)?;
    match context.cluster.write_status(canary, status).await {
        Ok(written) => {
            let key = ObjectKey::new(
                Kind::Canary,
                &canary.home(),
                &canary.metadata.name.clone().unwrap_or_default(),
            );
            fresh.wrote(&Written::Version(
                key,
                written
                    .metadata
                    .resource_version
                    .clone()
                    .unwrap_or_default(),
            ));
            let mut canary = canary.clone();
            canary.metadata.resource_version = written.metadata.resource_version;
            canary.status = Some(status.clone());
            Ok(canary)
        }
        Err(error) if error.is_conflict() || error.code() == Some(404) => {
            Err(ActError::Stale(text(&error)))
        }
        Err(error) => Err(error.into()),
    }
}

fn lead(context: &Context) -> Result<i64, ActError> {
    context.leadership.term().ok_or(ActError::Deposed)
}

async fn perform(
    context: &Context,
    canary: &Canary,
    view: &View,
    action: &Action,
    fresh: &mut Fresh,
) -> Result<(), ActError> {
    lead(context)?;
    let written = match action {
        Action::Adopt => vec![
            context
                .cluster
                .set_finalizer(canary, true)
                .await
                .map_err(stale)?,
        ],
        Action::LetGo => vec![
            context
                .cluster
                .set_finalizer(canary, false)
                .await
                .map_err(stale)?,
        ],
        Action::Acknowledge(request) => vec![
            context
                .cluster
                .acknowledge(canary, request)
                .await
                .map_err(stale)?,
        ],
        other => apply(context, render(context, canary, view, other).await?).await?,
    };
    for one in &written {
        fresh.wrote(one);
    }
    if written.iter().any(|one| *one != Written::Nothing) {
        info!(canary.namespace = %canary.home(), canary.name = canary.metadata.name, ?action, "did what was decided");
    }
    Ok(())
}

async fn render(
    context: &Context,
    canary: &Canary,
    view: &View,
    action: &Action,
) -> Result<Vec<Change>, ActError> {
    let router = view.router.as_deref();
    match (action, router) {
        (Action::Route(routes), Some(router)) => {
            let live = context.cluster.read(&router.objects(canary)).await?;
            let changes = router
                .render(canary, &live, *routes)
                .map_err(|error| route_error(&error))?;
            let result = if changes.is_empty() {
                "unchanged"
            } else {
                "written"
            };
            context
                .telemetry
                .route_write(canary.provider(&context.defaults.provider), result);
            Ok(changes)
        }
        (Action::GiveBack, Some(router)) => {
            // A route to a Service that is gone answers nothing, and does not stay.
            let mut objects = router.objects(canary);
            let service = ObjectKey::new(Kind::Service, &canary.home(), canary.service_name());
            if !objects.contains(&service) {
                objects.push(service);
            }
            let live = context.cluster.read(&objects).await?;
            match router.finalize(canary, &live) {
                Ok(changes) => Ok(changes),
                Err(error) => {
                    warn!(error = %error, "a route could not be given back");
                    Ok(Vec::new())
                }
            }
        }
        (Action::Route(_) | Action::GiveBack, None) => Ok(Vec::new()),
        (other, _) => {
            let live = context
                .cluster
                .read(&workload::objects(canary, other, &view.seen))
                .await?;
            workload::render(canary, other, &live, &view.seen).map_err(workload_error)
        }
    }
}

async fn apply(context: &Context, changes: Vec<Change>) -> Result<Vec<Written>, ActError> {
    let mut written = Vec::new();
    for change in changes {
        lead(context)?;
        written.push(context.cluster.apply(change).await.map_err(stale)?);
    }
    Ok(written)
}

/// A conflict, or a failed test of a patch (422 on a `test` operation), means that somebody else was faster.
fn stale(error: ClusterError) -> ActError {
    if error.is_conflict() {
        ActError::Stale(text(&error))
    } else {
        ActError::Cluster(error)
    }
}

fn route_error(error: &RouterError) -> ActError {
    ActError::Render(text(error))
}

fn workload_error(error: WorkloadError) -> ActError {
    match error {
        WorkloadError::Changed(what) => ActError::Stale(what),
        other => ActError::Render(text(&other)),
    }
}
