//! What of a target, its Services and its surroundings cannot be used as it is, and what would be right (GATE, "Rules that follow").

use crate::crd::canary::{Allowance, Canary};
use crate::objects::{Deployment, Kind, ObjectKey, Seen, Service, mark, selects};
use crate::rollout::observed::{Problem, Severity};
use crate::workload::labels::pod_labels;
use crate::workload::services::{missing, uses_services};
use crate::workload::site::{is_own, refusal, taken};

/// `<service>-canary` has to be a DNS label of at most 63 characters.
const LONGEST_SERVICE: usize = 56;
/// `<target>-serin-<revision>` has to be a name of at most 253 characters.
const LONGEST_TARGET: usize = 236;

/// Everything that is wrong with target, Services and names, in a fixed order.
#[must_use]
pub fn problems(canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let mut problems = names(canary);
    if let Some(target) = seen.deployments.get(canary.target_name()) {
        problems.extend(kind(target));
        problems.extend(template(canary, target));
        problems.extend(conflict(canary, target));
        problems.extend(policies(canary, target, seen));
    }
    problems.extend(taken_names(canary, seen));
    if uses_services(canary) {
        problems.extend(service(canary, seen));
    }
    problems
}

fn names(canary: &Canary) -> Vec<Problem> {
    let mut problems = Vec::new();
    let kind = &canary.spec.target_ref.kind;
    if !kind.is_empty() && kind != "Deployment" {
        let message = format!("spec.targetRef.kind: this version takes Deployments, not {kind}");
        problems.push(refusal("TargetRefused", message));
    }
    let (target, service) = (canary.target_name(), canary.service_name());
    if target.len() > LONGEST_TARGET {
        let message = format!(
            "spec.targetRef.name has {} characters; names made from it allow {LONGEST_TARGET}",
            target.len()
        );
        problems.push(refusal("NameTooLong", message));
    }
    if uses_services(canary) && service.len() > LONGEST_SERVICE {
        let message = format!(
            "Service {service} has {} characters; <name>-canary allows {LONGEST_SERVICE}: set spec.service.name",
            service.len()
        );
        problems.push(refusal("NameTooLong", message));
    }
    problems
}

fn spoken(target: &Deployment) -> String {
    format!("Deployment {}/{}", target.meta.namespace, target.meta.name)
}

fn kind(target: &Deployment) -> Vec<Problem> {
    let name = spoken(target);
    let mut problems = Vec::new();
    if let Some(owner) = &target.meta.owner {
        let message = format!(
            "{name} is controlled by {} {}, which would undo what Serin does: let that controller make canaries, or take its ownerReference off",
            owner.kind, owner.name
        );
        problems.push(refusal("TargetRefused", message));
    }
    if target.meta.labels.contains_key(mark::CANARY_UID) {
        let message = format!(
            "{name} was made by Serin for another Canary: name the Deployment whose releases are to be tried"
        );
        problems.push(refusal("TargetRefused", message));
    }
    if target.selector.is_empty() {
        let message = format!(
            "{name} has no matchLabels in its selector, only expressions: the canary's Pods could not be told apart; make it anew with matchLabels"
        );
        problems.push(refusal("TargetRefused", message));
    }
    if target.history_limit == 0 {
        let message = format!(
            "{name} has revisionHistoryLimit 0: scaled to zero and back while held, nothing of stable would be left; set it to 1 or more"
        );
        problems.push(refusal("HistoryRequired", message));
    }
    problems
}

fn template(canary: &Canary, target: &Deployment) -> Vec<Problem> {
    let name = spoken(target);
    let cases = [
        (
            target.recreate,
            Allowance::Recreate,
            "TargetRefused",
            "has strategy Recreate: promotion would stop all Pods before new ones start. Use RollingUpdate, or set spec.allow: [Recreate]",
        ),
        (
            target.template.claims,
            Allowance::ReadWriteOnce,
            "TemplateUnsupported",
            "mounts volume claims, which canary and stable would share. Set spec.allow: [ReadWriteOnce] if they can",
        ),
        (
            target.template.host_ports,
            Allowance::HostPort,
            "TemplateUnsupported",
            "binds ports of its nodes, which canary and stable would contend for. Set spec.allow: [HostPort] if there are nodes enough",
        ),
    ];
    cases
        .into_iter()
        .filter(|(applies, allowance, ..)| *applies && !canary.spec.allow.contains(allowance))
        .map(|(.., reason, why)| refusal(reason, format!("{name} {why}")))
        .collect()
}

/// A manifest that carries `paused` itself fights the gate. Found before it is armed; later the gate repairs it without a word.
fn conflict(canary: &Canary, target: &Deployment) -> Option<Problem> {
    let armed = target.meta.labels.get(mark::GATE) == Some(&canary.identity());
    let manager = target.pause_manager.as_ref().filter(|_| !armed)?;
    let message = format!(
        "{} has spec.paused from {manager}, which would fight the gate: take the field out of what it applies",
        spoken(target)
    );
    Some(refusal("GateConflict", message))
}

/// NetworkPolicies that select stable's Pods, but would not select the canary's.
fn policies(canary: &Canary, target: &Deployment, seen: &Seen) -> Vec<Problem> {
    let pods = pod_labels(canary, target, seen);
    let stable = &target.template.labels;
    let missing = seen
        .policies
        .values()
        .filter(|policy| selects(&policy.selector, stable) && !selects(&policy.selector, &pods));
    missing
        .map(|policy| Problem {
            reason: "PolicyMismatch",
            message: format!(
                "NetworkPolicy {}/{} selects stable's Pods, but not the canary's: select by labels that both have, or add one for {}: {}",
                policy.meta.namespace,
                policy.meta.name,
                mark::ROLE,
                "canary"
            ),
            severity: Severity::Warning,
        })
        .collect()
}

fn taken_names(canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let home = canary.home();
    let mut problems = Vec::new();
    let name = canary.canary_name();
    if let Some(foreign) = seen
        .deployments
        .get(&name)
        .filter(|it| !is_own(canary, &it.meta))
    {
        let key = ObjectKey::new(Kind::Deployment, &home, &name);
        problems.push(taken(&key, Some(&foreign.meta)));
    }
    let name = canary.canary_service_name();
    let foreign = seen
        .services
        .get(&name)
        .filter(|it| !is_own(canary, &it.meta));
    if let Some(foreign) = foreign.filter(|_| uses_services(canary)) {
        let key = ObjectKey::new(Kind::Service, &home, &name);
        problems.push(taken(&key, Some(&foreign.meta)));
    }
    problems
}

fn service(canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let Some(service) = seen.services.get(canary.service_name()) else {
        let unknown = canary.spec.service.is_none().then(|| missing(canary));
        return unknown.into_iter().collect();
    };
    let name = format!("Service {}/{}", service.meta.namespace, service.meta.name);
    if service.external {
        let message = format!(
            "{name} is of type ExternalName, which has no Pods: name another in spec.service.name"
        );
        return vec![refusal("ServiceRefused", message)];
    }
    if service.selector.is_empty() {
        let message = format!(
            "{name} has no selector, so its endpoints are not Serin's to follow: name another in spec.service.name"
        );
        return vec![refusal("ServiceRefused", message)];
    }
    let port = unserved_port(canary, service, &name);
    let pods = seen.deployments.get(canary.target_name());
    let pods = pods.and_then(|target| unselecting(service, target, &name));
    port.into_iter().chain(pods).collect()
}

fn unserved_port(canary: &Canary, service: &Service, name: &str) -> Option<Problem> {
    let wanted = canary.spec.service.as_ref()?.port;
    if service.ports.iter().any(|port| port.port == wanted) {
        return None;
    }
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| port.port.to_string())
        .collect();
    let ports = ports.join(", ");
    let message = format!("spec.service.port: {name} has no port {wanted}, but {ports}");
    Some(refusal("ServiceRefused", message))
}

/// Only labels that the Pods lack altogether: values differ while provider `kubernetes` has switched the Service.
fn unselecting(service: &Service, target: &Deployment, name: &str) -> Option<Problem> {
    let labels = &target.template.labels;
    let missing = service
        .selector
        .keys()
        .find(|key| !labels.contains_key(*key))?;
    let message = format!(
        "{name} selects by label {missing}, which the Pods of {} do not have: it serves none of them",
        spoken(target)
    );
    Some(refusal("ServiceRefused", message))
}
