//! `serin doctor` on a cluster that lacks one thing after the other: it names the thing and its fix, and ends with 1; with all back, 0.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::objects::{self, APP};
use crate::process::Said;
use crate::record::{Kind, text};
use crate::scenario::Scenario;

/// How long a cluster may take to show what was taken away or put back.
const SHOWN: Duration = Duration::from_secs(90);

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// A Gateway that nobody runs.
const LONELY: &str = "lonely";

/// One thing that a cluster may lack.
#[derive(Clone, Copy, Debug)]
enum Lack {
    /// The binding of the policy that holds.
    Binding,
    /// Somebody who runs the Gateway.
    Gateway,
    /// The metrics server.
    Server,
    /// The series of a metric.
    Series,
    /// A role of Serin's account.
    Right,
    /// Room in a quota.
    Room,
}

const ALL: [Lack; 6] = [
    Lack::Binding,
    Lack::Gateway,
    Lack::Server,
    Lack::Series,
    Lack::Right,
    Lack::Room,
];

/// Each single thing that is missing is named with its fix.
pub(super) async fn the_doctor_names_each_thing_that_is_missing(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::quick()).await?;
    let load = s.load().await?;
    healthy(s).await.context("with nothing missing")?;
    for lack in ALL {
        let taken = lack.take(s).await;
        let named = match taken {
            Ok(()) => lack.named(s).await,
            failed => failed,
        };
        let back = lack.put_back(s).await;
        named.with_context(|| format!("without {lack:?}"))?;
        back.with_context(|| format!("put {lack:?} back"))?;
        healthy(s)
            .await
            .with_context(|| format!("with {lack:?} back"))?;
    }
    drop(load);
    told_to_people(s).await
}

impl Lack {
    /// Which check fails, in which words, and what of the fix is said.
    fn words(self) -> [&'static str; 3] {
        match self {
            Self::Binding => [
                "gate",
                "MutatingAdmissionPolicyBinding serin-hold is missing",
                "kubectl apply --server-side -f deploy/gate.yaml",
            ],
            Self::Gateway => ["route", LONELY, "describe httproute app"],
            Self::Server => [
                "metrics",
                "there is no Service nothing in namespace monitoring",
                "spec.metricsServer",
            ],
            Self::Series => ["metrics", "its query finds nothing", "try the query"],
            Self::Right => [
                "permissions",
                "(role serin-gateway-api)",
                "kubectl apply --server-side -f deploy/rbac.yaml",
            ],
            Self::Room => [
                "quota",
                "ResourceQuota team has room for 0 more Pods",
                "edit resourcequota team",
            ],
        }
    }

    async fn take(self, s: &Scenario) -> Result<()> {
        match self {
            Self::Binding => delete(s, "mutatingadmissionpolicybinding", "serin-hold").await,
            Self::Right => delete(s, "clusterrolebinding", "serin-gateway-api").await,
            Self::Gateway => {
                s.apply(&json!({
                    "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": LONELY},
                    "spec": {"gatewayClassName": "nobody", "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]},
                }))
                .await?;
                hang_on(s, &json!([{"name": LONELY}])).await
            }
            Self::Server => {
                spec(
                    s,
                    &json!({"metricsServer": "http://nothing.monitoring.svc:9090"}),
                )
                .await
            }
            Self::Series => {
                let metric = json!({"name": "errors", "query": "sum(nothing_counts_this)", "thresholdRange": {"max": 1}});
                spec(s, &json!({"analysis": {"metrics": [metric]}})).await
            }
            Self::Room => {
                let quota = ["create", "quota", "team", "--hard=pods=2"];
                s.kubectl(&quota).await?.fine().map(drop)
            }
        }
    }

    async fn put_back(self, s: &Scenario) -> Result<()> {
        match self {
            Self::Binding => apply(s, "deploy/gate.yaml").await,
            Self::Right => apply(s, "deploy/rbac.yaml").await,
            Self::Gateway => {
                hang_on(s, &json!([{"name": "gw", "namespace": "default"}])).await?;
                let gone = ["delete", "gateway", LONELY, "--ignore-not-found"];
                s.kubectl(&gone).await?.fine().map(drop)
            }
            Self::Server => spec(s, &json!({"metricsServer": null})).await,
            Self::Series => spec(s, &json!({"analysis": {"metrics": null}})).await,
            Self::Room => {
                let gone = ["delete", "quota", "team", "--ignore-not-found"];
                s.kubectl(&gone).await?.fine().map(drop)
            }
        }
    }

    /// Waits until the doctor says so, and ends with 1.
    async fn named(self, s: &Scenario) -> Result<()> {
        let [check, what, fix] = self.words();
        let begun = Instant::now();
        loop {
            let said = doctor(s, &["-o", "json"]).await?;
            let found: Value = serde_json::from_str(&said.out)
                .with_context(|| format!("read {}{}", said.out, said.err))?;
            let findings = found["findings"].as_array().into_iter().flatten();
            let named = findings
                .filter(|one| text(one, "/check") == check && text(one, "/state") == "failed")
                .find(|one| text(one, "/what").contains(what));
            if let Some(named) = named {
                ensure!(
                    said.code == 1,
                    "it ended with {}, and {named} failed",
                    said.code
                );
                ensure!(text(named, "/fix").contains(fix), "its fix: {named}");
                return Ok(());
            }
            if begun.elapsed() > SHOWN {
                bail!("{what:?} is not named: {found:#}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn doctor(s: &Scenario, more: &[&str]) -> Result<Said> {
    let words = [&["doctor", "-n", &s.namespace][..], more].concat();
    s.world.serin(&words).await
}

async fn delete(s: &Scenario, kind: &str, name: &str) -> Result<()> {
    s.world
        .kubectl(&["delete", kind, name])
        .await?
        .fine()
        .map(drop)
}

/// A manifest of Serin's, as the fix says.
async fn apply(s: &Scenario, file: &str) -> Result<()> {
    let path = s.world.places.root.join(file);
    let path = path.to_string_lossy();
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", &path];
    s.world.kubectl(&apply).await?.fine().map(drop)
}

async fn spec(s: &Scenario, change: &Value) -> Result<()> {
    s.merge(Kind::Canary, APP, &json!({"spec": change})).await
}

async fn hang_on(s: &Scenario, gateways: &Value) -> Result<()> {
    spec(s, &json!({"service": {"gatewayRefs": gateways}})).await
}

/// Waits until nothing fails, and the command ends with 0.
async fn healthy(s: &Scenario) -> Result<()> {
    let begun = Instant::now();
    loop {
        let said = doctor(s, &[]).await?;
        if said.code == 0 {
            return Ok(());
        }
        if begun.elapsed() > SHOWN {
            bail!("it ends with {}: {}{}", said.code, said.out, said.err);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Through a pipe it is lines of 80 columns without colour, and nothing else.
async fn told_to_people(s: &Scenario) -> Result<()> {
    let said = doctor(s, &[]).await?;
    ensure!(
        said.out.lines().all(|line| line.chars().count() <= 80),
        "a line is longer than 80 columns:\n{}",
        said.out
    );
    ensure!(!said.out.contains('\x1b'), "it has colours in a pipe");
    ensure!(said.err.is_empty(), "it talks beside: {}", said.err);
    let all = doctor(s, &["-o", "json"]).await?.out;
    for right in [
        "a dry run of a changed template came back held",
        "request-success-rate of what runs now is there",
    ] {
        ensure!(all.contains(right), "{right:?} is not said:\n{all}");
    }
    Ok(())
}
