//! `serin disarm`: takes gates, marks and finalizers off, so that nothing is left behind when Serin goes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::args::DisarmArgs;
use crate::cli::connect::{MANAGER, Session};
use crate::cli::exit::Exit;
use crate::cli::stopped::{self, LEASE, STALE};
use crate::cli::{find, screen};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::Phase;
use crate::objects::{Kind, mark};

/// What the API server was already doing for the controller is done by then.
const SETTLED: Duration = Duration::from_secs(3);
/// How often a finalizer is taken off a Canary that somebody else keeps changing.
const ATTEMPTS: usize = 5;
/// What Serin makes and nobody needs without it. Routes and the apex Service answer users, and stay.
const HELPERS: [Kind; 4] = [
    Kind::Deployment,
    Kind::HorizontalPodAutoscaler,
    Kind::PodDisruptionBudget,
    Kind::ControllerRevision,
];

/// The marks on a target; they go together.
const MARKS: [&str; 4] = [mark::GATE, mark::HELD, mark::REVERTING, mark::CONTESTED];

/// Disarms one Canary, or all.
pub(super) async fn run(session: &Session, args: &DisarmArgs) -> Result<Exit> {
    if let Some(patience) = args.wait_stopped {
        return after_the_controller(session, args, patience).await;
    }
    if !args.force && controller_runs(session, &args.lease_namespace).await {
        screen::complain(&format!(
            "the controller runs and would arm the gates again. Stop it first: `kubectl -n {} scale deployment/serin --replicas=0`, \
             wait {} s, and disarm then (or use --force)",
            args.lease_namespace,
            STALE.as_secs()
        ));
        return Ok(Exit::Failed);
    }
    let canaries = chosen(session, args).await?;
    once(session, args, &canaries).await
}

/// Disarms when the controller has stopped, and again if something is armed after that or the controller has come back.
async fn after_the_controller(
    session: &Session,
    args: &DisarmArgs,
    patience: Duration,
) -> Result<Exit> {
    let end = Instant::now() + patience;
    let leases = session.at(&args.lease_namespace).api::<Lease>();
    // What refuses is said at once and not behind the wait.
    if is_refused(&chosen(session, args).await?, args) {
        return Ok(Exit::Failed);
    }
    loop {
        let version = stopped::left_alone(&leases, end).await?;
        let canaries = chosen(session, args).await?;
        if once(session, args, &canaries).await? != Exit::Done {
            return Ok(Exit::Failed);
        }
        tokio::time::sleep(SETTLED).await;
        let armed = armed(session, &chosen(session, args).await?).await?;
        if armed.is_empty() && stopped::version(&leases).await? == version {
            return Ok(Exit::Done);
        }
        screen::complain(&match armed.as_slice() {
            [] => "the controller has come back".to_owned(),
            armed => format!("armed again: {}", armed.join(", ")),
        });
    }
}

async fn chosen(session: &Session, args: &DisarmArgs) -> Result<Vec<Canary>> {
    match &args.name {
        Some(name) => Ok(vec![find::canary(session, name).await?]),
        None => {
            let all = session.all::<Canary>().list(&ListParams::default()).await;
            Ok(all.context("list Canaries")?.items)
        }
    }
}

async fn once(session: &Session, args: &DisarmArgs, canaries: &[Canary]) -> Result<Exit> {
    if is_refused(canaries, args) {
        return Ok(Exit::Failed);
    }
    for canary in canaries {
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

/// Says which canaries are in the way, unless that does not matter.
fn is_refused(canaries: &[Canary], args: &DisarmArgs) -> bool {
    let busy: Vec<_> = canaries
        .iter()
        .filter(|canary| runs(canary))
        .map(full_name)
        .collect();
    let refused = !busy.is_empty() && !args.force;
    if refused {
        screen::complain(&format!(
            "a canary runs for {}: {}",
            busy.join(", "),
            ways_on(args.helm_release.as_deref())
        ));
    }
    refused
}

/// What there is to do while a canary runs. To Helm a release whose removal failed is one that is being removed, until it is rolled back.
fn ways_on(release: Option<&str>) -> String {
    let Some((namespace, name)) = release.and_then(|release| release.split_once('/')) else {
        return "wait, abort it first, or use --force".to_owned();
    };
    let helm = format!("helm -n {namespace}");
    format!(
        "wait or abort it (`serin abort`), then `{helm} uninstall {name}` again. To remove Serin all the same: `{helm} rollback {name} \
         REVISION` with the newest of `{helm} history {name}`, `{helm} upgrade {name} CHART --reset-then-reuse-values --set \
         disarm.force=true`, and uninstall then"
    )
}

/// The Canaries that have our finalizer, or a target with a mark.
async fn armed(session: &Session, canaries: &[Canary]) -> Result<Vec<String>> {
    let mut armed = Vec::new();
    for canary in canaries {
        let target = find::deployment(&session.at(&canary.home()), canary.target_name()).await?;
        let marked = target.is_some_and(|target| is_marked(&target));
        if marked || canary.finalizers().iter().any(|one| one == mark::FINALIZER) {
            armed.push(full_name(canary));
        }
    }
    Ok(armed)
}

fn is_marked(target: &impl ResourceExt) -> bool {
    MARKS.iter().any(|mark| target.labels().contains_key(*mark))
}

fn full_name(canary: &Canary) -> String {
    format!("{}/{}", canary.home(), canary.name_any())
}

/// A canary may take traffic.
fn runs(canary: &Canary) -> bool {
    canary.status.as_ref().is_some_and(|status| {
        let busy = !status.phase.is_idle() && status.phase != Phase::Initializing;
        busy || status.traffic.reaches_canary()
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
        status.is_some_and(|status| status.traffic.reaches_canary())
    }

    /// Marks go in a write of their own: it is the only form in which the gate lets them go.
    async fn unmark(&self) -> Result<()> {
        let name = self.canary.target_name();
        let Some(target) = find::deployment(&self.session, name).await? else {
            return Ok(());
        };
        let held = target.labels().contains_key(mark::HELD);
        if !is_marked(&target) {
            return Ok(());
        }
        let labels: Value = MARKS
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
        for kind in Kind::ROUTES
            .into_iter()
            .filter(|kind| *kind != Kind::Gateway)
        {
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
            let is = |field: &str| members.get(field).and_then(Value::as_str) == Some(service);
            let fields = ["name", "host", "service", "serviceName"];
            fields.into_iter().any(is) || members.values().any(|value| names(value, service))
        }
        Value::Array(items) => items.iter().any(|value| names(value, service)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::api::PostParams;

    use super::*;
    use crate::cli::args::{Args, Command};
    use crate::cli::embedded;
    use crate::sim::world;

    /// A cluster with one Canary, which a controller keeps adopting: after the start, and so often every five seconds.
    struct Adopted {
        session: Session,
        leases: kube::Api<Lease>,
    }

    impl Adopted {
        async fn new() -> Self {
            let api = embedded::installed().unwrap().copy(Clock::simulated());
            let client = world::client(&api, &embedded::person("alice"));
            let session = Session::over(client, "default");
            let leases = session.at("serin-system").api::<Lease>();
            let lease = serde_json::from_value(json!({"metadata": {"name": LEASE}})).unwrap();
            let created = leases.create(&PostParams::default(), &lease).await;
            created.unwrap();
            let canaries = session.api::<Canary>();
            let new = canary(&Value::Null);
            canaries.create(&PostParams::default(), &new).await.unwrap();
            Self { session, leases }
        }

        /// What a controller that leads writes: its lease, and a Canary that nobody adopted.
        async fn works(&self, count: usize) {
            for turn in 0..count {
                let spec = json!({"holderIdentity": "one", "leaseTransitions": turn});
                let led = Patch::Merge(json!({"spec": spec}));
                self.leases.patch(LEASE, &writer(), &led).await.unwrap();
                self.adopt().await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }

        async fn adopt(&self) {
            let adopted = Patch::Merge(json!({"metadata": {"finalizers": [mark::FINALIZER]}}));
            let canaries = self.session.api::<Canary>();
            canaries.patch("web", &writer(), &adopted).await.unwrap();
        }

        async fn is_free(&self) -> bool {
            let canary = self.session.api::<Canary>().get("web").await.unwrap();
            canary.finalizers().is_empty()
        }

        async fn disarm(&self, flags: &[&str]) -> Result<Exit> {
            let words = ["serin", "disarm", "--all", "--force"].iter().chain(flags);
            let args = <Args as clap::Parser>::try_parse_from(words).unwrap();
            let Command::Disarm(args) = args.command else {
                unreachable!("it is disarm")
            };
            run(&self.session, &args).await
        }
    }

    /// Force is for a canary that runs, and says nothing about the controller: what it writes before it stops would be left.
    #[tokio::test(start_paused = true)]
    async fn it_disarms_when_the_controller_has_stopped() {
        let adopted = Adopted::new().await;
        let begun = Instant::now();
        let wait = ["--wait-stopped", "2m"];
        let (exit, ()) = tokio::join!(adopted.disarm(&wait), adopted.works(4));
        assert_eq!(exit.unwrap(), Exit::Done);
        assert!(adopted.is_free().await);
        assert!(
            begun.elapsed() >= Duration::from_secs(45),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_disarms_again_when_the_controller_comes_back() {
        for again in [true, false] {
            let adopted = Adopted::new().await;
            let late = async {
                tokio::time::sleep(STALE + Duration::from_secs(2)).await;
                if again {
                    adopted.works(1).await;
                } else {
                    adopted.adopt().await;
                }
            };
            let wait = ["--wait-stopped", "2m"];
            let (exit, ()) = tokio::join!(adopted.disarm(&wait), late);
            assert_eq!(exit.unwrap(), Exit::Done);
            assert!(adopted.is_free().await, "the lease too: {again}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_leaves_everything_to_a_controller_that_does_not_stop() {
        let adopted = Adopted::new().await;
        let wait = ["--wait-stopped", "1m"];
        let (exit, ()) = tokio::join!(adopted.disarm(&wait), adopted.works(15));
        let said = exit.unwrap_err().to_string();
        assert!(said.contains("has not stopped"), "{said}");
        assert!(!adopted.is_free().await);
    }

    fn canary(status: &Value) -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web"},
            "spec": {"provider": "none", "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
            "status": status
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
    fn what_helm_removes_is_told_in_helms_words() {
        assert!(ways_on(None).ends_with("--force"));
        let ways = ways_on(Some("platform/canaries"));
        for command in [
            "`helm -n platform uninstall canaries`",
            "`helm -n platform rollback canaries REVISION`",
            "`helm -n platform upgrade canaries CHART --reset-then-reuse-values --set disarm.force=true`",
        ] {
            assert!(ways.contains(command), "{ways}");
        }
        assert!(
            !ways.contains("--force"),
            "it is no flag of `helm uninstall`"
        );
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
