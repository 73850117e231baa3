//! What holds for every router, in each of its stories and for every weight.

use kube::core::DynamicObject;
use serde_json::Value;

use crate::crd::canary::Canary;
use crate::crd::names::PROVIDERS;
use crate::objects::{Change, ObjectKey, mark};
use crate::rollout::observed::Routes;
use crate::router::tests::golden::{asked, stories};
use crate::router::tests::world::{World, split};
use crate::router::{Router, for_provider};

/// Weights that the providers can write.
fn percents(provider: &str) -> Vec<u8> {
    match provider {
        "kubernetes" => vec![0, 100],
        _ => (0..=100).collect(),
    }
}

/// Every weight, with and without what the Canary asks for beside it.
fn asked_by(router: &dyn Router, provider: &str, canary: &Canary, world: &World) -> Vec<Routes> {
    let problems = router.problems(canary, &world.seen());
    let refused = problems
        .iter()
        .any(|problem| problem.message.starts_with("spec.analysis."));
    let asked = |percent| {
        if refused {
            split(percent)
        } else {
            asked(canary, percent)
        }
    };
    let both = |percent| [split(percent), asked(percent)];
    let mut all: Vec<Routes> = percents(provider).into_iter().flat_map(both).collect();
    all.dedup();
    all
}

fn each(tell: impl Fn(&dyn Router, &str, &Canary, &World)) {
    let mut told = 0;
    // The weight of workers stands on their Deployment, which no router writes.
    for provider in PROVIDERS.into_iter().filter(|it| *it != "none") {
        let router = for_provider(provider).unwrap();
        for (_, canary, world) in stories(provider) {
            tell(router.as_ref(), provider, &canary, &world);
            told += 1;
        }
    }
    assert!(told > 20);
}

/// observe(apply(render(r))).routes = r, and what stands is not written again.
#[test]
fn what_is_written_is_what_is_read() {
    each(|router, provider, canary, world| {
        let mut world = world.clone();
        for routes in asked_by(router, provider, canary, &world) {
            let Ok(changes) = router.render(canary, &world.live, routes) else {
                continue;
            };
            world.apply(changes);
            let seen = router.observe(canary, &world.seen());
            let Ok(Some(seen)) = seen else {
                assert!(!routes.reach(), "{provider}: {seen:?}");
                continue;
            };
            if seen.routes.is_some() || routes.reach() {
                assert_eq!(seen.routes, Some(routes), "{provider}");
            }
            let again = router.render(canary, &world.live, routes).unwrap();
            assert!(again.is_empty(), "{provider}, {routes}: {again:?}");
        }
    });
}

/// After the end nothing leads to the canary, and of what is the user's nothing differs but weights.
#[test]
fn at_the_end_everything_is_given_back() {
    each(|router, provider, canary, world| {
        let mut world = world.clone();
        world.serve(canary);
        let before = world.clone();
        for routes in asked_by(router, provider, canary, &world) {
            if let Ok(changes) = router.render(canary, &world.live, routes) {
                world.apply(changes);
            }
        }
        let changes = router.finalize(canary, &world.live).unwrap();
        world.apply(changes);
        for (key, object) in &world.live {
            if !key.kind.is_route() {
                continue;
            }
            if let Some(standing) = before.live.get(key).filter(|it| !is_ours(it)) {
                assert_eq!(weightless(standing), weightless(object), "{key}");
            } else {
                let text = object.data["spec"].to_string();
                let name = format!("\"{}\"", canary.canary_service_name());
                assert!(!text.contains(&name), "{provider}: {key} says {text}");
            }
        }
    });
}

/// Whatever Serin makes is marked, and nothing else is ever replaced or deleted.
#[test]
fn only_what_is_marked_is_replaced_or_deleted() {
    each(|router, provider, canary, world| {
        let mut world = world.clone();
        for routes in asked_by(router, provider, canary, &world).into_iter().rev() {
            let Ok(changes) = router.render(canary, &world.live, routes) else {
                continue;
            };
            for change in &changes {
                match change {
                    Change::Apply(object) => assert!(is_ours(object), "{provider}: {object:?}"),
                    Change::Delete(key, _) => assert!(is_ours(&world.live[key]), "{key}"),
                    Change::PatchWithoutTrace(key, _) => assert!(is_there(&world, key)),
                    other => panic!("{other:?}"),
                }
            }
            world.apply(changes);
        }
    });
}

fn is_there(world: &World, key: &ObjectKey) -> bool {
    world.live.contains_key(key)
}

fn is_ours(object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(mark::CANARY_UID))
}

/// An object's spec with every weight taken out, and the annotations that somebody else wrote.
fn weightless(object: &DynamicObject) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("weight");
                fields.values_mut().for_each(strip);
            }
            Value::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut spec = object.data["spec"].clone();
    strip(&mut spec);
    let annotations = object.metadata.annotations.clone().unwrap_or_default();
    serde_json::json!({"spec": spec, "annotations": annotations})
}
