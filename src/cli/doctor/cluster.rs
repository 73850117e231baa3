//! Looks at what a cluster has of Serin: definitions, admission objects, the controller and its rights.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cli::doctor::controller::{Held, Install, chosen};
use crate::cli::doctor::definitions::Definition;
use crate::cli::doctor::gate::Admission;
use crate::cli::doctor::look::{self, Look, Named, resource, text};
use crate::cli::doctor::prometheus::{answered, own_words};
use crate::cli::doctor::rights::Right;
use crate::cli::doctor::shipped;
use crate::cli::stopped::{LEASE, STALE};
use crate::clock::Clock;
use crate::crd::definition::definitions;

/// A leader renews the lease within this time, whatever the clocks say.
const RENEWAL: Duration = Duration::from_secs(5);

const DEPLOYMENTS: Named<'static> = ("apps", "v1", "Deployment", "deployments");
const CRDS: Named<'static> = (
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
);
const LABEL: &str = "app.kubernetes.io/name=serin";

/// The definitions, as they are and as they should be.
pub(super) async fn definitions_of(client: &Client) -> Vec<Definition> {
    let all = definitions().into_iter().map(|one| json!(one)).collect();
    look::each(all, |shipped: Value| async move {
        let live = look::one(client, &resource(CRDS), text(&shipped, "/metadata/name")).await;
        Definition { shipped, live }
    })
    .await
}

/// The controller's Deployment: in the namespace where it should be, or anywhere.
pub(super) async fn controller(client: &Client, namespace: &str) -> Look<Value> {
    let of = async |space| {
        let mut found = Vec::new();
        let seen = look::visit(
            client,
            &resource(DEPLOYMENTS),
            (space, Some(LABEL)),
            |one| found.push(one),
        )
        .await;
        seen.map(|_| chosen(&found).cloned())
    };
    match of(Some(namespace)).await {
        Ok(None) => match of(None).await {
            // Who may look here alone has seen all that counts.
            Err(_) => Ok(None),
            everywhere => everywhere,
        },
        found => found,
    }
}

/// The lease: who holds it, and whether he still renews it. Where the times say no, it is looked at again.
pub(super) async fn lease(client: &Client, namespace: &str, clock: Clock) -> Look<Held> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let read = async || look::look(api.get(LEASE).await);
    let Some(first) = read().await? else {
        return Ok(None);
    };
    let spec = first.spec.unwrap_or_default();
    let age = spec.renew_time.map_or(Duration::MAX, |at| {
        Duration::try_from(clock.now().duration_since(at.0)).unwrap_or_default()
    });
    let mut held = Held {
        holder: spec.holder_identity.unwrap_or_default(),
        age,
        moved: false,
    };
    if held.age >= STALE && !held.holder.is_empty() {
        tokio::time::sleep(RENEWAL).await;
        let again = read().await?;
        held.moved = again.is_some_and(|again| {
            again.metadata.resource_version != first.metadata.resource_version
        });
    }
    Ok(Some(held))
}

/// The version that the controller's HTTP API tells.
pub(super) async fn version(client: &Client, install: &Install) -> Look<String> {
    for scheme in ["http", "https"] {
        let path = format!(
            "/api/v1/namespaces/{}/services/{scheme}:{}:http/proxy/openapi.json",
            install.namespace, install.name
        );
        let request = Request::get(path)
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let reply = answered(client, request).await?;
        match own_words(&reply) {
            Some((404, _)) => return Ok(None),
            Some((_, why)) => return Err(why),
            None => {}
        }
        let said: Value = serde_json::from_slice(reply.body()).unwrap_or_default();
        if let Some(version) = said["info"]["version"].as_str() {
            return Ok(Some(version.to_owned()));
        }
    }
    Ok(None)
}

/// The admission objects, and the gate as a webhook, as they are and as they should be.
pub(super) async fn admission(client: &Client, install: &Install) -> (Vec<Admission>, Admission) {
    let user = install.user();
    let all = shipped::admission(&user);
    let objects = look::each(all, |(file, shipped)| async move {
        let live = policy(client, &shipped).await;
        Admission {
            file,
            shipped,
            live,
        }
    })
    .await;
    let webhook = shipped::webhook(&user)
        .into_iter()
        .find(|one| one["kind"] == "MutatingWebhookConfiguration");
    let shipped = webhook.unwrap_or_default();
    let live = policy(client, &shipped).await;
    (
        objects,
        Admission {
            file: "deploy/older/webhook.yaml",
            shipped,
            live,
        },
    )
}

/// An admission object. Policies that change objects are `v1beta1` in 1.34 and 1.35.
async fn policy(client: &Client, shipped: &Value) -> Look<Value> {
    let kind = text(shipped, "/kind");
    let plural = match kind.strip_suffix("Policy") {
        Some(stem) => format!("{}policies", stem.to_lowercase()),
        None => format!("{}s", kind.to_lowercase()),
    };
    for version in ["v1", "v1beta1"] {
        let kind = resource(("admissionregistration.k8s.io", version, kind, &plural));
        if let Some(live) = look::one(client, &kind, text(shipped, "/metadata/name")).await? {
            return Ok(Some(live));
        }
    }
    Ok(None)
}

/// The rights that Serin's account lacks: everywhere, and then in these namespaces, too.
///
/// # Errors
/// When they cannot be asked for.
pub(super) async fn lacking(
    client: &Client,
    install: &Install,
    rights: Vec<Right>,
    spaces: &[String],
) -> Result<Vec<Right>, String> {
    let asked = look::each(rights, |right| async move {
        let allowed = allowed(client, install, &right, spaces).await;
        allowed.map(|allowed| (!allowed).then_some(right))
    })
    .await;
    let found: Result<Vec<_>, _> = asked.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

async fn allowed(
    client: &Client,
    install: &Install,
    right: &Right,
    spaces: &[String],
) -> Result<bool, String> {
    if right.of_lease {
        return match &install.lease {
            Some(lease) => may(client, install, right, lease).await,
            None => Ok(true),
        };
    }
    if may(client, install, right, "").await? {
        return Ok(true);
    }
    for space in spaces {
        if !may(client, install, right, space).await? {
            return Ok(false);
        }
    }
    Ok(!spaces.is_empty())
}

async fn may(
    client: &Client,
    install: &Install,
    right: &Right,
    space: &str,
) -> Result<bool, String> {
    let groups = ["system:serviceaccounts", "system:authenticated"].map(str::to_owned);
    let own = format!("system:serviceaccounts:{}", install.namespace);
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(install.user()),
            groups: Some(groups.into_iter().chain([own]).collect()),
            resource_attributes: Some(attributes(right, space)),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = api
        .create(&PostParams::default(), &review)
        .await
        .map_err(look::words)?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn attributes(right: &Right, space: &str) -> ResourceAttributes {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (resource, part) = right
        .resource
        .split_once('/')
        .unwrap_or((&right.resource, ""));
    ResourceAttributes {
        group: Some(right.group.clone()),
        resource: some(resource),
        subresource: some(part),
        verb: some(&right.verb),
        name: some(&right.name),
        namespace: some(space),
        ..ResourceAttributes::default()
    }
}

/// Which of these rights the person who asks has, by the part of the resource.
///
/// # Errors
/// When they cannot be asked for.
pub(super) async fn yours(
    client: &Client,
    rights: Vec<Right>,
    space: &str,
) -> Result<Vec<(String, bool)>, String> {
    let api: &Api<SelfSubjectAccessReview> = &Api::all(client.clone());
    let asked = look::each(rights, |right| async move {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes(&right, space)),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = api
            .create(&PostParams::default(), &review)
            .await
            .map_err(look::words)?;
        let part = right.resource.rsplit_once('/').map_or("", |(_, part)| part);
        Ok((
            part.to_owned(),
            answer.status.is_some_and(|status| status.allowed),
        ))
    })
    .await;
    asked.into_iter().collect()
}
