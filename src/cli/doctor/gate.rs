//! Would a changed template be held? The admission objects that have to be there, and what dry runs say.

use serde_json::Value;

use crate::cli::doctor::controller::Install;
use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::look::{Look, entries, text};
use crate::cli::doctor::shipped::difference;
use crate::crd::canary::Canary;
use crate::objects::{Deployment, mark};

/// One admission object: as this build ships it, and as the cluster has it.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    /// The file that it is in.
    pub(super) file: &'static str,
    /// Of this build.
    pub(super) shipped: Value,
    /// Of the cluster.
    pub(super) live: Look<Value>,
}

impl Admission {
    fn name(&self) -> String {
        format!(
            "{} {}",
            text(&self.shipped, "/kind"),
            text(&self.shipped, "/metadata/name")
        )
    }

    /// It changes objects, which a webhook can do as well.
    fn mutates(&self) -> bool {
        text(&self.shipped, "/kind").starts_with("MutatingAdmissionPolicy")
    }

    fn what_it_does(&self) -> &'static str {
        match text(&self.shipped, "/metadata/name") {
            "serin-hold" => "nothing holds a changed template",
            "serin-guard" => "nothing refuses a template that was not held",
            "serin-stamp" => "nobody writes down who asks for a verb",
            "serin-requests" => "everybody who may annotate a Canary may ask for every verb",
            _ => "Serin's account may do more than it needs",
        }
    }
}

/// How the admission objects are. `webhook` is the gate as a webhook, which takes the place of policies that change objects.
#[must_use]
pub(super) fn judge(objects: &[Admission], webhook: &Admission, install: &Install) -> Vec<Finding> {
    let by_webhook = matches!(webhook.live, Ok(Some(_)));
    let policies = objects.iter().filter(|one| !(by_webhook && one.mutates()));
    let policies = policies.map(|one| object(one, install));
    let webhook = by_webhook.then(|| called(webhook, install));
    policies.chain(webhook).collect()
}

fn object(one: &Admission, install: &Install) -> Finding {
    let name = one.name();
    let fix = || install.apply(one.file);
    match &one.live {
        Err(why) => Finding::unknown(
            Check::Gate,
            format!("{name} cannot be read: {why}"),
            Fix::say(
                "ask somebody who may read admission policies; the dry runs below tell whether the gate holds",
            ),
        ),
        Ok(None) => Finding::failed(
            Check::Gate,
            format!("{name} is missing: {}", one.what_it_does()),
            fix(),
        ),
        Ok(Some(live)) => match difference(&one.shipped["spec"], &live["spec"]) {
            Some(path) => {
                let what = format!("{name} is not that of this build: spec.{path} differs");
                Finding::warning(Check::Gate, what, fix())
            }
            None => Finding::ok(Check::Gate, format!("{name} is that of this build")),
        },
    }
}

/// The gate as a webhook: its configuration, and the certificate by which the API server knows it.
fn called(webhook: &Admission, install: &Install) -> Finding {
    let Ok(Some(live)) = &webhook.live else {
        return object(webhook, install);
    };
    let name = webhook.name();
    let untrusted =
        entries(live, "/webhooks").find(|one| text(one, "/clientConfig/caBundle").is_empty());
    if let Some(one) = untrusted {
        let what = format!(
            "{name}: {} has no caBundle, so the API server does not trust who answers, and refuses every new template",
            text(one, "/name")
        );
        let fix = format!(
            "kubectl -n {} rollout restart deployment/{}",
            install.namespace, install.name
        );
        return Finding::failed(Check::Gate, what, Fix::run(fix));
    }
    match difference(
        &without_service(&webhook.shipped["webhooks"]),
        &without_service(&live["webhooks"]),
    ) {
        Some(path) => {
            let what = format!("{name} is not that of this build: webhooks{path} differs");
            Finding::warning(Check::Gate, what, install.apply(webhook.file))
        }
        None => Finding::ok(Check::Gate, format!("{name} is that of this build")),
    }
}

/// Where the webhook is called is a matter of the installation.
fn without_service(webhooks: &Value) -> Value {
    let mut webhooks = webhooks.clone();
    for one in webhooks.as_array_mut().into_iter().flatten() {
        one["clientConfig"] = Value::Null;
    }
    webhooks
}

/// What a dry run of a changed template came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// It came back held.
    Held,
    /// It came back as it was sent.
    Open,
    /// Who asks may not change the target.
    Forbidden,
    /// The API server refused it, or did not answer.
    Refused(String),
}

/// Whether the gate of one Canary holds. Without a trial of our own it is the controller's word that counts.
#[must_use]
pub(super) fn holds(
    canary: &Canary,
    target: Option<&Deployment>,
    trial: Option<&Trial>,
) -> Option<Finding> {
    let target = target?;
    if target.meta.labels.get(mark::GATE) != Some(&canary.identity()) {
        return Some(unarmed(canary));
    }
    let fix = || Fix::say("mend what is said of the gate above; `serin doctor` tries again");
    Some(match trial {
        Some(Trial::Held) => Finding::ok(
            Check::Gate,
            "a dry run of a changed template came back held",
        ),
        Some(Trial::Open) => Finding::failed(
            Check::Gate,
            "a dry run of a changed template was not held: it would ship as it is",
            fix(),
        ),
        Some(Trial::Refused(why)) if why.contains("failed calling webhook") => {
            let see =
                "see whether a replica is ready: kubectl -n serin-system get pods,endpointslices";
            Finding::failed(
                Check::Gate,
                format!("a dry run of a changed template was refused: {why}"),
                Fix::say(see),
            )
        }
        Some(Trial::Refused(why)) => Finding::failed(
            Check::Gate,
            format!("a dry run of a changed template was refused: {why}"),
            fix(),
        ),
        Some(Trial::Forbidden) | None => told(canary),
    })
}

/// The label of the gate is not on the target.
fn unarmed(canary: &Canary) -> Finding {
    let (status, message) = condition(canary);
    let fix = || {
        Fix::run(format!(
            "serin -n {} diagnose {}",
            canary.home(),
            canary.metadata.name.as_deref().unwrap_or_default()
        ))
    };
    match status {
        "False" => Finding::failed(
            Check::Gate,
            format!("its target is not gated: {message}"),
            fix(),
        ),
        "Unknown" => Finding::warning(
            Check::Gate,
            "its gate is being tried by the controller",
            Fix::say("ask again in ten seconds"),
        ),
        _ => Finding::failed(
            Check::Gate,
            "its target is not gated, and the controller does not say why",
            fix(),
        ),
    }
}

/// What the controller's own trials said.
fn told(canary: &Canary) -> Finding {
    let (status, message) = condition(canary);
    match status {
        "True" => Finding::ok(Check::Gate, format!("by the controller's word: {message}")),
        "False" => Finding::failed(
            Check::Gate,
            format!("by the controller's word: {message}"),
            Fix::say("mend what is said of the gate above"),
        ),
        _ => Finding::unknown(
            Check::Gate,
            "you may not change its target, so no dry run was made, and the controller does not say",
            Fix::say("ask somebody who may patch Deployments there"),
        ),
    }
}

fn condition(canary: &Canary) -> (&str, &str) {
    let conditions = canary.status.iter().flat_map(|status| &status.conditions);
    let gated = conditions
        .into_iter()
        .find(|condition| condition.type_ == "Gated");
    gated.map_or(("", ""), |gated| {
        (gated.status.as_str(), gated.message.as_str())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::finding::State;
    use crate::cli::doctor::shipped;

    fn all() -> (Vec<Admission>, Admission) {
        let objects = shipped::admission(shipped::ACCOUNT);
        let objects = objects.into_iter().map(|(file, shipped)| Admission {
            file,
            live: Ok(Some(shipped.clone())),
            shipped,
        });
        let hook = shipped::webhook(shipped::ACCOUNT);
        let hook = hook
            .into_iter()
            .find(|one| one["kind"] == "MutatingWebhookConfiguration")
            .unwrap();
        (
            objects.collect(),
            Admission {
                file: "deploy/older/webhook.yaml",
                shipped: hook,
                live: Ok(None),
            },
        )
    }

    fn found(objects: &[Admission], webhook: &Admission) -> Vec<(State, String)> {
        let found = judge(objects, webhook, &Install::default());
        found
            .into_iter()
            .filter(|one| one.state != State::Ok)
            .map(|one| (one.state, one.what))
            .collect()
    }

    #[test]
    fn each_object_that_is_missing_is_named_with_its_file() {
        let (mut objects, webhook) = all();
        assert_eq!(found(&objects, &webhook), []);
        for at in 0..objects.len() {
            let was = std::mem::replace(&mut objects[at].live, Ok(None));
            let finding = judge(&objects, &webhook, &Install::default())
                .into_iter()
                .find(|one| one.state != State::Ok)
                .unwrap();
            assert_eq!(finding.state, State::Failed);
            assert!(
                finding
                    .what
                    .starts_with(&format!("{} is missing", objects[at].name())),
                "{finding:?}"
            );
            assert!(finding.fix.unwrap().text().contains(objects[at].file));
            objects[at].live = was;
        }
    }

    #[test]
    fn what_was_changed_is_said_with_its_field() {
        let (mut objects, webhook) = all();
        let Ok(Some(live)) = &mut objects[0].live else {
            unreachable!()
        };
        live["spec"]["failurePolicy"] = json!("Ignore");
        let text = "MutatingAdmissionPolicy serin-hold is not that of this build: spec.failurePolicy differs";
        assert_eq!(
            found(&objects, &webhook),
            [(State::Warning, text.to_owned())]
        );
        objects[0].live = Err("forbidden".to_owned());
        assert_eq!(found(&objects, &webhook)[0].0, State::Unknown);
    }

    #[test]
    fn a_webhook_takes_the_place_of_policies_that_change_objects() {
        let (mut objects, mut webhook) = all();
        objects
            .iter_mut()
            .filter(|one| one.mutates())
            .for_each(|one| one.live = Ok(None));
        assert_eq!(found(&objects, &webhook).len(), 4);
        let mut live = webhook.shipped.clone();
        webhook.live = Ok(Some(live.clone()));
        let without = found(&objects, &webhook);
        assert!(
            without[0].1.contains("hold.serin.dev has no caBundle"),
            "{without:?}"
        );
        for one in live["webhooks"].as_array_mut().unwrap() {
            one["clientConfig"]["caBundle"] = json!("Zm9v");
        }
        webhook.live = Ok(Some(live));
        assert_eq!(found(&objects, &webhook), []);
    }

    fn canary(gated: Option<(&str, &str)>) -> Canary {
        let mut canary = json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
            "spec": {"targetRef": {"name": "web"}},
        });
        if let Some((status, message)) = gated {
            canary["status"] = json!({"conditions": [{"type": "Gated", "status": status, "reason": "R", "message": message,
                "lastTransitionTime": "2030-01-01T00:00:00Z"}]});
        }
        serde_json::from_value(canary).unwrap()
    }

    fn target(gate: Option<&str>) -> Deployment {
        let mut target = Deployment::default();
        target
            .meta
            .labels
            .extend(gate.map(|uid| (mark::GATE.to_owned(), uid.to_owned())));
        target
    }

    /// The controller's word, a dry run, and what is found.
    type Row = (
        Option<(&'static str, &'static str)>,
        Option<Trial>,
        State,
        &'static str,
    );

    #[test]
    fn a_dry_run_counts_before_the_controllers_word() {
        let refused = Trial::Refused("failed calling webhook \"hold.serin.dev\"".to_owned());
        let twice = Some(("True", "held, twice"));
        let gone = Some(("False", "policies are gone"));
        let rows: [Row; 6] = [
            (None, Some(Trial::Held), State::Ok, "came back held"),
            (twice, Some(Trial::Open), State::Failed, "was not held"),
            (twice, Some(refused), State::Failed, "failed calling"),
            (twice, Some(Trial::Forbidden), State::Ok, "held, twice"),
            (gone, None, State::Failed, "policies are gone"),
            (None, Some(Trial::Forbidden), State::Unknown, "no dry run"),
        ];
        for (word, trial, state, words) in rows {
            let found = holds(&canary(word), Some(&target(Some("u1"))), trial.as_ref()).unwrap();
            assert_eq!(found.state, state, "{word:?} {trial:?}: {found:?}");
            assert!(found.what.contains(words), "{found:?}");
        }
        assert_eq!(holds(&canary(None), None, None), None);
    }

    #[test]
    fn a_target_without_the_gate_of_its_canary_is_open() {
        let missing = Some(("False", "not all installed"));
        let rows = [
            (None, missing, State::Failed, "not gated: not all installed"),
            (None, Some(("Unknown", "")), State::Warning, "being tried"),
            (Some("another"), None, State::Failed, "does not say why"),
        ];
        for (gate, word, state, words) in rows {
            let found = holds(&canary(word), Some(&target(gate)), Some(&Trial::Open)).unwrap();
            assert_eq!(found.state, state, "{gate:?} {word:?}: {found:?}");
            assert!(found.what.contains(words), "{found:?}");
        }
    }
}
