//! Providers `smi:…`: weights in a TrafficSplit of the Service Mesh Interface (PROVIDERS 1.1), which was archived in 2023.
//!
//! Meshes say nothing of what they have taken up, so a change counts at once and is given time to settle.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::Kind;
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::form::{Form, SMI, elements};
use crate::router::owned::{Maker, SETTLE_UNSEEN};
use crate::router::pair::Arms;
use crate::router::weighted::{Own, Weighted};
use crate::router::{unused, warning};

/// The router of provider `smi:v1alpha1`.
pub(super) const V1ALPHA1: Weighted = Weighted {
    settle_seconds: SETTLE_UNSEEN,
    forms: &[SMI[0]],
    own: Own::Made(&TrafficSplits(Kind::TrafficSplitV1Alpha1, SMI[0])),
};

/// The router of provider `smi:v1alpha2`.
pub(super) const V1ALPHA2: Weighted = Weighted {
    forms: &[SMI[1]],
    own: Own::Made(&TrafficSplits(Kind::TrafficSplitV1Alpha2, SMI[1])),
    ..V1ALPHA1
};

/// The router of provider `smi:v1alpha3`.
pub(super) const V1ALPHA3: Weighted = Weighted {
    forms: &[SMI[2]],
    own: Own::Made(&TrafficSplits(Kind::TrafficSplitV1Alpha3, SMI[2])),
    ..V1ALPHA1
};

/// What a TrafficSplit has no field for.
const UNUSED: [&str; 3] = ["gatewayRefs", "hosts", "timeout"];

/// Makes TrafficSplits of one version, in which the Service is both root and leaf.
#[derive(Clone, Copy, Debug)]
struct TrafficSplits(Kind, &'static Form);

impl Maker for TrafficSplits {
    fn kind(&self) -> Kind {
        self.0
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        let mut problems = unused(
            canary,
            &UNUSED,
            "a TrafficSplit holds for the Service in the whole mesh",
        );
        problems.push(warning(
            "ProviderRetired",
            "spec.provider: the Service Mesh Interface has been archived by its makers in 2023, and whether a Service may be a backend of itself is left to each mesh; gatewayapi:v1 works with every mesh that followed it".to_owned(),
        ));
        problems
    }

    fn fields(&self) -> &'static [&'static str] {
        &["service", "backends"]
    }

    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        _: Option<&DynamicObject>,
    ) -> Result<Value, Problem> {
        let arms = Arms::of(self.1, canary)?;
        let standing = elements(&spec["backends"]);
        let backends = arms.entries(standing, routes.canary, |name, _| json!({"service": name}));
        Ok(json!({"service": canary.service_name(), "backends": backends}))
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        let arms = Arms::of(self.1, canary).ok()?;
        arms.weight(elements(&spec["backends"]))
    }

    /// In the mesh the Service answers without it.
    fn release(&self, _: &Canary, _: Value) -> Option<Value> {
        None
    }
}
