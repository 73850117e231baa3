//! `serin disarm`: takes gates, marks and finalizers off, so that nothing is left behind when Serin goes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::cli::args::DisarmArgs;
use crate::cli::connect::{MANAGER, Session};
use crate::cli::exit::Exit;
use crate::cli::{find, screen};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::Phase;
use crate::objects::{Kind, mark};

/// Name of the controller's lease.
const LEASE: &str = "serin";
/// A lease that was renewed so long ago is nobody's: twice its duration.
const STALE: Duration = Duration::from_secs(30);
/// How often a finalizer is taken off a Canary that somebody else keeps changing.
const ATTEMPTS: usize = 5;
/// What Serin makes and nobody needs without it. Routes and the apex Service answer users, and stay.
const HELPERS: [Kind; 4] = [
    Kind::Deployment,
    Kind::HorizontalPodAutoscaler,
    Kind::PodDisruptionBudget,
    Kind::ControllerRevision,
];

/// Disarms one Canary, or all.
pub(super) async fn run(session: &Session, args: &DisarmArgs) -> Result<Exit> {
    if !args.force && controller_runs(session, &args.lease_namespace).await {
        screen::complain(&format!(
            "the controller runs and would arm the gates again. Stop it first: `kubectl -n {} scale deployment/serin --replicas=0`, \
             wait {} s, and disarm then (or use --force)",
            args.lease_namespace,
            STALE.as_secs()
        ));
        return Ok(Exit::Failed);
    }
    let canaries = match &args.name {
        Some(name) => vec![find::canary(session, name).await?],
        None => {
            session
                .all::<Canary>()
                .list(&ListParams::default())
                .await
                .context("list Canaries")?
                .items
        }
    };
    let busy: Vec<_> = canaries
        .iter()
        .filter(|canary| runs(canary))
        .map(full_name)
        .collect();
    if !busy.is_empty() && !args.force {
        screen::complain(&format!(
            "a canary runs for {}: wait, abort it first, or use --force",
            busy.join(", ")
        ));
        return Ok(Exit::Failed);
    }
    for canary in &canaries {
        Disarm {
            session: session.at(&canary.home()),
            canary,
        }
        .all()
        .await?;
    }
    screen::line(&format!(
        "disarmed {} of {}",
        canaries.len(),
        canaries.len()
    ))?;
    Ok(Exit::Done)
}

fn full_name(canary: &Canary) -> String {
    format!("{}/{}", canary.home(), canary.name_any())
}

/// A canary may take traffic.
fn runs(canary: &Canary) -> bool {
    canary.status.as_ref().is_some_and(|status| {
        let busy = !status.phase.is_idle() && status.phase != Phase::Initializing;
        busy || status.traffic.wanted > 0 || status.traffic.written > 0
    })
}

/// Somebody renews the lease. Whoever may not read it is not kept from disarming.
async fn controller_runs(session: &Session, namespace: &str) -> bool {
    let lease = session.at(namespace).api::<Lease>().get_opt(LEASE).await;
    let spec = lease.ok().flatten().and_then(|lease| lease.spec);
    let held = spec.filter(|spec| {
        spec.holder_identity
            .as_deref()
            .is_some_and(|holder| !holder.is_empty())
    });
    let renewed = held.and_then(|spec| spec.renew_time).map(|time| time.0);
    renewed.is_some_and(|renewed| is_fresh(renewed, Clock::System.now()))
}

fn is_fresh(renewed: Timestamp, now: Timestamp) -> bool {
    Moment::new(now).since(Moment::new(renewed)) < STALE
}

struct Disarm<'a> {
    session: Session,
    canary: &'a Canary,
}

impl Disarm<'_> {
    async fn all(&self) -> Result<()> {
        self.unmark().await?;
        if self.takes_traffic() {
            screen::complain(&format!(
                "kept the canary of {}: it takes traffic. Put the weights of its route back, then delete what carries the label {}={}",
                full_name(self.canary),
                mark::CANARY_UID,
                self.canary.identity()
            ));
        } else {
            self.delete_helpers().await?;
            self.delete_canary_service().await?;
        }
        self.let_go().await
    }

    fn takes_traffic(&self) -> bool {
        let status = self.canary.status.as_ref();
        status.is_some_and(|status| status.traffic.written > 0 || status.traffic.wanted > 0)
    }

    /// Marks go in a write of their own: it is the only form in which the gate lets them go.
    async fn unmark(&self) -> Result<()> {
        let name = self.canary.target_name();
        let Some(target) = find::deployment(&self.session, name).await? else {
            return Ok(());
        };
        let marks = [mark::GATE, mark::HELD, mark::REVERTING, mark::CONTESTED];
        let held = target.labels().contains_key(mark::HELD);
        if !marks.iter().any(|mark| target.labels().contains_key(*mark)) {
            return Ok(());
        }
        let labels: Value = marks
            .iter()
            .map(|mark| ((*mark).to_owned(), Value::Null))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let patch = json!({"metadata": {"labels": labels}});
        let api = self.session.objects(Kind::Deployment);
        let written = api.patch(name, &writer(), &Patch::Merge(patch)).await;
        if gone(&written) {
            return Ok(());
        }
        written.with_context(|| format!("take the marks off deployment/{name}"))?;
        self.say(&format!("took the gate off deployment/{name}"))?;
        if held {
            screen::complain(&format!(
                "deployment/{name} stays paused with a template that was not promoted. Put the one that you want on it, then \
                 `kubectl -n {} rollout resume deployment/{name}`",
                self.session.namespace
            ));
        }
        Ok(())
    }

    async fn delete_helpers(&self) -> Result<()> {
        for kind in HELPERS {
            for object in self.made(kind).await? {
                self.delete(kind, &object).await?;
            }
        }
        Ok(())
    }

    /// What Serin made for this Canary of this kind.
    async fn made(&self, kind: Kind) -> Result<Vec<DynamicObject>> {
        let selector = format!("{}={}", mark::CANARY_UID, self.canary.identity());
        let params = ListParams {
            label_selector: Some(selector),
            ..ListParams::default()
        };
        match self.session.objects(kind).list(&params).await {
            Ok(list) => Ok(list.items),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => {
                Err(error).with_context(|| format!("list what Serin made of kind {kind:?}"))
            }
        }
    }

    async fn delete(&self, kind: Kind, object: &DynamicObject) -> Result<()> {
        let preconditions = Preconditions {
            uid: object.uid(),
            ..Preconditions::default()
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        let name = object.name_any();
        match self.session.objects(kind).delete(&name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            done => done.with_context(|| format!("delete {kind:?} {name}"))?,
        };
        self.say(&format!("deleted {kind:?} {name}"))
    }

    /// A route that names a Service which is gone may answer errors, so the Service stays as long as a route names it.
    async fn delete_canary_service(&self) -> Result<()> {
        let name = self.canary.canary_service_name();
        let made = self.made(Kind::Service).await?;
        let Some(service) = made.iter().find(|service| service.name_any() == name) else {
            return Ok(());
        };
        match self.route_to(&name).await? {
            None => self.delete(Kind::Service, service).await,
            Some(route) => {
                screen::complain(&format!(
                    "kept service/{name} in {}: {route} names it. Take it out of the route, then delete it",
                    self.session.namespace
                ));
                Ok(())
            }
        }
    }

    async fn route_to(&self, service: &str) -> Result<Option<String>> {
        for kind in [Kind::HttpRoute, Kind::GrpcRoute] {
            let list = match self
                .session
                .objects(kind)
                .list(&ListParams::default())
                .await
            {
                Ok(list) => list.items,
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(error).context("list routes"),
            };
            if let Some(route) = list.iter().find(|route| names(&route.data, service)) {
                return Ok(Some(format!("{kind:?} {}", route.name_any())));
            }
        }
        Ok(None)
    }

    /// Takes the finalizer off the Canary as it is now: the list may be old, and somebody may be deleting it.
    async fn let_go(&self) -> Result<()> {
        let name = self.canary.name_any();
        for _ in 0..ATTEMPTS {
            let found = self.session.api::<Canary>().get_opt(&name).await;
            let found = found.with_context(|| format!("read canary/{name}"))?;
            let Some(canary) = found.filter(|canary| canary.uid() == self.canary.uid()) else {
                return Ok(());
            };
            let written = self.release(&canary).await;
            match written {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                done => {
                    let done =
                        done.with_context(|| format!("take the finalizer off canary/{name}"))?;
                    return if done {
                        self.say(&format!("took the finalizer off canary/{name}"))
                    } else {
                        Ok(())
                    };
                }
            }
        }
        bail!(
            "take the finalizer off canary/{name}: somebody else keeps changing it; run this again"
        )
    }

    /// Writes the other finalizers of the very version that was read; false: there is none of ours.
    async fn release(&self, canary: &Canary) -> Result<bool, kube::Error> {
        let others = canary.finalizers().iter();
        let kept: Vec<_> = others.filter(|name| *name != mark::FINALIZER).collect();
        if kept.len() == canary.finalizers().len() {
            return Ok(false);
        }
        let version = canary.resource_version();
        let patch = json!({"metadata": {"finalizers": kept, "resourceVersion": version}});
        let api = self.session.api::<Canary>();
        let written = api
            .patch(&canary.name_any(), &writer(), &Patch::Merge(patch))
            .await;
        written.map(|_| true)
    }

    fn say(&self, what: &str) -> Result<()> {
        screen::line(&format!("{}: {what}", self.session.namespace))
    }
}

/// The object went before it was written: then there is nothing left to take off.
fn gone<T>(written: &Result<T, kube::Error>) -> bool {
    matches!(written, Err(kube::Error::Api(status)) if status.code == 404)
}

fn writer() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// A backend of any rule, or of any filter, has this name.
fn names(route: &Value, service: &str) -> bool {
    match route {
        Value::Object(members) => {
            members.get("name").and_then(Value::as_str) == Some(service)
                || members.values().any(|value| names(value, service))
        }
        Value::Array(items) => items.iter().any(|value| names(value, service)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(status: &Value) -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web"},
            "spec": {"targetRef": {"name": "web"}}, "status": status
        }))
        .unwrap()
    }

    #[test]
    fn a_canary_runs_while_it_may_take_traffic() {
        let rows = [
            (json!({"phase": "Succeeded"}), false),
            (json!({"phase": "Initializing"}), false),
            (json!({"phase": "Failed"}), false),
            (json!({"phase": "Failed", "traffic": {"written": 10}}), true),
            (json!({"phase": "Progressing"}), true),
            (json!({"phase": "Promoting"}), true),
            (json!({"phase": "Terminating"}), true),
        ];
        for (status, expected) in rows {
            assert_eq!(runs(&canary(&status)), expected, "{status}");
        }
    }

    #[test]
    fn a_route_keeps_the_service_that_it_names() {
        let route = json!({"spec": {"rules": [{"backendRefs": [{"name": "web"}, {"name": "web-canary", "weight": 0}]}]}});
        assert!(names(&route, "web-canary"));
        assert!(!names(&route, "cart-canary"));
    }

    #[test]
    fn a_lease_is_fresh_for_half_a_minute() {
        let now: Timestamp = "2030-01-01T00:01:00Z".parse().unwrap();
        assert!(is_fresh("2030-01-01T00:00:31Z".parse().unwrap(), now));
        assert!(!is_fresh("2030-01-01T00:00:30Z".parse().unwrap(), now));
    }
}
