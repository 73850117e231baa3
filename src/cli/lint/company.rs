//! What objects say together: a Canary, and what of its Deployment, Services, routes and MetricTemplates the files have.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::cli::lint::Defaults;
use crate::cli::lint::finding::{Finding, Level};
use crate::cli::lint::form::are_related;
use crate::cli::simulate::files::Manifest;
use crate::cli::simulate::strict;
use crate::crd::canary::Canary;
use crate::crd::metric_template::MetricTemplate;
use crate::digest;
use crate::metrics::{self, Templates};
use crate::objects::{Kind, ObjectKey, Seen};
use crate::rollout::observed::{Problem, Severity};
use crate::{router, workload};

/// What the controller says of objects that are missing, though another file may have them.
const ABSENT: [&str; 2] = ["there is no MetricTemplate", "does not exist: create it"];

/// What it says when nobody named a metrics server, which its own flag may do.
const NO_SERVER: &str = "there is no metrics server to ask";

/// Canaries with their defaults, MetricTemplates, and all other objects of the files.
#[derive(Default)]
pub struct Company<'a> {
    canaries: Vec<(&'a Manifest, Canary)>,
    templates: Vec<(&'a Manifest, MetricTemplate)>,
    others: Vec<&'a Manifest>,
}

impl<'a> Company<'a> {
    /// Takes an object of ours whose form is right.
    pub fn join(&mut self, manifest: &'a Manifest, object: Value) {
        match manifest.kind() {
            "Canary" => {
                if let Ok(canary) = serde_json::from_value(object) {
                    self.canaries.push((manifest, canary));
                }
            }
            "MetricTemplate" => {
                if let Ok(template) = serde_json::from_value(object) {
                    self.templates.push((manifest, template));
                }
            }
            _ => {}
        }
    }

    /// Takes an object of somebody else; says whether it lets more be checked.
    pub fn join_other(&mut self, manifest: &'a Manifest) -> bool {
        let known = [
            ("apps", "Deployment"),
            ("", "Service"),
            ("gateway.networking.k8s.io", "HTTPRoute"),
            ("gateway.networking.k8s.io", "GRPCRoute"),
            ("networking.k8s.io", "NetworkPolicy"),
        ];
        let is_known = known.contains(&(manifest.group(), manifest.kind()));
        if is_known {
            self.others.push(manifest);
        }
        is_known
    }

    /// Adds what is wrong with the objects as a whole.
    pub fn judge(&self, defaults: &Defaults, findings: &mut Vec<Finding>) {
        for (manifest, template) in &self.templates {
            let problems = template_problems(template);
            findings.extend(problems.iter().map(|why| told(manifest, why, Level::Error)));
        }
        for (index, (manifest, canary)) in self.canaries.iter().enumerate() {
            self.strictly(canary, findings);
            let mut found = self.problems(canary, defaults);
            found.extend(self.rival(index));
            for problem in found {
                let level = level(&problem, defaults);
                let finding = told(manifest, &problem.message, level);
                if !is_said(&finding, findings) {
                    findings.push(finding);
                }
            }
        }
    }

    /// Fields that nobody knows in the Deployment and the Service that a Canary names.
    fn strictly(&self, canary: &Canary, findings: &mut Vec<Finding>) {
        let named = |it: &&&Manifest| {
            let is_target = it.kind() == "Deployment" && it.name() == canary.target_name();
            let is_service = it.kind() == "Service" && it.name() == canary.service_name();
            it.namespace() == canary.home() && (is_target || is_service)
        };
        for manifest in self.others.iter().filter(named) {
            let unknown = strict::unknown_fields(manifest).into_iter();
            let unknown = unknown.map(|it| Finding::of(Level::Error, manifest, it));
            findings.extend(unknown);
            if manifest.object["spec"]["paused"] == json!(true) {
                let message = "is written here, which would fight the gate: take the field out";
                findings.push(Finding::new(Level::Error, manifest, "spec.paused", message));
            }
        }
    }

    fn problems(&self, canary: &Canary, defaults: &Defaults) -> Vec<Problem> {
        let mut whole = canary.clone();
        let provider = canary.provider(&defaults.provider).to_owned();
        whole.spec.provider = Some(provider.clone());
        let seen = self.seen(&canary.home());
        let mut found = workload::problems(&whole, &seen);
        if let Some(router) = router::for_provider(&provider) {
            found.extend(router.problems(&whole, &seen));
        }
        let server = defaults.metrics_server.as_deref();
        let (_, mistakes) = metrics::plan(&whole, &self.templates(), server, &provider);
        // What is wrong with a template of the files is said there.
        let here = |problem: &Problem| self.is_of_template(&problem.message);
        found.extend(mistakes.into_iter().filter(|it| !here(it)));
        found
    }

    fn templates(&self) -> Templates {
        let named = |(manifest, template): &(&Manifest, MetricTemplate)| {
            let key = (manifest.namespace().to_owned(), manifest.name().to_owned());
            (key, Arc::new(template.clone()))
        };
        self.templates.iter().map(named).collect()
    }

    fn is_of_template(&self, message: &str) -> bool {
        let Some((_, rest)) = message.split_once(": MetricTemplate ") else {
            return false;
        };
        let mut said = self.templates.iter().flat_map(|(_, template)| {
            let name = template.metadata.name.clone().unwrap_or_default();
            let problems = template_problems(template).into_iter();
            problems.map(move |why| format!("{name:?}: {why}"))
        });
        said.any(|text| text == rest)
    }

    /// The objects of a namespace, as the watches would have them.
    fn seen(&self, namespace: &str) -> Seen {
        let mut seen = Seen::default();
        seen.kinds.extend(Kind::ROUTES);
        let here = self.others.iter().filter(|it| it.namespace() == namespace);
        for manifest in here {
            let name = manifest.name().to_owned();
            match manifest.kind() {
                "Deployment" => {
                    let read = digest::deployment(&manifest.object).ok();
                    seen.deployments.extend(read.map(|it| (name, Arc::new(it))));
                }
                "Service" => {
                    let read = digest::service(&manifest.object).ok();
                    seen.services.extend(read.map(|it| (name, Arc::new(it))));
                }
                "NetworkPolicy" => {
                    let read = digest::network_policy(&manifest.object).ok();
                    seen.policies.extend(read.map(|it| (name, Arc::new(it))));
                }
                _ => seen.routes.extend(route(manifest)),
            }
        }
        seen
    }

    /// Of two Canaries with one target, the one that stands later.
    fn rival(&self, index: usize) -> Option<Problem> {
        let (_, canary) = self.canaries.get(index)?;
        let earlier = self.canaries.iter().take(index).map(|(_, it)| it);
        let other = earlier.into_iter().find(|it| {
            let same_service = it.spec.service.is_some()
                && canary.spec.service.is_some()
                && it.service_name() == canary.service_name();
            it.home() == canary.home() && (it.target_name() == canary.target_name() || same_service)
        })?;
        let message = format!(
            "spec.targetRef: Canary {} has Deployment {} or its Service already; only the older of the two acts, so delete one",
            other.metadata.name.as_deref().unwrap_or_default(),
            canary.target_name()
        );
        Some(Problem {
            reason: "NameTaken",
            message,
            severity: Severity::Refused,
        })
    }
}

fn route(manifest: &Manifest) -> Option<(ObjectKey, Arc<DynamicObject>)> {
    let api_version = manifest.object["apiVersion"].as_str()?;
    let kind = Kind::named(api_version, manifest.kind())?;
    let key = ObjectKey::new(kind, manifest.namespace(), manifest.name());
    let object = serde_json::from_value(manifest.object.clone()).ok()?;
    Some((key, Arc::new(object)))
}

/// What the controller would say of a template, as `spec.…: why`, whatever Canary names it: it is asked for one that does.
fn template_problems(template: &MetricTemplate) -> Vec<String> {
    let name = template.metadata.name.clone().unwrap_or_default();
    let home = template.metadata.namespace.clone().unwrap_or_default();
    let query = &template.spec.query;
    let variables: BTreeMap<_, _> = variables(query).map(|it| (it, "x".to_owned())).collect();
    let canary = serde_json::from_value::<Canary>(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "x", "namespace": home},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}, "provider": "none",
            "metricsServer": "http://any",
            "analysis": {"metrics": [{
                "name": "x", "templateRef": {"name": name}, "templateVariables": variables, "thresholdRange": {"max": 1},
            }]},
        },
    }));
    let Ok(canary) = canary else {
        return Vec::new();
    };
    let templates = Templates::from([((home, name.clone()), Arc::new(template.clone()))]);
    let (_, problems) = metrics::plan(&canary, &templates, None, "none");
    let marker = format!(": MetricTemplate {name:?}: ");
    let said = problems
        .iter()
        .filter_map(|problem| problem.message.split_once(&marker));
    said.map(|(_, why)| why.to_owned()).collect()
}

/// The names behind `variables.`: their values are the Canary's business.
fn variables(query: &str) -> impl Iterator<Item = String> + '_ {
    query.split("variables.").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        rest[..end.unwrap_or(rest.len())].to_owned()
    })
}

fn level(problem: &Problem, defaults: &Defaults) -> Level {
    let message = &problem.message;
    let absent = ABSENT.iter().any(|text| message.contains(text));
    let unasked = message.contains(NO_SERVER) && defaults.metrics_server.is_none();
    if problem.severity == Severity::Warning || absent || unasked {
        Level::Warning
    } else {
        Level::Error
    }
}

/// A problem at the field that it names, or else at the one that names its object.
fn told(manifest: &Manifest, why: &str, level: Level) -> Finding {
    let named = why.split_once(": ");
    let named = named.filter(|(path, _)| path.starts_with("spec.") && !path.contains(' '));
    let (field, message) = match named {
        Some(named) => named,
        None if why.starts_with("Service ") => ("spec.service", why),
        None if manifest.kind() == "Canary" => ("spec.targetRef", why),
        None => ("", why),
    };
    let message = match level {
        Level::Warning if message.contains(NO_SERVER) => {
            format!("{message}, or tell lint the controller's with --metrics-server")
        }
        Level::Warning if ABSENT.iter().any(|text| message.contains(text)) => {
            format!("{message}; no file has it")
        }
        _ => message.to_owned(),
    };
    Finding::new(level, manifest, field, &message)
}

/// Whether the same object was found wrong at that field already; a rule that two places hold is said once.
fn is_said(finding: &Finding, findings: &[Finding]) -> bool {
    let field = finding.problem.field();
    let is_about_another = finding.problem.message().starts_with("Service ")
        || finding.problem.message().starts_with("Deployment ");
    !is_about_another
        && findings.iter().any(|it| {
            it.object == finding.object
                && it.problem.file() == finding.problem.file()
                && are_related(it.problem.field(), field)
        })
}
