//! Provider `kuma`: weights in a MeshHTTPRoute of the Service, for the whole mesh (PROVIDERS 1.1).
//!
//! Kuma says nothing of what it has taken up, so a change counts at once and is given time to settle.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Kind, Labels};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::beyond::{self, Beyond};
use crate::router::form::{Form, KUMA, elements};
use crate::router::owned::{Maker, SETTLE_UNSEEN, set_list};
use crate::router::pair::Arms;
use crate::router::unused;
use crate::router::weighted::{Own, Weighted};

/// The router of provider `kuma`.
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: SETTLE_UNSEEN,
    forms: &KUMA,
    own: Own::Made(&MeshHttpRoutes),
};

/// Label of a policy, and annotation of a Canary, that names the mesh.
const MESH: &str = "kuma.io/mesh";

/// The mesh of those that name none.
const DEFAULT_MESH: &str = "default";

/// What other policies of Kuma say.
const UNUSED: [&str; 3] = ["gatewayRefs", "hosts", "timeout"];

/// Makes MeshHTTPRoutes: one rule for every request to the Service.
#[derive(Clone, Copy, Debug)]
struct MeshHttpRoutes;

const FORM: &Form = KUMA[0];

impl Maker for MeshHttpRoutes {
    fn kind(&self) -> Kind {
        Kind::MeshHttpRoute
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        unused(
            canary,
            &UNUSED,
            "the MeshHTTPRoute holds for the Service in the whole mesh, and other policies say the rest",
        )
    }

    fn fields(&self) -> &'static [&'static str] {
        &["targetRef", "to"]
    }

    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        _: Option<&DynamicObject>,
    ) -> Result<Value, Problem> {
        let arms = Arms::of(FORM, canary)?;
        let (to, rule) = rule(&arms, spec).unwrap_or((&Value::Null, &Value::Null));
        let everything = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
        let entries = arms.entries(backends(rule), routes.canary, backend);
        let default = with(&rule["default"], json!({"backendRefs": entries}));
        let mut rules = vec![with(
            rule,
            json!({"matches": everything, "default": default}),
        )];
        mirror(&arms, &mut rules[0]["default"], routes.mirror);
        let matches = beyond::matches(canary, routes);
        if !matches.is_empty() {
            let alone = json!([arms.canary_alone(Weight::ALL, backend)]);
            let matches = beyond::gateway_api(&matches);
            rules.push(json!({"matches": matches, "default": {"backendRefs": alone}}));
        }
        let service = json!({"kind": "MeshService", "name": canary.service_name()});
        let service = with(&to["targetRef"], service);
        Ok(json!({
            "targetRef": with(&spec["targetRef"], json!({"kind": "Mesh"})),
            "to": [with(to, json!({"targetRef": service, "rules": rules}))],
        }))
    }

    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            mirror: true,
            ..Beyond::NOTHING
        }
    }

    fn mirror(&self, canary: &Canary, spec: &Value) -> Weight {
        let arms = Arms::of(FORM, canary).ok();
        let rule = arms.as_ref().and_then(|arms| rule(arms, spec));
        let filters = rule.map_or(&[][..], |(_, rule)| elements(&rule["default"]["filters"]));
        let copies = filters.iter().find(|filter| is_mirror(filter));
        copies.map_or(Weight::ZERO, |copies| {
            beyond::copied(&copies["requestMirror"]["percentage"])
        })
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        let arms = Arms::of(FORM, canary).ok()?;
        arms.weight(backends(rule(&arms, spec)?.1))
    }

    /// In the mesh the Service answers without it.
    fn release(&self, _: &Canary, _: Value) -> Option<Value> {
        None
    }

    fn labels(&self, canary: &Canary) -> Labels {
        let annotations = canary.metadata.annotations.as_ref();
        let mesh = annotations.and_then(|annotations| annotations.get(MESH));
        let mesh = mesh.map_or(DEFAULT_MESH, String::as_str);
        [(MESH.to_owned(), mesh.to_owned())].into()
    }
}

/// A backend of a rule.
fn backend(name: &str, port: i64) -> Value {
    json!({"kind": "MeshService", "name": name, "port": port})
}

/// Whether a filter copies requests. A rule has one of these at most.
fn is_mirror(filter: &Value) -> bool {
    filter["type"].as_str() == Some("RequestMirror")
}

/// Copies this share of the requests of a rule to the canary; the other filters stay.
fn mirror(arms: &Arms, default: &mut Value, share: Weight) {
    let mut filters = elements(&default["filters"]).to_vec();
    filters.retain(|filter| !is_mirror(filter));
    if share > Weight::ZERO {
        let to = arms.named(true, backend);
        let copies = json!({"percentage": share.percent(), "backendRef": to});
        filters.push(json!({"type": "RequestMirror", "requestMirror": copies}));
    }
    set_list(default, "filters", filters);
}

fn backends(rule: &Value) -> &[Value] {
    elements(&rule["default"]["backendRefs"])
}

/// The rule with both backends, after what it stands in.
fn rule<'a>(arms: &Arms, spec: &'a Value) -> Option<(&'a Value, &'a Value)> {
    let mut rules = elements(&spec["to"])
        .iter()
        .flat_map(|to| elements(&to["rules"]).iter().map(move |rule| (to, rule)));
    rules.find(|(_, rule)| arms.both(backends(rule)))
}

/// A map in which these fields are so; what else stands in it stays.
fn with(standing: &Value, wanted: Value) -> Value {
    match (standing, wanted) {
        (Value::Object(standing), Value::Object(wanted)) => {
            let mut fields = standing.clone();
            fields.extend(wanted);
            Value::Object(fields)
        }
        (_, wanted) => wanted,
    }
}
