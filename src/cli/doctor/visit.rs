//! One Canary after the other: what was seen of it is judged, and what only a question tells is asked.

use std::collections::BTreeMap;

use kube::{Client, ResourceExt};

use crate::analysis::{Measure, MetricPlan};
use crate::cli::doctor::canaries;
use crate::cli::doctor::controller::Install;
use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::gate::{self, Trial};
use crate::cli::doctor::look;
use crate::cli::doctor::prometheus::{Asker, Id};
use crate::cli::doctor::quota::{self, Need};
use crate::cli::doctor::rights::Needs;
use crate::cli::doctor::rivals;
use crate::cli::doctor::scene::Scene;
use crate::cli::doctor::series::{self, Measured};
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterError};
use crate::controller::observe::{self, View};
use crate::controller::{Defaults, with_defaults};
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::http_client::Http;
use crate::metrics;
use crate::metrics::batch::Question;
use crate::metrics::prometheus;
use crate::metrics::query::{self, Counts, Window};
use crate::metrics::store::Store;
use crate::objects::{Kind, ObjectKey, mark};
use crate::rollout::observed::TrafficKind;

/// Canaries that are looked at together: what the controller would see of a namespace is kept for each.
const ROUND: usize = 50;

/// A look at each Canary of a scene.
pub(super) struct Visit<'a> {
    /// The API server.
    pub(super) client: &'a Client,
    /// How Serin is installed.
    pub(super) install: &'a Install,
    /// Metrics servers outside of the cluster.
    pub(super) outside: Option<&'a Http>,
    /// The time.
    pub(super) clock: Clock,
    /// The Canaries, and what is around them.
    pub(super) scene: &'a Scene,
}

/// One Canary, and how the controller would see it.
struct Patient {
    canary: Canary,
    name: String,
    view: View,
}

impl Visit<'_> {
    /// All that is found of all Canaries.
    pub(super) async fn all(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for canaries in self.scene.canaries.chunks(ROUND) {
            found.extend(self.round(canaries).await);
        }
        found
    }

    async fn round(&self, canaries: &[Canary]) -> Vec<Finding> {
        let patients: Vec<_> = canaries.iter().map(|canary| self.patient(canary)).collect();
        let (trials, measured) = tokio::join!(self.trials(&patients), self.measured(&patients));
        let mut found = Vec::new();
        for (at, (patient, trial)) in patients.iter().zip(&trials).enumerate() {
            let of = self.judge(patient, trial.as_ref(), (at, &measured));
            found.extend(of.into_iter().map(|one| one.of(&patient.name)));
        }
        found
    }

    /// What these Canaries need of Serin's rights.
    pub(super) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for canary in &self.scene.canaries {
            let scalers = &self.scene.shelves.autoscalers;
            let scalers = scalers.list(Some(&canary.home()));
            let kinds = observe::routes(&with_defaults(canary, &self.defaults()));
            let of_gateways = |kind: &Kind| kind.group() == "gateway.networking.k8s.io";
            needs.gateway_api |= kinds.iter().any(of_gateways);
            needs.routes |= kinds.iter().any(|kind| !of_gateways(kind));
            needs.autoscalers |= scalers
                .iter()
                .any(|(_, it)| it.target == canary.target_name());
        }
        needs
    }

    /// What the controller takes for granted.
    fn defaults(&self) -> Defaults {
        Defaults {
            provider: self.install.provider.clone(),
            metrics_server: self.install.metrics_server.clone(),
        }
    }

    fn patient(&self, canary: &Canary) -> Patient {
        let defaults = self.defaults();
        let canary = with_defaults(canary, &defaults);
        let view = observe::observe(&canary, &self.scene.shelves, &defaults, 0);
        Patient {
            name: format!("{}/{}", canary.home(), canary.name_any()),
            canary,
            view,
        }
    }

    fn judge(
        &self,
        patient: &Patient,
        trial: Option<&Trial>,
        measured: (usize, &BTreeMap<Id, Measured>),
    ) -> Vec<Finding> {
        let Patient { canary, view, .. } = patient;
        if canary.metadata.deletion_timestamp.is_some() {
            return vec![Finding::ok(Check::Canary, "it is being deleted")];
        }
        let scene = self.scene;
        let mut found = canaries::judge(canary, &view.observed, &scene.unread, self.install);
        let target = view.seen.deployments.get(canary.target_name());
        found.extend(gate::holds(canary, target.map(AsRef::as_ref), trial));
        found.extend(self.series(patient, measured));
        found.extend(self.quota(patient));
        found.extend(rivals::judge(canary, &scene.rivals));
        found
    }

    fn series(
        &self,
        patient: &Patient,
        (at, measured): (usize, &BTreeMap<Id, Measured>),
    ) -> Vec<Finding> {
        let Patient { canary, view, .. } = patient;
        if let Some(why) = self.scene.unread.get(&Kind::EndpointSlice) {
            let fix = Fix::say("ask somebody who may read EndpointSlices there");
            return vec![Finding::unknown(
                Check::Metrics,
                format!("which Pods are behind its Service cannot be read: {why}"),
                fix,
            )];
        }
        let by_requests = view.observed.abilities.traffic != TrafficKind::Replicas;
        if by_requests && !view.observed.metrics_server && view.observed.metrics.is_empty() {
            return vec![series::without_server()];
        }
        let counts = self.counts(patient);
        let of = |plan: &MetricPlan| {
            let measured = measured.get(&(at, plan.name.clone()))?;
            Some(series::judge(canary, plan, measured, counts))
        };
        view.observed.metrics.iter().filter_map(of).collect()
    }

    /// Who counts its requests.
    fn counts(&self, patient: &Patient) -> Counts {
        let (home, name) = (patient.canary.home(), patient.canary.name_any());
        query::counts(&patient.view.subject(&patient.canary, &home, &name))
    }

    fn quota(&self, patient: &Patient) -> Vec<Finding> {
        let (canary, scene) = (&patient.canary, self.scene);
        let home = canary.home();
        if let Some(why) = &scene.boundless {
            let fix = Fix::say("ask somebody with the role view there");
            return vec![Finding::unknown(
                Check::Quota,
                format!("quotas cannot be read: {why}"),
                fix,
            )];
        }
        let place = |name: &str| (home.clone(), name.to_owned());
        let Some(target) = scene.sizes.get(&place(canary.target_name())) else {
            return Vec::new();
        };
        let there = scene
            .sizes
            .get(&place(&canary.canary_name()))
            .map_or(0, |clone| clone.replicas);
        let need = Need::of(
            canary,
            target,
            patient.view.observed.abilities.traffic,
            there,
        );
        let bounds = scene.bounds.get(&home).cloned().unwrap_or_default();
        quota::judge(target, need, &bounds, &home)
    }

    /// Dry runs of a changed template, as the controller makes them, for each target that carries its gate.
    async fn trials(&self, patients: &[Patient]) -> Vec<Option<Trial>> {
        let client = self.client.clone();
        let Ok(cluster) = Cluster::over(move || Ok(client.clone())) else {
            return patients.iter().map(|_| None).collect();
        };
        let cluster = &cluster;
        look::each(patients.iter().collect(), |patient: &Patient| async move {
            let canary = &patient.canary;
            let target = patient.view.seen.deployments.get(canary.target_name())?;
            let armed = target.meta.labels.get(mark::GATE) == Some(&canary.identity());
            if !armed {
                return None;
            }
            let key = ObjectKey::new(Kind::Deployment, &canary.home(), canary.target_name());
            Some(match cluster.probe_gate(&key).await {
                Ok(true) => Trial::Held,
                Ok(false) => Trial::Open,
                Err(error) => refused(error),
            })
        })
        .await
    }

    /// What is measured of stable, for every metric of every Canary.
    async fn measured(&self, patients: &[Patient]) -> BTreeMap<Id, Measured> {
        let asker = Asker {
            client: self.client,
            outside: self.outside,
            install: self.install,
            clock: self.clock,
        };
        let now = Moment::new(self.clock.now());
        let mut measured = BTreeMap::new();
        let (mut counters, mut values) = (Vec::new(), Vec::new());
        for (at, patient) in patients.iter().enumerate() {
            for plan in &patient.view.observed.metrics {
                let id = (at, plan.name.clone());
                match (plan.measure, self.question(patient, plan, now, &id)) {
                    (Measure::Value, _) => values.push((id, patient)),
                    (Measure::Share, Ok(question)) => counters.push(question),
                    (Measure::Share, Err(why)) => drop(measured.insert(id, why)),
                }
            }
        }
        let asker = &asker;
        let values = look::each(values, |(id, patient)| async move {
            let value = self.value(asker, patient, &id.1, now).await;
            (id, value)
        });
        let (counters, values) = tokio::join!(asker.counters(counters), values);
        measured.extend(counters);
        measured.extend(values);
        measured
    }

    /// The controller's own question for counters.
    fn question(
        &self,
        patient: &Patient,
        plan: &MetricPlan,
        at: Moment,
        id: &Id,
    ) -> Result<Question<Id>, Measured> {
        let Patient { canary, view, .. } = patient;
        let (home, name) = (canary.home(), canary.name_any());
        let subject = view.subject(canary, &home, &name);
        if subject.stable.pods.is_empty() {
            return Err(Measured::NoPods);
        }
        let server =
            metrics::server(canary, self.install.metrics_server.as_deref()).unwrap_or_default();
        let query = query::counters(&subject, plan)
            .map_err(|error| Measured::Refused(error.to_string()))?;
        Ok(Question {
            id: id.clone(),
            server: server.to_owned(),
            query,
            at,
        })
    }

    /// The value of a template for stable, over its own window.
    async fn value(
        &self,
        asker: &Asker<'_>,
        patient: &Patient,
        metric: &str,
        now: Moment,
    ) -> Measured {
        let Patient { canary, view, .. } = patient;
        let (home, name) = (canary.home(), canary.name_any());
        let subject = view.subject(canary, &home, &name);
        let source = metrics::source(
            canary,
            &view.templates,
            self.install.metrics_server.as_deref(),
            metric,
        );
        let Some(source) = source else {
            return Measured::Refused("it has no source".to_owned());
        };
        let open = source
            .provider
            .is_none_or(|it| it.secret_ref.is_none() && !it.insecure_skip_verify);
        let (Store::Prometheus, true, Some(server)) = (source.store, open, source.server.address())
        else {
            let why = "it is asked in a way that is Serin's alone, such as with credentials";
            return Measured::Unasked(why.to_owned());
        };
        let start = now
            .timestamp()
            .saturating_sub(source.interval)
            .map_or(now, Moment::new);
        let window = Window {
            canary: false,
            start,
            at: now,
        };
        let request = query::value(&source, &subject, window)
            .and_then(|text| prometheus::request(server, &text, now));
        asker.value(server, request).await
    }
}

fn refused(error: ClusterError) -> Trial {
    match error {
        ClusterError::Api { source, .. } => match *source {
            kube::Error::Api(status)
                if status.code == 403 && status.message.contains("cannot patch") =>
            {
                Trial::Forbidden
            }
            source => Trial::Refused(look::words(source)),
        },
        late @ ClusterError::Late { .. } => Trial::Refused(late.to_string()),
    }
}
