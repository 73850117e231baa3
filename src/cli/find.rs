//! From a name to a Canary and its target.

use anyhow::{Context, Result, bail};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DynamicObject;

use crate::cli::connect::Session;
use crate::cli::exit::Misuse;
use crate::crd::canary::Canary;
use crate::digest;
use crate::objects::{Deployment, Kind};

/// The Canary of this name, or the one whose target has it.
pub async fn canary(session: &Session, name: &str) -> Result<Canary> {
    let found = canary_if_any(session, name).await?;
    found.with_context(|| {
        format!(
            "there is no Canary {name}, nor one for a workload of that name, in namespace {}; `serin get -A` lists all",
            session.namespace
        )
    })
}

/// The same, where there may be none.
pub async fn canary_if_any(session: &Session, name: &str) -> Result<Option<Canary>> {
    let name = bare(name)?;
    let api = session.api::<Canary>();
    let by_name = api.get_opt(name).await.context("read the Canary")?;
    if by_name.is_some() {
        return Ok(by_name);
    }
    let all = api
        .list(&ListParams::default())
        .await
        .context("list Canaries")?;
    let mut of_target: Vec<_> = all
        .items
        .into_iter()
        .filter(|canary| canary.target_name() == name)
        .collect();
    if of_target.len() > 1 {
        let names: Vec<_> = of_target.iter().map(ResourceExt::name_any).collect();
        bail!(Misuse(format!(
            "{name} is the target of several Canaries: name one of {}",
            names.join(", ")
        )));
    }
    Ok(of_target.pop())
}

/// The name alone of `canary/NAME` or `deployment/NAME`.
pub fn bare(text: &str) -> Result<&str> {
    let Some((kind, name)) = text.split_once('/') else {
        return Ok(text);
    };
    match kind {
        "canary" | "canaries" | "cn" | "canary.serin.dev" | "deployment" | "deployments"
        | "deploy" | "deployment.apps" => Ok(name),
        _ => bail!(Misuse(format!(
            "{text:?} is neither a Canary nor a Deployment"
        ))),
    }
}

/// The Deployment of this name, whole; `None`: there is none.
pub async fn deployment(session: &Session, name: &str) -> Result<Option<DynamicObject>> {
    let api = session.objects(Kind::Deployment);
    api.get_opt(name)
        .await
        .with_context(|| format!("read deployment/{name}"))
}

/// The target as decisions see it; `None`: it does not exist.
pub async fn target(session: &Session, canary: &Canary) -> Result<Option<Deployment>> {
    let object = deployment(session, canary.target_name()).await?;
    object.as_ref().map(understand).transpose()
}

/// What decisions need of a Deployment.
pub fn understand(object: &DynamicObject) -> Result<Deployment> {
    let name = object.name_any();
    let value = serde_json::to_value(object).with_context(|| format!("read deployment/{name}"))?;
    digest::deployment(&value).with_context(|| format!("read deployment/{name}"))
}
