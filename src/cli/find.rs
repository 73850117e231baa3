//! From a name to a Canary and its target.

use anyhow::{Context, Result, bail};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DynamicObject;

use crate::cli::connect::Session;
use crate::cli::exit::Misuse;
use crate::cli::simulate::problem::meant;
use crate::crd::canary::Canary;
use crate::digest;
use crate::objects::{Deployment, Kind};

/// The Canary of this name, or the one whose target has it.
pub async fn canary(session: &Session, name: &str) -> Result<Canary> {
    match canary_if_any(session, name).await? {
        Some(canary) => Ok(canary),
        None => bail!(missing(session, bare(name)?).await),
    }
}

/// That there is none, and which one could be meant: of that name elsewhere, or with a similar one.
async fn missing(session: &Session, name: &str) -> String {
    // Who may not look elsewhere is told of this namespace alone.
    let everywhere = session.all::<Canary>().list(&ListParams::default()).await;
    let all = match everywhere {
        Ok(all) => Ok(all),
        Err(_) => session.api::<Canary>().list(&ListParams::default()).await,
    };
    let all = all.map(|all| all.items).unwrap_or_default();
    advice(&all, &session.namespace, name)
}

fn advice(all: &[Canary], namespace: &str, name: &str) -> String {
    let mut text = format!(
        "there is no Canary {name}, nor one for a workload of that name, in namespace {namespace}"
    );
    let names = |canary: &Canary| [canary.name_any(), canary.target_name().to_owned()];
    let elsewhere = all
        .iter()
        .filter(|canary| names(canary).contains(&name.to_owned()));
    let homes: Vec<_> = elsewhere.map(|canary| canary.home()).collect();
    let here = all.iter().filter(|canary| canary.home() == namespace);
    let here: Vec<_> = here.flat_map(names).collect();
    text.push_str(&match (
        homes.as_slice(),
        meant(name, here.iter().map(String::as_str)),
    ) {
        ([], Some(other)) => format!("; did you mean {other}?"),
        ([], None) if here.is_empty() => {
            "; that namespace has none: `serin get -A` lists all".to_owned()
        }
        ([], None) => "; `serin get` lists those that are there, `serin get -A` all".to_owned(),
        ([home], _) => format!("; there is one in namespace {home}: pass -n {home}"),
        (homes, _) => format!(
            "; there are some in the namespaces {}: pass -n",
            homes.join(", ")
        ),
    });
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_unknown_brings_another_to_mind() {
        let canary = |namespace: &str, name: &str, target: &str| -> Canary {
            let canary = serde_json::json!({
                "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": name, "namespace": namespace},
                "spec": {"targetRef": {"kind": "Deployment", "name": target}}
            });
            serde_json::from_value(canary).unwrap()
        };
        let all = [
            canary("shop", "checkout", "checkout"),
            canary("shop", "cart", "basket"),
            canary("bank", "ledger", "ledger"),
            canary("bank", "both", "both"),
            canary("mill", "both", "both"),
        ];
        let rows = [
            (
                "shop",
                "chekout",
                "in namespace shop; did you mean checkout?",
            ),
            ("shop", "baskets", "; did you mean basket?"),
            (
                "shop",
                "ledger",
                "; there is one in namespace bank: pass -n bank",
            ),
            (
                "shop",
                "both",
                "; there are some in the namespaces bank, mill: pass -n",
            ),
            (
                "shop",
                "zzz",
                "; `serin get` lists those that are there, `serin get -A` all",
            ),
            (
                "none",
                "zzz",
                "; that namespace has none: `serin get -A` lists all",
            ),
        ];
        for (namespace, name, expected) in rows {
            let text = advice(&all, namespace, name);
            assert!(text.ends_with(expected), "{text}");
        }
    }
}
