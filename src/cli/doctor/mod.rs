//! `serin doctor`: tries what a cluster needs for releases, and says how to mend what is missing.
//!
//! `cluster`, `scene` and `prometheus` look; `definitions`, `gate`, `controller`, `rights`, `canaries`, `series`, `quota` and `rivals`
//! judge what was seen, and ask nobody.

mod canaries;
mod cluster;
mod controller;
mod definitions;
mod finding;
mod gate;
mod look;
mod progress;
mod prometheus;
mod quota;
mod rights;
mod rivals;
mod scene;
mod series;
mod shipped;
mod show;
mod visit;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kube::Client;
use kube::api::ListParams;

use crate::cli::args::DoctorArgs;
use crate::cli::connect::Session;
use crate::cli::doctor::controller::Install;
use crate::cli::doctor::finding::{Check, Finding, Fix, State};
use crate::cli::doctor::progress::Progress;
use crate::cli::doctor::rights::Right;
use crate::cli::doctor::scene::Reader;
use crate::cli::doctor::visit::Visit;
use crate::cli::exit::{self, Exit};
use crate::cli::find;
use crate::cli::screen::{self, Palette};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::http_client::Http;
use crate::http_client::guard::Guard;

/// Looks, and prints what was found; exit 1 if something has to be mended.
pub(super) async fn run(session: &Session, args: &DoctorArgs) -> Result<Exit> {
    let doctor = Doctor {
        session,
        args,
        clock: Clock::System,
        outside: Some(
            Http::new(Guard::default()).context("set up the client for metrics servers")?,
        ),
        progress: Progress::of_stderr(),
    };
    let findings = doctor.examine().await?;
    screen::write(&show::render(&findings, args.output, Palette::of_stdout())?)?;
    Ok(verdict(&findings))
}

fn verdict(findings: &[Finding]) -> Exit {
    if findings.iter().any(|found| found.state == State::Failed) {
        Exit::Failed
    } else {
        Exit::Done
    }
}

/// Who looks, at what, and with which means.
struct Doctor<'a> {
    session: &'a Session,
    args: &'a DoctorArgs,
    clock: Clock,
    outside: Option<Http>,
    progress: Progress,
}

impl Doctor<'_> {
    /// Everything, in the order in which it is told.
    async fn examine(&self) -> Result<Vec<Finding>> {
        let client = self.session.client();
        let mut found = vec![
            self.progress
                .during("the API server", reachable(&client))
                .await,
        ];
        if found[0].state == State::Failed {
            return Ok(found);
        }
        let definitions = self
            .progress
            .during("the definitions", cluster::definitions_of(&client))
            .await;
        let unserved = definitions
            .iter()
            .any(|one| matches!(one.live, Ok(None)) && definitions::is_of_canaries(one));
        found.extend(definitions.iter().map(definitions::judge));
        let install = self
            .progress
            .during("the controller", self.controller(&client, &mut found))
            .await;
        let (objects, webhook) = self
            .progress
            .during("the gate", cluster::admission(&client, &install))
            .await;
        found.extend(gate::judge(&objects, &webhook, &install));
        let canaries = if unserved {
            Vec::new()
        } else {
            self.canaries(&mut found).await?
        };
        let needs = self.visit(&client, &install, canaries, &mut found).await;
        found.extend(self.rights(&client, &install, needs).await);
        Ok(found)
    }

    /// Whether a controller works, and how it is installed.
    async fn controller(&self, client: &Client, found: &mut Vec<Finding>) -> Install {
        let deployment = cluster::controller(client, &self.args.lease_namespace).await;
        let install = match &deployment {
            Ok(Some(live)) => Install::of(live),
            _ => Install {
                namespace: self.args.lease_namespace.clone(),
                lease: Some(self.args.lease_namespace.clone()),
                ..Install::default()
            },
        };
        let lease = match &install.lease {
            Some(namespace) => Some(cluster::lease(client, namespace, self.clock).await),
            None => None,
        };
        let version = cluster::version(client, &install).await;
        found.extend(controller::judge(
            &deployment,
            lease.as_ref(),
            &version,
            &install,
        ));
        install
    }

    /// The Canaries that were asked for.
    async fn canaries(&self, found: &mut Vec<Finding>) -> Result<Vec<Canary>> {
        if !self.args.names.is_empty() {
            let mut chosen = Vec::new();
            for name in &self.args.names {
                chosen.push(find::canary(self.session, name).await?);
            }
            return Ok(chosen);
        }
        let all = if self.args.all_namespaces {
            self.session
                .all::<Canary>()
                .list(&ListParams::default())
                .await
        } else {
            self.session
                .api::<Canary>()
                .list(&ListParams::default())
                .await
        };
        Ok(all.map_or_else(
            |error| {
                let what = format!("Canaries cannot be listed: {}", look::words(error));
                let fix = "the roles serin-view and view give the right to";
                found.push(Finding::unknown(Check::Canary, what, Fix::say(fix)));
                Vec::new()
            },
            |list| list.items,
        ))
    }

    /// Looks at the Canaries; what they need of Serin's rights.
    async fn visit(
        &self,
        client: &Client,
        install: &Install,
        canaries: Vec<Canary>,
        found: &mut Vec<Finding>,
    ) -> Needed {
        if canaries.is_empty() {
            if found.iter().all(|one| one.check != Check::Canary) {
                found.push(Finding::ok(Check::Canary, self.nobody()));
            }
            return Needed::default();
        }
        let reader = Reader {
            client,
            space: self.space(),
            groups: groups(client).await,
        };
        let spaces: BTreeSet<_> = canaries.iter().map(Canary::home).collect();
        let scene = self
            .progress
            .during("what is around the Canaries", reader.scene(canaries))
            .await;
        let visit = Visit {
            client,
            install,
            outside: self.outside.as_ref(),
            clock: self.clock,
            scene: &scene,
        };
        found.extend(self.progress.during("each Canary", visit.all()).await);
        Needed {
            rights: visit.needs(),
            spaces: spaces.into_iter().collect(),
        }
    }

    fn nobody(&self) -> String {
        match self.space() {
            Some(space) => format!("there is none in namespace {space}; -A looks everywhere"),
            None => "there is none in this cluster".to_owned(),
        }
    }

    fn space(&self) -> Option<&str> {
        (!self.args.all_namespaces).then_some(self.session.namespace.as_str())
    }

    async fn rights(&self, client: &Client, install: &Install, needed: Needed) -> Vec<Finding> {
        let all = rights::of_serin();
        let verbs: Vec<Right> = all
            .iter()
            .filter(|right| right.role == "serin-verbs")
            .cloned()
            .collect();
        let lacking = cluster::lacking(client, install, all, &needed.spaces);
        let lacking = self
            .progress
            .during("the rights of Serin's account", lacking)
            .await;
        let mut found = rights::judge(&lacking, needed.rights, install);
        let (space, place) = match self.space() {
            Some(space) => (space, format!("in namespace {space}")),
            None => ("", "in all namespaces".to_owned()),
        };
        let yours = cluster::yours(client, verbs, space).await;
        found.push(rights::yours(&yours, &place));
        found
    }
}

/// What Canaries need of Serin's account, and where.
#[derive(Debug, Default)]
struct Needed {
    rights: rights::Needs,
    spaces: Vec<String>,
}

async fn reachable(client: &Client) -> Finding {
    match client.apiserver_version().await {
        Ok(version) => Finding::ok(
            Check::Cluster,
            format!("Kubernetes {} answers", version.git_version),
        ),
        Err(error) => {
            let error = anyhow::Error::new(error);
            let what = format!("the API server does not answer: {}", exit::words(&error));
            let hint = exit::hint(&error).unwrap_or_default();
            let hint = hint.trim_start_matches("hint: ");
            let fix = if hint.is_empty() {
                "see whether `kubectl cluster-info` works with the same --context"
            } else {
                hint
            };
            Finding::failed(Check::Cluster, what, Fix::say(fix))
        }
    }
}

/// The groups of the API server, if it says.
async fn groups(client: &Client) -> Option<BTreeSet<String>> {
    let all = client.list_api_groups().await.ok()?;
    Some(all.groups.into_iter().map(|group| group.name).collect())
}

#[cfg(test)]
mod tests;
