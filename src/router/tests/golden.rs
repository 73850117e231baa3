//! One folder per story in `tests/golden/router/<provider>`: `in.yaml` holds a Canary and the objects of the cluster,
//! `out.yaml` what the router says and writes.

use std::path::Path;

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::Change;
use crate::router::tests::world::{World, split};
use crate::router::{Router, RouterError, for_provider};

/// Tells every story of a provider: what is observed, what a weight writes, what is read afterwards, what the end gives back.
fn tell(provider: &str, percent: u8) {
    let router = for_provider(provider).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/router")
        .join(provider.split(':').next().unwrap());
    let mut stories: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    stories.sort();
    assert!(!stories.is_empty());
    for story in stories {
        let text = std::fs::read_to_string(story.join("in.yaml")).unwrap();
        let mut documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let canary: Canary = serde_json::from_value(documents.remove(0)).unwrap();
        let told = story_of(router.as_ref(), &canary, World::of(documents), percent);
        let told = serde_saphyr::to_string(&told).unwrap();
        expect_file![story.join("out.yaml")].assert_eq(&told);
    }
}

fn story_of(router: &dyn Router, canary: &Canary, mut world: World, percent: u8) -> Value {
    let problems: Vec<String> = router
        .problems(canary, &world.seen())
        .into_iter()
        .map(|problem| format!("{}: {}", problem.reason, problem.message))
        .collect();
    let mut told = json!({"1 problems": problems, "2 observed": observed(router, canary, &world)});
    match router.render(canary, &world.live, split(percent)) {
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
            "canary": split.routes.map(|routes| routes.canary.percent()),
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
fn gatewayapi_writes_as_on_file() {
    tell("gatewayapi:v1", 10);
}

#[test]
fn kubernetes_writes_as_on_file() {
    tell("kubernetes", 100);
}

#[test]
fn none_writes_as_on_file() {
    tell("none", 10);
}
