//! What the HTTP server answers from: the controller's caches, and the API server for who asks and for requests.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use ring::digest::{SHA256, digest};
use tracing::warn;

use crate::cli::request::identity;
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterError, Deed, Placed};
use crate::controller::Controller;
use crate::crd::moment::Moment;
use crate::rollout::decision::Note;
use crate::server;
use crate::server::access::{Access, Unanswered};
use crate::server::ask::{Desk, NotWritten, Order};
use crate::server::health::Health;
use crate::server::recorder::Recorder;
use crate::telemetry::Telemetry;

/// How often it is tried to write a request while others write.
const TRIES: u32 = 20;
/// Time between two tries: the controller takes a request within a second.
const PAUSE: Duration = Duration::from_millis(100);

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// Everybody who reaches the server may read.
    pub anonymous_reads: bool,
    /// Whom tokens have to be meant for; none: the API server.
    pub audiences: Vec<String>,
}

/// What the server answers from, with a controller at work behind it. The recorder has to be run.
#[must_use]
pub fn state(
    controller: &Controller,
    (health, telemetry): (Health, Telemetry),
    clock: Clock,
    doors: Doors,
) -> server::State {
    let canaries = controller.canaries();
    let cluster = controller.cluster();
    server::State {
        recorder: Recorder::new(canaries.clone(), clock),
        canaries,
        health,
        telemetry,
        access: access(cluster, doors),
        desk: desk(cluster, clock),
    }
}

fn access(cluster: &Cluster, doors: Doors) -> Access {
    let audiences: Arc<[String]> = doors.audiences.into();
    let (identifying, judging) = (cluster.clone(), cluster.clone());
    Access::new(
        doors.anonymous_reads,
        Arc::new(move |token| {
            let (cluster, audiences) = (identifying.clone(), audiences.clone());
            async move {
                let found = cluster.identify(token.secret(), &audiences).await;
                found.map_err(unanswered)
            }
            .boxed()
        }),
        Arc::new(move |person, wish| {
            let cluster = judging.clone();
            async move {
                let deed = Deed {
                    verb: wish.verb,
                    subresource: wish.subresource,
                    namespace: &wish.namespace,
                    name: &wish.name,
                };
                let may = cluster.may(&person, deed).await;
                may.map_err(unanswered)
            }
            .boxed()
        }),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over errors")]
fn unanswered(error: ClusterError) -> Unanswered {
    Unanswered(whole(&error))
}

fn desk(cluster: &Cluster, clock: Clock) -> Desk {
    let cluster = cluster.clone();
    let write = move |order| write(cluster.clone(), clock, order).boxed();
    Desk::new(Arc::new(write), identity)
}

/// Writes a request, waiting a moment for one that stands there; then tells people.
async fn write(cluster: Cluster, clock: Clock, order: Order) -> Result<(), NotWritten> {
    let mut standing = None;
    for _ in 0..TRIES {
        let placed = cluster
            .place_request(&order.canary, &order.text, &order.by)
            .await;
        match placed {
            Ok(Placed::Written) => {
                tell(&cluster, clock, &order).await;
                return Ok(());
            }
            Ok(Placed::Missing) => return Err(NotWritten::Missing),
            Ok(Placed::Standing(text)) if text == order.text => return Ok(()),
            Ok(Placed::Standing(text)) => standing = Some(text),
            Err(error) if error.is_conflict() => {}
            Err(error) if error.code() == Some(422) => {
                return Err(NotWritten::Refused(whole(&error)));
            }
            Err(error) => return Err(NotWritten::Unanswered(whole(&error))),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(NotWritten::Busy(match standing {
        Some(text) => format!("another request is not handled yet: {text}"),
        None => "the Canary is written all the time; try again".to_owned(),
    }))
}

async fn tell(cluster: &Cluster, clock: Clock, order: &Order) {
    let note = Note {
        reason: "Requested",
        warning: false,
        message: order.told.clone(),
    };
    let hash = digest(&SHA256, order.id.as_bytes());
    let key: String = hash.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let now = Moment::new(clock.now());
    let published = cluster.publish(&order.canary, &[note], &key, now).await;
    if let Err(error) = published {
        warn!(error = whole(&error), "an Event could not be written");
    }
}

/// An error with all that is behind it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}
