//! Pods that do not start, in words: what was seen, and what to try.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crd::moment::Moment;
use crate::crd::status::Diagnosis;
use crate::objects::{Condition, Container, Deployment, Pod, ReplicaSet, Terminated};

/// Exit code of a process that was killed by SIGKILL, mostly for memory.
const KILLED: i32 = 137;

/// Why this workload's Pods do not start, the hopeless first; each cause once, with the first Pod that shows it.
pub(crate) fn of(
    workload: &Deployment,
    pods: &[&Arc<Pod>],
    sets: &[&Arc<ReplicaSet>],
) -> Vec<Diagnosis> {
    let current = sets
        .iter()
        .filter(|set| set.template.revision == workload.template.revision);
    let mut found: Vec<_> = current.filter_map(|set| uncreated(set)).collect();
    let waiting = pods.iter().filter(|pod| !pod.ready && !pod.meta.deleting);
    found.extend(waiting.filter_map(|pod| unstarted(pod)));
    let mut known = BTreeSet::new();
    found.retain(|one| known.insert((one.container.clone(), one.reason.clone())));
    found.sort_by_key(|one| !one.hopeless);
    found
}

/// What was seen, before it is tied to an object.
struct Finding {
    reason: String,
    message: String,
    hint: &'static str,
    hopeless: bool,
}

impl Finding {
    fn new(reason: &str, message: impl Into<String>, hint: &'static str) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
            hint,
            hopeless: false,
        }
    }

    fn hopeless(self) -> Self {
        Self {
            hopeless: true,
            ..self
        }
    }

    fn of(self, object: String, container: Option<&Container>, since: Option<Moment>) -> Diagnosis {
        Diagnosis {
            object,
            container: container.map(|container| container.name.clone()),
            reason: self.reason,
            message: self.message,
            hint: self.hint.to_owned(),
            hopeless: self.hopeless,
            since,
        }
    }
}

/// A ReplicaSet whose Pods the API server does not take.
fn uncreated(set: &ReplicaSet) -> Option<Diagnosis> {
    let failure =
        |condition: &&Condition| condition.type_ == "ReplicaFailure" && condition.status == "True";
    let condition = set.conditions.iter().find(failure)?;
    let since = condition.since.map(Moment::new);
    let object = format!("ReplicaSet {}", set.meta.name);
    Some(refused(&condition.reason, &condition.message).of(object, None, since))
}

fn refused(reason: &str, message: &str) -> Finding {
    let text = message.to_ascii_lowercase();
    let says = |part: &str| text.contains(part);
    if says("exceeded quota") {
        Finding::new(
            reason,
            message,
            "raise the ResourceQuota of the namespace, or make the canary smaller with spec.canary.replicas",
        )
    } else if says("violates podsecurity") {
        Finding::new(
            reason,
            message,
            "make the Pod template comply with the namespace's Pod security level",
        )
        .hopeless()
    } else if says("is invalid") {
        Finding::new(reason, message, "correct the field that the message names").hopeless()
    } else if says("admission") || says("denied") || says("forbidden") {
        Finding::new(
            reason,
            message,
            "an admission policy refuses the Pods: change the template, or the policy that the message names",
        )
    } else {
        Finding::new(reason, message, "see the Events of the ReplicaSet")
    }
}

fn unstarted(pod: &Pod) -> Option<Diagnosis> {
    let object = format!("Pod {}", pod.meta.name);
    let created = pod.meta.created.map(Moment::new);
    if let Some(condition) = unscheduled(pod) {
        let hint = "free or add nodes, lower the requests, or relax affinity, tolerations and volumes as the scheduler's message says";
        let since = condition.since.map(Moment::new);
        return Some(
            Finding::new("Unschedulable", &condition.message, hint).of(object, None, since),
        );
    }
    let mut containers = pod.containers.iter();
    let found = containers.find_map(|container| Some((container, finding(pod, container)?)));
    if let Some((container, finding)) = found {
        return Some(finding.of(object, Some(container), created));
    }
    (pod.phase == "Failed").then(|| {
        let hint = "see the Events of the Pod; it may have been evicted from its node";
        Finding::new("PodFailed", "the Pod ended and is not restarted", hint)
            .of(object, None, created)
    })
}

fn unscheduled(pod: &Pod) -> Option<&Condition> {
    pod.conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason == "Unschedulable"
    })
}

/// What keeps one container from being ready.
fn finding(pod: &Pod, container: &Container) -> Option<Finding> {
    if container.ready {
        return None;
    }
    if let Some((reason, message)) = &container.waiting {
        return waiting(container, reason, message);
    }
    if let Some(ended) = &container.terminated {
        return (ended.exit_code != 0 || ended.reason == "OOMKilled")
            .then(|| crashed(container, ended));
    }
    if container.init || pod.phase != "Running" {
        return None;
    }
    Some(if !container.started {
        let hint = "see its logs; raise failureThreshold or periodSeconds of the startup probe if it needs longer";
        Finding::new(
            "NotStarted",
            "the container runs, but its startup probe did not succeed yet",
            hint,
        )
    } else if container.readiness_probe {
        let hint = "see its logs and the Pod's Events for the probe's answer; check port and path of the readiness probe";
        Finding::new(
            "NotReady",
            "the container runs, but its readiness probe does not succeed",
            hint,
        )
    } else {
        return None;
    })
}

fn waiting(container: &Container, reason: &str, message: &str) -> Option<Finding> {
    Some(match reason {
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ErrImageNeverPull" => {
            unpulled(&container.image, reason, message)
        }
        "InvalidImageName" => {
            let text = format!("{} is no valid image name: {message}", container.image);
            Finding::new(reason, text, "correct the image in the Pod template").hopeless()
        }
        "CreateContainerConfigError" => {
            let hint = "create the ConfigMap, Secret or key that the message names, or correct the template";
            Finding::new(reason, message, hint).hopeless()
        }
        "CrashLoopBackOff" => match &container.terminated {
            Some(ended) => crashed(container, ended),
            None => Finding::new(
                reason,
                message,
                "see the logs of its last run with `kubectl logs --previous`",
            ),
        },
        "CreateContainerError"
        | "RunContainerError"
        | "PostStartHookError"
        | "PreStartHookError" => Finding::new(
            reason,
            message,
            "check command, working directory, mounts and hooks of the container",
        ),
        _ => return None,
    })
}

fn unpulled(image: &str, reason: &str, message: &str) -> Finding {
    let text = message.to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let seen = |what: &str| format!("image {image} {what}: {message}");
    if says(&[
        "denied",
        "unauthorized",
        "authentication required",
        "403 forbidden",
        "no basic auth",
    ]) {
        let hint = "check the image's name, and that imagePullSecrets let the node read it";
        return Finding::new(reason, seen("may not be pulled"), hint).hopeless();
    }
    if says(&[
        "not found",
        "manifest unknown",
        "does not exist",
        "name unknown",
        "no match for platform",
    ]) {
        let hint = "check name and tag; push the image, for the platform of the nodes, before it is deployed";
        return Finding::new(reason, seen("was not found"), hint).hopeless();
    }
    if reason == "ErrImageNeverPull" {
        let hint = "load the image onto the nodes, or change imagePullPolicy";
        return Finding::new(reason, seen("is not on the node"), hint);
    }
    let hint = "the registry may be down, slow or limiting; it is tried again";
    Finding::new(reason, seen("could not be pulled"), hint)
}

fn crashed(container: &Container, ended: &Terminated) -> Finding {
    let what = if container.init {
        "init container"
    } else {
        "container"
    };
    let reason = match () {
        () if ended.reason == "OOMKilled" => "OOMKilled",
        () if container.init => "InitContainerFailed",
        () => "CrashLoopBackOff",
    };
    let mut message = format!("the {what} ended with exit code {}", ended.exit_code);
    if container.restarts > 0 {
        message = format!("{message} (restarts: {})", container.restarts);
    }
    let text = ended.message.trim();
    if !text.is_empty() {
        message = format!("{message}: {text}");
    }
    let hint = match ended.exit_code {
        _ if ended.reason == "OOMKilled" => {
            "raise the memory limit, or find what it uses memory for"
        }
        126 | 127 => {
            "the command was not found or cannot be run: check command, args and the image"
        }
        KILLED => "it was killed: see memory limits and the liveness probe",
        _ => "see the logs of its last run with `kubectl logs --previous`",
    };
    Finding::new(reason, message, hint)
}
