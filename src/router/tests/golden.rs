//! One folder per story in `tests/golden/router/<provider>`: `in.yaml` holds a Canary and the objects of the cluster,
//! `out.yaml` what the router says and writes.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::Change;
use crate::rollout::observed::{Routes, Weight};
use crate::router::tests::world::{World, split};
use crate::router::{Router, RouterError, for_provider};

/// Every story of a provider: its folder, its Canary and its cluster.
pub(super) fn stories(provider: &str) -> Vec<(PathBuf, Canary, World)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/router")
        .join(provider.split(':').next().unwrap());
    let entries = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let read = |folder: PathBuf| {
        let text = std::fs::read_to_string(folder.join("in.yaml")).unwrap();
        let mut documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let canary: Canary = serde_json::from_value(documents.remove(0)).unwrap();
        (folder, canary, World::of(documents))
    };
    let is_told = |(_, canary, _): &(PathBuf, Canary, World)| canary.provider(provider) == provider;
    folders.into_iter().map(read).filter(is_told).collect()
}

/// Tells every story of a provider: what is observed, what a weight writes, what is read afterwards, what the end gives back.
fn tell(provider: &str, percent: u8) {
    let router = for_provider(provider).unwrap();
    for (story, canary, world) in stories(provider) {
        let told = story_of(router.as_ref(), &canary, world, percent);
        let told = serde_saphyr::to_string(&told).unwrap();
        expect_file![story.join("out.yaml")].assert_eq(&told);
    }
}

/// What the Canary of a story asks for beside a share.
pub(super) fn asked(canary: &Canary, percent: u8) -> Routes {
    let analysis = &canary.spec.analysis;
    let mirror = i32::from(analysis.mirror) * analysis.mirror_weight.unwrap_or(100);
    let status = canary.status.as_ref();
    let step = status.and_then(|status| status.plan.first());
    Routes {
        matched: !analysis.matches.is_empty(),
        headers: step.map(|step| step.header_routes).unwrap_or_default(),
        mirror: Weight::new(u8::try_from(mirror).unwrap()),
        ..split(percent)
    }
}

fn story_of(router: &dyn Router, canary: &Canary, mut world: World, percent: u8) -> Value {
    let problems: Vec<String> = router
        .problems(canary, &world.seen())
        .into_iter()
        .map(|problem| format!("{}: {}", problem.reason, problem.message))
        .collect();
    let mut told = json!({"1 problems": problems, "2 observed": observed(router, canary, &world)});
    match router.render(canary, &world.live, asked(canary, percent)) {
        Ok(changes) => {
            told[format!("3 written for {percent}")] = changes.iter().map(spoken).collect();
            world.apply(changes);
        }
        Err(error) => told[format!("3 written for {percent}")] = json!(error.to_string()),
    }
    told["4 observed"] = observed(router, canary, &world);
    world.serve(canary);
    let changes = router.finalize(canary, &world.live).unwrap();
    told["5 given back"] = changes.iter().map(spoken).collect();
    told
}

fn observed(router: &dyn Router, canary: &Canary, world: &World) -> Value {
    match router.observe(canary, &world.seen()) {
        Ok(None) => json!("no route"),
        Ok(Some(split)) => json!({
            "canary": split.routes.map(|routes| match routes.beside() {
                true => json!(routes.to_string()),
                false => json!(routes.canary.percent()),
            }),
            "acceptance": format!("{:?}", split.acceptance),
            "editor": split.editor,
        }),
        Err(RouterError::Refused(problem)) => {
            json!(format!("{}: {}", problem.reason, problem.message))
        }
        Err(error) => json!(error.to_string()),
    }
}

fn spoken(change: &Change) -> Value {
    match change {
        Change::Apply(object) => json!({"apply": object}),
        Change::PatchWithoutTrace(key, patch) => {
            json!({"patch": key.to_string(), "operations": patch})
        }
        Change::Delete(key, uid) => json!({"delete": key.to_string(), "uid": uid}),
        other => panic!("no router writes {other:?}"),
    }
}

#[test]
fn apisix_writes_as_on_file() {
    tell("apisix", 10);
}

#[test]
fn contour_writes_as_on_file() {
    tell("contour", 10);
}

#[test]
fn gatewayapi_writes_as_on_file() {
    tell("gatewayapi:v1", 10);
}

#[test]
fn gloo_writes_as_on_file() {
    tell("gloo", 10);
}

#[test]
fn istio_writes_as_on_file() {
    tell("istio", 10);
}

#[test]
fn kubernetes_writes_as_on_file() {
    tell("kubernetes", 100);
}

#[test]
fn kuma_writes_as_on_file() {
    tell("kuma", 10);
}

#[test]
fn linkerd_writes_as_on_file() {
    tell("linkerd", 10);
}

#[test]
fn nginx_writes_as_on_file() {
    tell("nginx", 10);
}

#[test]
fn none_writes_as_on_file() {
    tell("none", 10);
}

#[test]
fn skipper_writes_as_on_file() {
    tell("skipper", 10);
}

#[test]
fn smi_writes_as_on_file() {
    tell("smi:v1alpha1", 10);
    tell("smi:v1alpha2", 10);
    tell("smi:v1alpha3", 10);
}

#[test]
fn traefik_writes_as_on_file() {
    tell("traefik", 10);
}
