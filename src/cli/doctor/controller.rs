//! Does a controller run, does it lead, and how is it set up?

use std::time::Duration;

use serde_json::Value;

use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::look::{Look, entries, text};
use crate::cli::stopped::STALE;

/// What is known of how Serin is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Install {
    /// Namespace of the controller.
    pub(super) namespace: String,
    /// Name of its Deployment.
    pub(super) name: String,
    /// Its account.
    pub(super) account: String,
    /// Name of the Helm release that it came with, if it did.
    pub(super) release: Option<String>,
    /// Provider of Canaries that name none.
    pub(super) provider: String,
    /// Metrics server of Canaries that name none.
    pub(super) metrics_server: Option<String>,
    /// The only namespace that it watches; `None`: all.
    pub(super) watches: Option<String>,
    /// Namespace of its lease; `None`: it works without one.
    pub(super) lease: Option<String>,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            namespace: "serin-system".to_owned(),
            name: "serin".to_owned(),
            account: "serin".to_owned(),
            release: None,
            provider: "gatewayapi:v1".to_owned(),
            metrics_server: None,
            watches: None,
            lease: Some("serin-system".to_owned()),
        }
    }
}

impl Install {
    /// What a Deployment of the controller says.
    #[must_use]
    pub(super) fn of(deployment: &Value) -> Self {
        let namespace = text(deployment, "/metadata/namespace").to_owned();
        let flags = Flags::of(deployment);
        let some = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let elects = flags.value("leader-elect").is_none_or(|on| on != "false");
        let lease = flags
            .value("lease-namespace")
            .unwrap_or_else(|| namespace.clone());
        let plain = Self::default();
        Self {
            name: text(deployment, "/metadata/name").to_owned(),
            account: some(text(deployment, "/spec/template/spec/serviceAccountName"))
                .unwrap_or(plain.account),
            release: some(text(
                deployment,
                "/metadata/annotations/meta.helm.sh~1release-name",
            )),
            provider: flags.value("provider").unwrap_or(plain.provider),
            metrics_server: flags.value("metrics-server"),
            watches: flags.value("namespace"),
            lease: elects.then_some(lease),
            namespace,
        }
    }

    /// The user that its account is to the API server.
    #[must_use]
    pub(super) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// How a file of `deploy/` is put there again.
    #[must_use]
    pub(super) fn apply(&self, file: &str) -> Fix {
        self.upgrade()
            .unwrap_or_else(|| Fix::run(format!("kubectl apply --server-side -f {file}")))
    }

    /// How all of it is put there again.
    #[must_use]
    pub(super) fn all(&self) -> Fix {
        let kustomize = "kubectl kustomize --load-restrictor LoadRestrictionsNone deploy | kubectl apply --server-side -f -";
        self.upgrade().unwrap_or_else(|| Fix::run(kustomize))
    }

    fn upgrade(&self) -> Option<Fix> {
        let release = self.release.as_ref()?;
        Some(Fix::run(format!(
            "helm -n {} upgrade {release} chart/serin --reset-then-reuse-values",
            self.namespace
        )))
    }
}

/// Flags of the controller, as its container has them.
struct Flags<'a> {
    arguments: Vec<&'a str>,
    variables: Vec<(&'a str, &'a str)>,
}

impl<'a> Flags<'a> {
    fn of(deployment: &'a Value) -> Self {
        let container = container(deployment);
        let arguments = container.into_iter().flat_map(|one| entries(one, "/args"));
        let variables = container.into_iter().flat_map(|one| entries(one, "/env"));
        Self {
            arguments: arguments.filter_map(Value::as_str).collect(),
            variables: variables
                .map(|one| (text(one, "/name"), text(one, "/value")))
                .collect(),
        }
    }

    /// The value of a flag, or of the variable of the same name.
    fn value(&self, flag: &str) -> Option<String> {
        let long = format!("--{flag}");
        let typed = self.arguments.iter().enumerate().find_map(|(at, one)| {
            let rest = one.strip_prefix(&long)?;
            match rest.strip_prefix('=') {
                Some(value) => Some(value),
                None if rest.is_empty() => self.arguments.get(at + 1).copied(),
                None => None,
            }
        });
        let variable = format!("SERIN_{}", flag.replace('-', "_").to_uppercase());
        let mut set = self.variables.iter();
        let set = || {
            set.find(|(name, _)| *name == variable)
                .map(|(_, value)| *value)
        };
        let value = typed.or_else(set)?;
        (!value.is_empty()).then(|| value.to_owned())
    }
}

/// The container that runs `serin controller`.
fn container(deployment: &Value) -> Option<&Value> {
    entries(deployment, "/spec/template/spec/containers")
        .find(|one| entries(one, "/args").any(|argument| argument == "controller"))
}

/// The Deployment that runs the controller, out of those with Serin's label.
#[must_use]
pub(super) fn chosen(deployments: &[Value]) -> Option<&Value> {
    deployments.iter().find(|one| container(one).is_some())
}

/// How the lease is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Who holds it; empty: nobody.
    pub(super) holder: String,
    /// How long ago it was renewed, by two clocks.
    pub(super) age: Duration,
    /// It was renewed while it was looked at.
    pub(super) moved: bool,
}

/// How the controller is.
#[must_use]
pub(super) fn judge(
    deployment: &Look<Value>,
    lease: Option<&Look<Held>>,
    version: &Look<String>,
    install: &Install,
) -> Vec<Finding> {
    let mut found = vec![running(deployment, install)];
    found.extend(lease.map(|lease| leading(lease, install)));
    if !matches!(deployment, Ok(None)) {
        found.push(speaking(version));
    }
    found
}

fn running(deployment: &Look<Value>, install: &Install) -> Finding {
    let live = match deployment {
        Err(why) => {
            return Finding::unknown(
                Check::Controller,
                format!("its Deployment cannot be read: {why}"),
                Fix::say(format!(
                    "ask somebody who may read Deployments in {}",
                    install.namespace
                )),
            );
        }
        Ok(None) => {
            return Finding::failed(
                Check::Controller,
                "no Deployment with the label app.kubernetes.io/name=serin runs `serin controller`: held templates wait for ever",
                install.all(),
            );
        }
        Ok(Some(live)) => live,
    };
    let number = |pointer| live.pointer(pointer).and_then(Value::as_i64);
    let wanted = number("/spec/replicas").unwrap_or(1);
    let ready = number("/status/readyReplicas").unwrap_or(0);
    let what = format!(
        "deployment/{} in {}: {ready} of {wanted} ready",
        install.name, install.namespace
    );
    let see = Fix::run(format!(
        "kubectl -n {} describe pods -l app.kubernetes.io/name=serin",
        install.namespace
    ));
    match (wanted, ready) {
        (0, _) => Finding::failed(
            Check::Controller,
            format!(
                "deployment/{} in {} is scaled to 0",
                install.name, install.namespace
            ),
            Fix::run(format!(
                "kubectl -n {} scale deployment/{} --replicas=1",
                install.namespace, install.name
            )),
        ),
        (_, 0) => Finding::failed(Check::Controller, what, see),
        (wanted, ready) if ready < wanted => Finding::warning(Check::Controller, what, see),
        _ => Finding::ok(Check::Controller, what),
    }
}

fn leading(lease: &Look<Held>, install: &Install) -> Finding {
    let logs = Fix::run(format!(
        "kubectl -n {} logs deployment/{}",
        install.namespace, install.name
    ));
    match lease {
        Err(why) => Finding::unknown(
            Check::Controller,
            format!("its lease cannot be read: {why}"),
            Fix::say(
                "ask somebody who may read leases; the state of the Deployment above says whether it runs",
            ),
        ),
        Ok(None) => Finding::failed(
            Check::Controller,
            "there is no lease serin: no controller has ever led",
            logs,
        ),
        Ok(Some(held)) if held.holder.is_empty() => Finding::failed(
            Check::Controller,
            "nobody holds the lease: no controller works",
            logs,
        ),
        Ok(Some(held)) if held.age >= STALE && !held.moved => {
            let what = format!(
                "{} holds the lease, and has not renewed it for {} s",
                held.holder,
                held.age.as_secs()
            );
            Finding::failed(Check::Controller, what, logs)
        }
        Ok(Some(held)) => Finding::ok(Check::Controller, format!("{} leads", held.holder)),
    }
}

fn speaking(version: &Look<String>) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    match version {
        Ok(Some(theirs)) if theirs == ours => Finding::ok(
            Check::Controller,
            format!("it answers as version {theirs}, as this build"),
        ),
        Ok(Some(theirs)) => Finding::warning(
            Check::Controller,
            format!(
                "it answers as version {theirs}, and this is {ours}: what is said here may not fit it"
            ),
            Fix::say(format!("use serin {theirs}, or upgrade the controller")),
        ),
        Ok(None) | Err(_) => {
            let why = version
                .as_ref()
                .err()
                .map_or("no Service of it answers", String::as_str);
            Finding::unknown(
                Check::Controller,
                format!("which version answers was not found out: {why}"),
                Fix::say(
                    "the image of its Deployment tells; to ask it takes the right to get services/proxy",
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::finding::State;

    fn deployment(replicas: i64, ready: i64) -> Value {
        json!({
            "metadata": {"name": "my-serin", "namespace": "ops", "annotations": {"meta.helm.sh/release-name": "my"}},
            "spec": {"replicas": replicas, "template": {"spec": {"serviceAccountName": "robot", "containers": [
                {"name": "proxy"},
                {"name": "serin", "args": ["controller", "--provider=none", "--namespace", "shop", "--leader-elect"],
                    "env": [{"name": "SERIN_METRICS_SERVER", "value": "http://prometheus:9090"}, {"name": "POD_NAME", "valueFrom": {}}]},
            ]}}},
            "status": {"readyReplicas": ready},
        })
    }

    #[test]
    fn the_deployment_tells_how_it_is_set_up() {
        let install = Install::of(&deployment(1, 1));
        let expected = Install {
            namespace: "ops".to_owned(),
            name: "my-serin".to_owned(),
            account: "robot".to_owned(),
            release: Some("my".to_owned()),
            provider: "none".to_owned(),
            metrics_server: Some("http://prometheus:9090".to_owned()),
            watches: Some("shop".to_owned()),
            lease: Some("ops".to_owned()),
        };
        assert_eq!(install, expected);
        assert_eq!(install.user(), "system:serviceaccount:ops:robot");
        assert_eq!(
            install.all().text(),
            "helm -n ops upgrade my chart/serin --reset-then-reuse-values"
        );
        assert!(
            Install::default()
                .apply("deploy/gate.yaml")
                .text()
                .ends_with("-f deploy/gate.yaml")
        );
    }

    #[test]
    fn a_deployment_with_the_label_alone_is_not_the_controller() {
        let other = json!({"spec": {"template": {"spec": {"containers": [{"name": "page", "args": ["serve"]}]}}}});
        let all = [other.clone(), deployment(1, 1)];
        assert_eq!(text(chosen(&all).unwrap(), "/metadata/name"), "my-serin");
        assert!(chosen(&[other]).is_none());
    }

    #[test]
    fn it_runs_or_not() {
        let rows = [
            (Ok(Some(deployment(2, 2))), State::Ok, "2 of 2 ready"),
            (Ok(Some(deployment(2, 1))), State::Warning, "1 of 2 ready"),
            (Ok(Some(deployment(1, 0))), State::Failed, "0 of 1 ready"),
            (Ok(Some(deployment(0, 0))), State::Failed, "is scaled to 0"),
            (Ok(None), State::Failed, "runs `serin controller`"),
            (Err("forbidden".to_owned()), State::Unknown, "forbidden"),
        ];
        for (live, state, words) in rows {
            let found = running(&live, &Install::default());
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.what.contains(words), "{found:?}");
        }
    }

    #[test]
    fn it_leads_or_not() {
        let held = |age, moved| {
            Ok(Some(Held {
                holder: "serin-0".to_owned(),
                age: Duration::from_secs(age),
                moved,
            }))
        };
        let rows = [
            (held(2, false), State::Ok, "serin-0 leads"),
            // The two clocks are apart, and it was renewed before our eyes.
            (held(3600, true), State::Ok, "serin-0 leads"),
            (
                held(31, false),
                State::Failed,
                "has not renewed it for 31 s",
            ),
            (
                Ok(Some(Held::default())),
                State::Failed,
                "nobody holds the lease",
            ),
            (Ok(None), State::Failed, "no controller has ever led"),
            (Err("forbidden".to_owned()), State::Unknown, "forbidden"),
        ];
        for (lease, state, words) in rows {
            let found = leading(&lease, &Install::default());
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.what.contains(words), "{found:?}");
        }
    }

    #[test]
    fn another_version_is_said() {
        let rows = [
            (Ok(Some(env!("CARGO_PKG_VERSION").to_owned())), State::Ok),
            (Ok(Some("9.9.9".to_owned())), State::Warning),
            (Ok(None), State::Unknown),
            (Err("forbidden".to_owned()), State::Unknown),
        ];
        for (version, state) in rows {
            assert_eq!(speaking(&version).state, state, "{version:?}");
        }
    }
}
