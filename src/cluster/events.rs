//! Events: what people are told, on the Canary, with the target beside it.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;

use crate::cluster::{Cluster, ClusterError, limited};
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::rollout::decision::Note;

/// Longest message of an Event (the API's limit is 1,024).
const LONGEST: usize = 1000;

impl Cluster {
    /// Writes notes as Events. Their names follow from revision, attempt and reason, so that a repeated tick repeats no Event.
    ///
    /// # Errors
    /// As the API server says; an Event that exists already is no error.
    pub async fn publish(
        &self,
        canary: &Canary,
        notes: &[Note],
        key: &str,
        now: Moment,
    ) -> Result<(), ClusterError> {
        let api: Api<Event> = Api::namespaced(self.client(), &canary.home());
        for (index, note) in notes.iter().enumerate() {
            let event = event(canary, note, &format!("{key}.{index}"), now);
            match limited(
                "write",
                &"an Event",
                api.create(&PostParams::default(), &event),
            )
            .await
            {
                Err(error) if !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn event(canary: &Canary, note: &Note, key: &str, now: Moment) -> Event {
    let name = canary.metadata.name.clone().unwrap_or_default();
    let place = |kind: &str, name: &str, version: &str, uid: Option<String>| ObjectReference {
        api_version: Some(version.to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(canary.home()),
        uid,
        ..ObjectReference::default()
    };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{key}")),
            namespace: Some(canary.home()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now.timestamp())),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason.to_owned()),
        action: Some("Reconcile".to_owned()),
        note: Some(note.message.chars().take(LONGEST).collect()),
        regarding: Some(place(
            "Canary",
            &name,
            "serin.dev/v1beta1",
            Some(canary.identity()),
        )),
        related: Some(place("Deployment", canary.target_name(), "apps/v1", None)),
        reporting_controller: Some("serin.dev/serin".to_owned()),
        reporting_instance: Some(std::env::var("POD_NAME").unwrap_or_else(|_| "serin".to_owned())),
        ..Event::default()
    }
}
