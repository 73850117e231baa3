//! Looks at Canaries and all that is around them, as the controller's watches do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::Client;
use serde_json::Value;

use crate::cli::doctor::canaries::Unread;
use crate::cli::doctor::look::{self, Look, resource, text};
use crate::cli::doctor::quota::{Bounds, Size};
use crate::cli::doctor::rivals;
use crate::cluster::{Place, Shelf, Shelves};
use crate::crd::canary::Canary;
use crate::digest;
use crate::objects::Kind;

/// The label of canaries' Pods.
const CANARIES: &str = "serin.dev/role=canary";

/// The Canaries that were chosen, and what is around them.
pub(super) struct Scene {
    /// The Canaries.
    pub(super) canaries: Vec<Canary>,
    /// What the controller would see.
    pub(super) shelves: Shelves,
    /// What could not be seen.
    pub(super) unread: Unread,
    /// Sizes of Deployments.
    pub(super) sizes: BTreeMap<Place, Size>,
    /// Quotas by namespace.
    pub(super) bounds: BTreeMap<String, Bounds>,
    /// Why quotas could not be read.
    pub(super) boundless: Option<String>,
    /// Objects of other controllers.
    pub(super) rivals: Vec<Value>,
}

/// Reads one namespace, or all.
pub(super) struct Reader<'a> {
    /// The API server.
    pub(super) client: &'a Client,
    /// The namespace; `None`: all.
    pub(super) space: Option<&'a str>,
    /// Groups that the API server has; `None`: it did not say.
    pub(super) groups: Option<BTreeSet<String>>,
}

impl Reader<'_> {
    /// Reads everything around these Canaries.
    pub(super) async fn scene(&self, canaries: Vec<Canary>) -> Scene {
        let shelves = Shelves::default();
        let mut sizes = BTreeMap::new();
        let sized = |value: Value| {
            sizes.insert(place(&value), Size::of(&value));
            digest::deployment(&value).ok()
        };
        let deployments = self.fill(Kind::Deployment, &shelves.deployments, sized);
        let work = async { tokio::join!(deployments, self.workloads(&shelves)) };
        let others = async { tokio::join!(self.own(&shelves), self.bounds(), self.rivals()) };
        let ((of_targets, work), traffic, ((), bounds, rivals)) =
            tokio::join!(work, self.traffic(&shelves), others);
        let unread = of_targets.into_iter().chain(work).chain(traffic);
        let (bounds, boundless) =
            bounds.map_or_else(|why| (BTreeMap::new(), Some(why)), |bounds| (bounds, None));
        Scene {
            canaries,
            unread: unread.collect(),
            shelves,
            sizes,
            bounds,
            boundless,
            rivals,
        }
    }

    /// What runs beside Deployments; what could not be read.
    async fn workloads(&self, shelves: &Shelves) -> Vec<(Kind, String)> {
        let sets = self.fill(Kind::ReplicaSet, &shelves.replica_sets, |value| {
            digest::replica_set(&value).ok()
        });
        let pods = self.fill(Kind::Pod, &shelves.pods, |value| digest::pod(&value).ok());
        let budgets = self.fill(Kind::PodDisruptionBudget, &shelves.budgets, |value| {
            digest::budget(&value).ok()
        });
        let policies = self.fill(Kind::NetworkPolicy, &shelves.network_policies, |value| {
            digest::network_policy(&value).ok()
        });
        let scalers = self.fill(
            Kind::HorizontalPodAutoscaler,
            &shelves.autoscalers,
            |value| digest::autoscaler(&value).ok(),
        );
        let (sets, pods, budgets, policies, scalers) =
            tokio::join!(sets, pods, budgets, policies, scalers);
        let all = [sets, pods, budgets, policies, scalers];
        all.into_iter().flatten().collect()
    }

    /// Services, routes and Gateways; what could not be read.
    async fn traffic(&self, shelves: &Shelves) -> Vec<(Kind, String)> {
        let services = self.fill(Kind::Service, &shelves.services, |value| {
            digest::service(&value).ok()
        });
        let slices = self.fill(Kind::EndpointSlice, &shelves.endpoint_slices, |value| {
            digest::endpoint_slice(&value).ok()
        });
        let routes = async {
            let routes = Kind::ROUTES.map(|kind| self.route(shelves, kind));
            futures::future::join_all(routes).await
        };
        let (services, slices, routes) = tokio::join!(services, slices, routes);
        let all = [services, slices].into_iter().chain(routes);
        all.flatten().collect()
    }

    async fn route(&self, shelves: &Shelves, kind: Kind) -> Option<(Kind, String)> {
        let whole = |value| serde_json::from_value(value).ok();
        self.fill(kind, shelves.routes.of(kind)?, whole).await
    }

    /// Fills a shelf as a watch does; what could not be read, with the reason.
    async fn fill<T>(
        &self,
        kind: Kind,
        shelf: &Shelf<T>,
        mut digest: impl FnMut(Value) -> Option<T>,
    ) -> Option<(Kind, String)> {
        let resource = kind.api_resource();
        if !self.has(&resource.group) {
            return None;
        }
        // Gateways live in namespaces of their own.
        let space = self.space.filter(|_| kind != Kind::Gateway);
        // Of Pods only the canaries' count, as for the controller.
        let label = (kind == Kind::Pod).then_some(CANARIES);
        shelf.begin();
        let see = |value: Value| {
            let place = place(&value);
            if let Some(object) = digest(value) {
                shelf.gather(place, Arc::new(object));
            }
        };
        match look::visit(self.client, &resource, (space, label), see).await {
            Ok(Some(())) => drop(shelf.finish()),
            Ok(None) => {}
            Err(why) => return Some((kind, why)),
        }
        None
    }

    /// All Canaries, not the chosen ones alone: two may have one target. And MetricTemplates.
    async fn own(&self, shelves: &Shelves) {
        let read = |kind: &'static str, plural: &'static str| {
            let kind = resource(("serin.dev", "v1beta1", kind, plural));
            async move { look::all(self.client, &kind, self.space).await }
        };
        let (canaries, templates) = tokio::join!(
            read("Canary", "canaries"),
            read("MetricTemplate", "metrictemplates")
        );
        keep(&shelves.canaries, canaries);
        keep(&shelves.templates, templates);
    }

    async fn bounds(&self) -> Result<BTreeMap<String, Bounds>, String> {
        let read = |kind: &'static str, plural: &'static str| {
            let kind = resource(("", "v1", kind, plural));
            async move { look::all(self.client, &kind, self.space).await }
        };
        let (quotas, ranges) = tokio::join!(
            read("ResourceQuota", "resourcequotas"),
            read("LimitRange", "limitranges")
        );
        let mut bounds: BTreeMap<String, Bounds> = BTreeMap::new();
        for quota in quotas?.into_iter().flatten() {
            bounds
                .entry(place(&quota).0)
                .or_default()
                .quotas
                .push(quota);
        }
        for range in ranges?.into_iter().flatten() {
            bounds
                .entry(place(&range).0)
                .or_default()
                .ranges
                .push(range);
        }
        Ok(bounds)
    }

    /// Objects of other controllers, where their kinds are there and may be read.
    async fn rivals(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for (kind, _) in rivals::KINDS {
            if self.has(kind.0) {
                let seen: Look<_> = look::all(self.client, &resource(kind), self.space).await;
                found.extend(seen.ok().flatten().into_iter().flatten());
            }
        }
        found
    }

    /// The API server has this group. Who may not read a kind is refused, whether it exists or not.
    fn has(&self, group: &str) -> bool {
        group.is_empty()
            || self
                .groups
                .as_ref()
                .is_none_or(|groups| groups.contains(group))
    }
}

/// Puts objects on a shelf; one that cannot be understood is left out, as the controller does.
fn keep<T: serde::de::DeserializeOwned>(shelf: &Shelf<T>, found: Look<Vec<Value>>) {
    shelf.begin();
    for value in found.ok().flatten().into_iter().flatten() {
        let place = place(&value);
        if let Ok(object) = serde_json::from_value(value) {
            shelf.gather(place, Arc::new(object));
        }
    }
    shelf.finish();
}

fn place(object: &Value) -> Place {
    (
        text(object, "/metadata/namespace").to_owned(),
        text(object, "/metadata/name").to_owned(),
    )
}
