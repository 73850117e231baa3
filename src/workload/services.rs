//! The apex Service, made only where the user has none, and the canary's Service beside it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::{Canary, CanaryIdle, CanaryService, Marks};
use crate::objects::{Change, Deployment, Kind, Labels, ObjectKey, Seen, mark};
use crate::rollout::observed::{Presence, Problem, Services};
use crate::workload::WorkloadError;
use crate::workload::copy::stripped_for_monitors;
use crate::workload::labels::{as_on, canary_selector};
use crate::workload::readiness;
use crate::workload::site::{Site, is_own, object, refusal};

/// Selector of a Service that shall select nothing. One without selector keeps the endpoints that it had.
const NOTHING: &str = "idle";

/// Annotations with which Argo CD leaves a Service alone that carries an instance's label.
const UNTRACKED: [(&str, &str); 2] = [
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
    ("argocd.argoproj.io/sync-options", "Prune=false"),
];

/// Ports that a Service copies; node ports are not among them, for they can be taken once only.
const PORT_FIELDS: [&str; 5] = ["name", "port", "protocol", "targetPort", "appProtocol"];

/// Providers, without their versions, whose routes hang on Services.
const MESHES: [&str; 4] = ["istio", "kuma", "linkerd", "smi"];

/// Traffic comes through Services: every provider but `none`.
#[must_use]
pub fn uses_services(canary: &Canary) -> bool {
    canary.spec.provider.as_deref() != Some("none")
}

/// What the canary Service selects while idle, decided: stable's Pods for gateways, nothing for meshes, whose routes hang on Services.
fn settled_idle(canary: &Canary, idle: CanaryIdle) -> CanaryIdle {
    let service = canary.spec.service.as_ref();
    let parents = service.map_or(&[][..], |service| &service.gateway_refs);
    let of_mesh = parents
        .iter()
        .any(|parent| parent.kind.as_deref() == Some("Service"));
    let provider = canary.spec.provider.as_deref().unwrap_or_default();
    let family = provider.split(':').next().unwrap_or_default();
    let mesh = of_mesh || MESHES.contains(&family);
    match idle {
        CanaryIdle::Auto if mesh => CanaryIdle::Empty,
        CanaryIdle::Auto => CanaryIdle::Stable,
        decided => decided,
    }
}

/// The Services as the watches saw them last; `idle` is what the spec wants of the canary Service while no canary runs.
#[must_use]
pub fn observe_services(canary: &Canary, seen: &Seen, idle: CanaryIdle) -> Services {
    if !uses_services(canary) {
        return Services {
            selects_canary: true,
            points_at_canary: true,
            idle: true,
            ..Services::default()
        };
    }
    let there = |there: bool| {
        if there {
            Presence::There
        } else {
            Presence::Missing
        }
    };
    let own = seen.services.get(&canary.canary_service_name());
    let own = own.filter(|service| is_own(canary, &service.meta));
    let selector = own.map(|service| &service.selector);
    let wanted = idle_selector(canary, seen, idle);
    let selects_canary = selector == Some(&canary_selector(canary));
    Services {
        apex: there(seen.services.contains_key(canary.service_name())),
        canary: there(own.is_some()),
        canary_has_pods: readiness::has_ready_pods(canary, seen),
        selects_canary,
        points_at_canary: selects_canary && readiness::is_behind_service(canary, seen),
        idle: selector.is_none_or(|selector| *selector == wanted),
    }
}

/// Stable's Pods: by the apex's selector with the values that the target's Pods carry, for the apex may be switched to the canary.
fn idle_selector(canary: &Canary, seen: &Seen, idle: CanaryIdle) -> Labels {
    if settled_idle(canary, idle) == CanaryIdle::Empty {
        return Labels::from([
            (mark::ROLE.to_owned(), NOTHING.to_owned()),
            (mark::CANARY_UID.to_owned(), canary.identity()),
        ]);
    }
    let target = seen.deployments.get(canary.target_name());
    let Some(apex) = seen.services.get(canary.service_name()) else {
        return target
            .map(|target| target.selector.clone())
            .unwrap_or_default();
    };
    let none = Labels::new();
    let pods = target.map_or(&none, |target| &target.template.labels);
    as_on(&apex.selector, pods)
}

fn idle(canary: &Canary) -> CanaryIdle {
    let service = canary.spec.service.as_ref();
    service
        .map(|service| service.canary_idle)
        .unwrap_or_default()
}

/// Both Services.
pub(crate) fn objects(canary: &Canary) -> Vec<ObjectKey> {
    if !uses_services(canary) {
        return Vec::new();
    }
    let names = [
        canary.service_name().to_owned(),
        canary.canary_service_name(),
    ];
    names
        .iter()
        .map(|name| ObjectKey::new(Kind::Service, &canary.home(), name))
        .collect()
}

/// Makes the Services that are missing. The apex has no mark of ours, and Serin never deletes it: it takes traffic. It goes with
/// the Deployment, as its Pods do; one that is made while an application is uninstalled would stay behind otherwise.
pub(crate) fn serve(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    if !uses_services(site.canary) {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    let mut apex = site
        .live(Kind::Service, site.canary.service_name())
        .cloned();
    if apex.is_none() {
        let made = made_apex(site)?;
        changes.push(Change::Apply(Box::new(made.clone())));
        apex = Some(made);
    }
    let name = site.canary.canary_service_name();
    if site.own(Kind::Service, &name).is_none()
        && let Some(apex) = &apex
    {
        let wanted = idle_service(site, apex);
        changes.extend(site.apply(wanted, Kind::Service)?);
    }
    Ok(changes)
}

/// Points the canary Service back to what it selects while idle.
pub(crate) fn idle_again(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let Some(apex) = site.live(Kind::Service, site.canary.service_name()) else {
        return Ok(site
            .delete_own(Kind::Service, &site.canary.canary_service_name())
            .into_iter()
            .collect());
    };
    if !uses_services(site.canary) {
        return Ok(Vec::new());
    }
    let wanted = idle_service(site, apex);
    Ok(site.apply(wanted, Kind::Service)?.into_iter().collect())
}

/// Points the canary Service at the canary, with the apex's labels, so that monitors find it.
pub(crate) fn point_at_canary(site: Site<'_>) -> Result<Option<Change>, WorkloadError> {
    if !uses_services(site.canary) {
        return Ok(None);
    }
    let name = site.canary.service_name();
    let Some(apex) = site.live(Kind::Service, name) else {
        let key = site.key(Kind::Service, name);
        return Err(WorkloadError::Changed(format!("{key} is gone")));
    };
    let labels = apex.metadata.labels.as_ref().map(stripped_for_monitors);
    let mut wanted = canary_service(
        site,
        apex,
        &canary_selector(site.canary),
        labels.unwrap_or_default(),
    );
    let tracked = wanted.metadata.labels.iter().flatten();
    if tracked
        .into_iter()
        .any(|(key, _)| key == "app.kubernetes.io/instance")
    {
        let annotations = wanted.metadata.annotations.get_or_insert_default();
        let untracked = UNTRACKED.map(|(key, value)| (key.to_owned(), value.to_owned()));
        annotations.extend(untracked);
    }
    site.apply(wanted, Kind::Service)
}

/// Deletes the canary Service.
pub(crate) fn forget(site: Site<'_>) -> Vec<Change> {
    let name = site.canary.canary_service_name();
    site.delete_own(Kind::Service, &name).into_iter().collect()
}

fn idle_service(site: Site<'_>, apex: &DynamicObject) -> DynamicObject {
    let selector = idle_selector(site.canary, site.seen, idle(site.canary));
    canary_service(site, apex, &selector, Labels::new())
}

fn canary_service(
    site: Site<'_>,
    apex: &DynamicObject,
    selector: &Labels,
    labels: Labels,
) -> DynamicObject {
    let ports = apex.data["spec"]["ports"].as_array();
    let ports: Vec<Value> = ports.into_iter().flatten().map(copied_port).collect();
    let body = json!({"spec": {"ports": ports, "selector": selector}});
    let name = site.canary.canary_service_name();
    let mut service = object(site.canary, Kind::Service, &name, body);
    let spec = site.canary.spec.service.as_ref();
    let Marks {
        labels: own,
        annotations,
    } = spec
        .and_then(|spec| spec.canary.clone())
        .unwrap_or_default();
    let mut labels: Labels = labels.into_iter().chain(own).collect();
    labels.insert(mark::CANARY_UID.to_owned(), site.canary.identity());
    service.metadata.labels = Some(labels);
    service.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    service
}

fn copied_port(port: &Value) -> Value {
    let fields = PORT_FIELDS.iter().filter(|field| !port[**field].is_null());
    let fields = fields.map(|field| ((*field).to_owned(), port[*field].clone()));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// The apex Service where the user has none, from `spec.service` and the target's selector.
fn made_apex(site: Site<'_>) -> Result<DynamicObject, WorkloadError> {
    let Some(spec) = &site.canary.spec.service else {
        return Err(WorkloadError::Refused(missing(site.canary)));
    };
    let name = site.canary.target_name();
    let Some(target) = site.seen.deployments.get(name) else {
        let key = site.target_key();
        return Err(WorkloadError::Changed(format!("{key} is gone")));
    };
    let mut ports = vec![apex_port(spec)];
    if spec.port_discovery {
        let target_port = spec
            .target_port
            .clone()
            .unwrap_or(IntOrString::Int(spec.port));
        let named = |(name, number): &&(String, i32)| {
            let main = [IntOrString::Int(*number), IntOrString::String(name.clone())];
            !main.contains(&target_port) && *number != spec.port
        };
        let others = target.template.ports.iter().filter(named);
        ports.extend(others.map(discovered_port));
    }
    let body = json!({"spec": {"ports": ports, "selector": target.selector}});
    let mut service = object(site.canary, Kind::Service, site.canary.service_name(), body);
    service.metadata.owner_references = Some(vec![owned_by(target)]);
    let marks = spec.apex.clone().unwrap_or_default();
    service.metadata.labels = (!marks.labels.is_empty()).then_some(marks.labels);
    service.metadata.annotations = (!marks.annotations.is_empty()).then_some(marks.annotations);
    Ok(service)
}

/// Nobody controls the Service by this, and the end of the Deployment does not wait for it.
fn owned_by(target: &Deployment) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: target.meta.name.clone(),
        uid: target.meta.uid.clone(),
        ..OwnerReference::default()
    }
}

fn apex_port(spec: &CanaryService) -> Value {
    let target = spec
        .target_port
        .clone()
        .unwrap_or(IntOrString::Int(spec.port));
    let mut port = json!({
        "name": spec.port_name.as_deref().unwrap_or("http"),
        "port": spec.port,
        "protocol": "TCP",
        "targetPort": target,
    });
    if let Some(protocol) = &spec.app_protocol {
        port["appProtocol"] = json!(protocol);
    }
    port
}

fn discovered_port((name, number): &(String, i32)) -> Value {
    let named = if name.is_empty() {
        format!("port-{number}")
    } else {
        name.clone()
    };
    json!({"name": named, "port": number, "protocol": "TCP", "targetPort": number})
}

/// No Service takes the traffic, and the spec does not say how to make one.
pub(crate) fn missing(canary: &Canary) -> Problem {
    let message = format!(
        "Service {}/{} does not exist: create it, or set spec.service.port so that one is made",
        canary.home(),
        canary.service_name()
    );
    refusal("ServiceMissing", message)
}
