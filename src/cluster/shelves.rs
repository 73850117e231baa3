//! Everything that the watches saw, by kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;

use crate::cluster::shelf::{Place, Shelf};
use crate::crd::canary::Canary;
use crate::crd::metric_template::MetricTemplate;
use crate::objects::{
    Autoscaler, Deployment, EndpointSlice, Kind, ObjectKey, Pod, ReplicaSet, Seen, Selecting,
    Service, mark,
};

/// What the watches saw.
#[derive(Debug, Default)]
pub struct Shelves {
    /// Canaries. One that cannot be read is left out, and never hides the others.
    pub canaries: Shelf<Canary>,
    /// MetricTemplates.
    pub templates: Shelf<MetricTemplate>,
    /// Webhook configurations, admission policies and bindings named `serin-…`: kind and identity.
    pub policies: Shelf<String>,
    pub(crate) deployments: Shelf<Deployment>,
    pub(crate) replica_sets: Shelf<ReplicaSet>,
    pub(crate) services: Shelf<Service>,
    pub(crate) endpoint_slices: Shelf<EndpointSlice>,
    pub(crate) pods: Shelf<Pod>,
    pub(crate) budgets: Shelf<Selecting>,
    pub(crate) network_policies: Shelf<Selecting>,
    pub(crate) autoscalers: Shelf<Autoscaler>,
    pub(crate) routes: RouteShelves,
}

/// A shelf for each kind of object that routes traffic.
#[derive(Debug)]
pub(crate) struct RouteShelves(BTreeMap<Kind, Shelf<DynamicObject>>);

impl Default for RouteShelves {
    fn default() -> Self {
        Self(
            Kind::ROUTES
                .into_iter()
                .map(|kind| (kind, Shelf::default()))
                .collect(),
        )
    }
}

impl RouteShelves {
    /// The shelf of a kind, if it is one that routes.
    pub(crate) fn of(&self, kind: Kind) -> Option<&Shelf<DynamicObject>> {
        self.0.get(&kind)
    }

    /// Those of these kinds of which nothing is known yet: neither what there is, nor that it cannot be read.
    pub(crate) fn unknown(&self, kinds: impl IntoIterator<Item = Kind>) -> Vec<Kind> {
        let unknown = |kind: &Kind| self.of(*kind).is_some_and(|shelf| !shelf.answered());
        kinds.into_iter().filter(unknown).collect()
    }
}

impl Shelves {
    /// Everything in one namespace that decisions may need.
    #[must_use]
    pub fn seen(&self, namespace: &str) -> Seen {
        let mut seen = Seen {
            deployments: self.deployments.by_name(namespace),
            replica_sets: self.replica_sets.by_name(namespace),
            services: self.services.by_name(namespace),
            endpoint_slices: self.endpoint_slices.by_name(namespace),
            pods: self.pods.by_name(namespace),
            budgets: self.budgets.by_name(namespace),
            policies: self.network_policies.by_name(namespace),
            autoscalers: self.autoscalers.by_name(namespace),
            ..Seen::default()
        };
        for (&kind, shelf) in &self.routes.0 {
            if shelf.synced() {
                seen.kinds.insert(kind);
            }
            // Gateways live in namespaces of their own.
            let home = Some(namespace).filter(|_| kind != Kind::Gateway);
            for ((namespace, name), object) in shelf.list(home) {
                let key = ObjectKey {
                    kind,
                    namespace,
                    name,
                };
                seen.routes.insert(key, object);
            }
        }
        seen
    }

    /// Deployments that carry a gate, with the UID that it names.
    #[must_use]
    pub fn gated(&self) -> Vec<(ObjectKey, String)> {
        let of = |(place, deployment): (Place, Arc<Deployment>)| {
            let uid = deployment.meta.labels.get(mark::GATE)?.clone();
            Some((ObjectKey::new(Kind::Deployment, &place.0, &place.1), uid))
        };
        self.deployments
            .list(None)
            .into_iter()
            .filter_map(of)
            .collect()
    }

    /// Identity of the admission objects that hold and guard; `None`: they are not all there.
    #[must_use]
    pub fn admission(&self) -> Option<String> {
        let guards = self.all_of(&[
            "ValidatingAdmissionPolicy/serin-guard",
            "ValidatingAdmissionPolicyBinding/serin-guard",
        ])?;
        let hold = self.all_of(&[
            "MutatingAdmissionPolicy/serin-hold",
            "MutatingAdmissionPolicyBinding/serin-hold",
        ]);
        let webhook = self.all_of(&["MutatingWebhookConfiguration/serin-gate"]);
        let holds: Vec<_> = hold.into_iter().chain(webhook).collect();
        (!holds.is_empty()).then(|| format!("{},{guards}", holds.join(",")))
    }

    /// Identities of these admission objects, if all of them are there.
    fn all_of(&self, names: &[&str]) -> Option<String> {
        let ids: Option<Vec<String>> = names
            .iter()
            .map(|name| self.policies.get("", name).map(|id| (*id).clone()))
            .collect();
        ids.map(|ids| ids.join(","))
    }

    /// What is not listed yet; empty once decisions may be made.
    #[must_use]
    pub fn unsynced(&self) -> Vec<&'static str> {
        let all = [
            ("canaries", self.canaries.synced()),
            ("metrictemplates", self.templates.synced()),
            ("deployments", self.deployments.synced()),
            ("replicasets", self.replica_sets.synced()),
            ("services", self.services.synced()),
            ("endpointslices", self.endpoint_slices.synced()),
            ("pods", self.pods.synced()),
        ];
        all.into_iter()
            .filter(|(_, synced)| !synced)
            .map(|(name, _)| name)
            .collect()
    }
}
