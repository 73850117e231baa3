//! Tests of policies: those of `deploy` in the situations of the conformance scripts, and the rest of the language.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::sim::admission::review::{Operation, Review};
use crate::sim::admission::{Admission, Mutator, wrong};
use crate::sim::refusal::Refusal;
use crate::sim::store::{Key, Store};

const SERIN: &str = "system:serviceaccount:serin-system:serin";
const PLURALS: [(&str, &str); 3] = [("Policy", "policies"), ("Canary", "canaries"), ("", "s")];

/// What `deploy` brings, read once for all tests.
static DEPLOYED: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let files = [
        "deploy/gate.yaml",
        "deploy/requests.yaml",
        "deploy/rbac.yaml",
    ];
    files.iter().flat_map(|file| documents(file)).collect()
});

/// A cluster that has the policies and roles of `deploy` and nothing else to do.
struct World {
    store: Store,
    admission: Admission,
    mutators: Vec<Box<dyn Mutator>>,
}

/// Who writes, and how.
#[derive(Clone, Copy)]
struct By {
    user: &'static str,
    manager: &'static str,
    dry_run: bool,
}

const PERSON: By = By {
    user: "root",
    manager: "",
    dry_run: false,
};
const OPERATOR: By = By {
    user: SERIN,
    ..PERSON
};

const fn with(manager: &'static str) -> By {
    By { manager, ..PERSON }
}

fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

/// A key from an object, whose plural is regular.
fn key_of(object: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let (tail, plural) = PLURALS
        .iter()
        .find(|(tail, _)| kind.ends_with(tail))
        .unwrap();
    let stem = kind.strip_suffix(tail).unwrap();
    let begin = if *tail == "Policy" || tail.is_empty() {
        stem.to_lowercase()
    } else {
        String::new()
    };
    let version = text(&object["apiVersion"]);
    Key {
        group: version
            .rsplit_once('/')
            .map(|(group, _)| group.to_owned())
            .unwrap_or_default(),
        plural: format!("{begin}{plural}"),
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
    }
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "apps", "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"replicas": 2, "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]},
    })
}

fn web() -> Key {
    Key::new("apps", "deployments", "apps", "web")
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            store: Store::default(),
            admission: Admission::default(),
            mutators: Vec::new(),
        };
        for object in DEPLOYED.iter() {
            world.put(object.clone());
        }
        world.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps", "labels": {"team": "a"}}}));
        world.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cluster-admin"},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}));
        for (user, role) in [
            ("root", "cluster-admin"),
            ("olga", "serin-operator"),
            ("ed", "serin-edit"),
            ("ada", "serin-admin"),
        ] {
            world.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": user, "namespace": "apps"}, "roleRef": {"kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "name": user}]}));
        }
        world
    }

    /// With a Deployment that serves 1.0, armed.
    fn armed() -> Self {
        let mut world = Self::new();
        world.fresh();
        world
    }

    fn fresh(&mut self) {
        self.put(deployment("1.0"));
        assert_eq!(
            self.write(OPERATOR, &web(), |object| label(
                object,
                "serin.dev/gate",
                "x"
            )),
            "accepted"
        );
    }

    fn put(&mut self, object: Value) {
        self.store.put(key_of(&object), object);
    }

    fn get(&self, key: &Key) -> Value {
        Value::clone(&self.store.get(key).unwrap())
    }

    fn write(&mut self, by: By, key: &Key, change: impl FnOnce(&mut Value)) -> String {
        self.part(by, key, "", change)
    }

    /// Changes an object or a part of it; what came of it.
    fn part(
        &mut self,
        by: By,
        key: &Key,
        subresource: &str,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let old = self.get(key);
        let mut object = old.clone();
        change(&mut object);
        outcome(self.admit(by, key, subresource, (Some(&object), Some(&old))))
    }

    fn create(&mut self, by: By, object: &Value) -> String {
        outcome(self.admit(by, &key_of(object), "", (Some(object), None)))
    }

    fn delete(&mut self, by: By, key: &Key) -> String {
        let old = self.get(key);
        outcome(self.admit(by, key, "", (None, Some(&old))))
    }

    fn admit(
        &mut self,
        by: By,
        key: &Key,
        subresource: &str,
        objects: (Option<&Value>, Option<&Value>),
    ) -> Result<Value, Refusal> {
        let (object, old) = objects;
        let operation = match objects {
            (Some(_), None) => Operation::Create,
            (Some(_), Some(_)) => Operation::Update,
            (None, _) => Operation::Delete,
        };
        let kind = object
            .or(old)
            .and_then(|object| object["kind"].as_str())
            .unwrap()
            .to_owned();
        let review = Review {
            operation,
            key,
            version: "v1",
            kind: &kind,
            subresource,
            user: by.user,
            groups: &[],
            manager: by.manager,
            dry_run: by.dry_run,
            object,
            old,
        };
        let changed = self
            .admission
            .mutate(&self.store, &review, &self.mutators)?;
        let changed = changed.or_else(|| object.cloned());
        self.admission.validate(
            &self.store,
            &Review {
                object: changed.as_ref(),
                ..review
            },
        )?;
        match changed {
            Some(changed) if !by.dry_run => Ok(Value::clone(&self.store.put(key.clone(), changed))),
            Some(changed) => Ok(changed),
            None => Ok(Value::Null),
        }
    }

    fn image(&mut self, image: &str) -> String {
        self.write(PERSON, &web(), |object| set_image(object, image))
    }

    fn release(&mut self) -> String {
        self.write(OPERATOR, &web(), |object| {
            unlabel(object, "serin.dev/held");
            object["spec"]["paused"] = json!(false);
        })
    }

    /// The version in the template, and the marks.
    fn state(&self) -> String {
        let object = self.get(&web());
        let labels = &object["metadata"]["labels"];
        let mut words = vec![
            object["spec"]["template"]["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap(),
        ];
        words.extend((object["spec"]["paused"] == true).then_some("paused"));
        let marks = ["held", "reverting", "contested"];
        words.extend(
            marks
                .into_iter()
                .filter(|mark| labels[format!("serin.dev/{mark}")] == "true"),
        );
        words.extend((labels["serin.dev/gate"] == "x").then_some("gated"));
        words.join(" ")
    }
}

fn outcome(result: Result<Value, Refusal>) -> String {
    result.map_or_else(
        |refusal| format!("{} {}", refusal.code, refusal.message),
        |_| "accepted".to_owned(),
    )
}

fn set_image(object: &mut Value, image: &str) {
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
}

fn label(object: &mut Value, name: &str, value: &str) {
    object["metadata"]["labels"][name] = json!(value);
}

fn unlabel(object: &mut Value, name: &str) {
    object["metadata"]["labels"]
        .as_object_mut()
        .unwrap()
        .remove(name);
}

fn note(object: &mut Value, name: &str, value: &str) {
    object["metadata"]["annotations"][name] = json!(value);
}

fn template_note(object: &mut Value) {
    object["spec"]["template"]["metadata"]["annotations"] = json!({"late": "1"});
}

/// A whole manifest, as `kubectl replace` writes it: annotations and labels of others are gone.
fn replace(object: &mut Value, image: &str, labels: Value, paused: Option<bool>) {
    let mut manifest = deployment(image);
    manifest["metadata"]["labels"] = labels;
    manifest["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    if let Some(paused) = paused {
        manifest["spec"]["paused"] = json!(paused);
    }
    manifest["status"] = object["status"].clone();
    *object = manifest;
}

/// What is done to an armed Deployment, by whom, and what comes of it: its state, or a part of the refusal.
type Row = (&'static str, By, fn(&mut Value), &'static str);

/// Each row starts where `begin` leaves the Deployment.
fn check(begin: impl Fn(&mut World), rows: &[Row]) {
    for (name, by, change, wanted) in rows {
        let mut world = World::armed();
        begin(&mut world);
        let said = world.write(*by, &web(), change);
        let got = if said == "accepted" {
            world.state()
        } else {
            said
        };
        assert!(
            got == *wanted || (wanted.len() > 25 && got.contains(wanted)),
            "{name}: {got}\nwanted {wanted}"
        );
    }
}

const FOREIGN: &str = "only labels and annotations named serin.dev";
const BY_GATE: &str = "the label serin.dev/held is set by the gate only";
const REVERTING: &str = "the label serin.dev/reverting is set and removed by Serin only";
const NO_RESUME: &str = "is held for canary analysis and cannot be resumed";

const IDLE: &[Row] = &[
    (
        "an image",
        PERSON,
        |o| set_image(o, "2.0"),
        "2.0 paused held gated",
    ),
    (
        "apply",
        with("kubectl-client-side-apply"),
        |o| set_image(o, "2.0"),
        "2.0 paused held gated",
    ),
    ("restart", PERSON, template_note, "1.0 paused held gated"),
    (
        "replace without labels",
        with("kubectl-replace"),
        |o| replace(o, "2.0", json!({}), None),
        "2.0 paused held gated",
    ),
    (
        "the same manifest keeps the gate",
        with("kubectl-replace"),
        |o| replace(o, "1.0", json!({}), None),
        "1.0 gated",
    ),
    (
        "labels are free",
        PERSON,
        |o| label(o, "team", "x"),
        "1.0 gated",
    ),
    (
        "annotations are free",
        PERSON,
        |o| note(o, "a", "b"),
        "1.0 gated",
    ),
    (
        "the rest of the spec is free",
        PERSON,
        |o| o["spec"]["minReadySeconds"] = json!(1),
        "1.0 gated",
    ),
    (
        "a pause",
        PERSON,
        |o| o["spec"]["paused"] = json!(true),
        "1.0 paused gated",
    ),
    (
        "pause and edit in one write",
        PERSON,
        |o| {
            set_image(o, "2.0");
            o["spec"]["paused"] = json!(true);
        },
        "2.0 paused gated",
    ),
    (
        "held set by a person",
        PERSON,
        |o| label(o, "serin.dev/held", "true"),
        BY_GATE,
    ),
    (
        "reverting set by a person",
        PERSON,
        |o| label(o, "serin.dev/reverting", "true"),
        REVERTING,
    ),
    (
        "marks in a full manifest are dropped",
        PERSON,
        |o| {
            note(o, "z", "1");
            label(o, "serin.dev/held", "true");
            label(o, "serin.dev/reverting", "true");
        },
        "1.0 gated",
    ),
    (
        "a bypass with the template",
        PERSON,
        |o| {
            set_image(o, "2.0");
            label(o, "serin.dev/bypass", "true");
        },
        "2.0 gated",
    ),
    (
        "an annotation of that name",
        PERSON,
        |o| {
            set_image(o, "2.0");
            note(o, "serin.dev/bypass", "true");
        },
        "2.0 paused held gated",
    ),
    (
        "the gate goes alone",
        PERSON,
        |o| unlabel(o, "serin.dev/gate"),
        "1.0",
    ),
    (
        "another gate",
        PERSON,
        |o| label(o, "serin.dev/gate", "y"),
        "the label serin.dev/gate can only be removed, and only in a write of its own",
    ),
    (
        "the gate goes with a template",
        PERSON,
        |o| {
            set_image(o, "2.0");
            unlabel(o, "serin.dev/gate");
        },
        "2.0 paused held gated",
    ),
    (
        "what is being deleted is free",
        PERSON,
        |o| o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        "1.0 gated",
    ),
];

#[test]
fn an_idle_deployment_is_held_when_its_template_changes() {
    check(|_| {}, IDLE);
}

const HELD: &[Row] = &[
    (
        "another image",
        PERSON,
        |o| set_image(o, "3.0"),
        "3.0 paused held gated",
    ),
    (
        "stable put back",
        PERSON,
        |o| set_image(o, "1.0"),
        "1.0 paused held gated",
    ),
    (
        "resume",
        PERSON,
        |o| o["spec"]["paused"] = json!(false),
        NO_RESUME,
    ),
    (
        "... without the field",
        PERSON,
        |o| drop(o["spec"].as_object_mut().unwrap().remove("paused")),
        NO_RESUME,
    ),
    (
        "apply with paused: false",
        with("kubectl-client-side-apply"),
        |o| o["spec"]["paused"] = json!(false),
        "2.0 paused held gated",
    ),
    (
        "replace with paused: false",
        with("kubectl-replace"),
        |o| replace(o, "2.0", json!({"app": "web"}), Some(false)),
        "2.0 paused held gated",
    ),
    (
        "replace without labels",
        with("kubectl-replace"),
        |o| replace(o, "2.0", json!({}), None),
        "2.0 paused held gated",
    ),
    (
        "Terraform writes more than paused",
        with("Terraform"),
        |o| {
            o["spec"]["paused"] = json!(false);
            o["spec"]["replicas"] = json!(3);
            note(o, "tf", "1");
        },
        "2.0 paused held gated",
    ),
    (
        "a server-side apply with paused: false",
        with("two"),
        |o| {
            o["spec"]["paused"] = json!(false);
            o["metadata"]["managedFields"] = json!([{"manager": "two", "operation": "Apply"}]);
        },
        "2.0 paused held gated",
    ),
    (
        "an unnamed writer beside Terraform",
        PERSON,
        |o| {
            o["spec"]["paused"] = json!(false);
            o["metadata"]["managedFields"] =
                json!([{"manager": "HashiCorp", "operation": "Update"}]);
        },
        "2.0 paused held gated",
    ),
    (
        "replicas",
        PERSON,
        |o| o["spec"]["replicas"] = json!(3),
        "2.0 paused held gated",
    ),
    (
        "held taken away",
        PERSON,
        |o| unlabel(o, "serin.dev/held"),
        "the label serin.dev/held goes when the hold ends",
    ),
    (
        "the gate taken away with an annotation",
        PERSON,
        |o| {
            unlabel(o, "serin.dev/gate");
            note(o, "a", "b");
        },
        "2.0 paused held gated",
    ),
    (
        "break glass",
        PERSON,
        |o| {
            unlabel(o, "serin.dev/gate");
            unlabel(o, "serin.dev/held");
        },
        "2.0 paused",
    ),
    (
        "a bypass while held",
        PERSON,
        |o| {
            set_image(o, "1.0");
            label(o, "serin.dev/bypass", "i");
        },
        "1.0 gated",
    ),
    (
        "a release",
        OPERATOR,
        |o| {
            unlabel(o, "serin.dev/held");
            o["spec"]["paused"] = json!(false);
        },
        "2.0 gated",
    ),
    (
        "a release of another template",
        OPERATOR,
        |o| {
            unlabel(o, "serin.dev/held");
            o["spec"]["paused"] = json!(false);
            set_image(o, "3.0");
        },
        "a release ships what was there before it",
    ),
    (
        "Serin puts stable back",
        OPERATOR,
        |o| {
            set_image(o, "1.0");
            label(o, "serin.dev/reverting", "true");
        },
        "1.0 paused held reverting gated",
    ),
];

#[test]
fn a_held_deployment_stays_held() {
    let begin = |world: &mut World| assert_eq!(world.image("2.0"), "accepted");
    check(begin, HELD);
}

#[test]
fn a_pause_of_a_person_is_kept_and_its_end_becomes_a_hold() {
    let begin = |world: &mut World| {
        assert_eq!(
            world.write(PERSON, &web(), |o| o["spec"]["paused"] = json!(true)),
            "accepted"
        );
    };
    check(
        begin,
        &[
            (
                "an edit",
                PERSON,
                |o| set_image(o, "2.0"),
                "2.0 paused gated",
            ),
            (
                "its end",
                PERSON,
                |o| o["spec"]["paused"] = json!(false),
                "1.0 paused held gated",
            ),
            (
                "its end with a scaling",
                PERSON,
                |o| {
                    o["spec"]["paused"] = json!(false);
                    o["spec"]["replicas"] = json!(3);
                },
                "1.0 paused held gated",
            ),
            (
                "a full spec that drops it",
                with("kubectl-replace"),
                |o| replace(o, "2.0", json!({"app": "web"}), None),
                "2.0 paused held gated",
            ),
            (
                "Serin does not end it",
                OPERATOR,
                |o| o["spec"]["paused"] = json!(false),
                "Serin does not touch a pause that is not its own",
            ),
        ],
    );
}

#[test]
fn while_serin_reverts_a_template_is_refused_or_noted() {
    let begin = |world: &mut World| {
        world.image("2.0");
        world.write(OPERATOR, &web(), |o| {
            set_image(o, "1.0");
            label(o, "serin.dev/reverting", "true");
        });
        assert_eq!(world.release(), "accepted");
        assert_eq!(world.state(), "1.0 reverting gated");
    };
    check(
        begin,
        &[
            (
                "a person's template",
                PERSON,
                |o| set_image(o, "3.0"),
                "Serin is putting the stable revision back",
            ),
            (
                "a GitOps writer's",
                with("argocd-controller"),
                |o| set_image(o, "3.0"),
                "1.0 reverting contested gated",
            ),
            (
                "the mark",
                PERSON,
                |o| unlabel(o, "serin.dev/reverting"),
                REVERTING,
            ),
            (
                "the mark, by Serin",
                OPERATOR,
                |o| unlabel(o, "serin.dev/reverting"),
                "1.0 gated",
            ),
        ],
    );
}

#[test]
fn a_bypass_counts_once_per_value() {
    let mut world = World::armed();
    world.write(PERSON, &web(), |o| label(o, "serin.dev/bypass", "true"));
    world.image("2.0");
    assert_eq!(
        world.state(),
        "2.0 paused held gated",
        "set before the template"
    );
    world.fresh();
    world.write(PERSON, &web(), |o| {
        set_image(o, "2.0");
        label(o, "serin.dev/bypass", "a");
    });
    world.image("3.0");
    assert_eq!(world.state(), "3.0 paused held gated", "left behind");
}

const LEASHED: &[Row] = &[
    ("a foreign label", OPERATOR, |o| label(o, "x", "y"), FOREIGN),
    (
        "a foreign annotation",
        OPERATOR,
        |o| note(o, "x", "y"),
        FOREIGN,
    ),
    (
        "a finalizer",
        OPERATOR,
        |o| o["metadata"]["finalizers"] = json!(["a.b/c"]),
        FOREIGN,
    ),
    (
        "its own annotation",
        OPERATOR,
        |o| note(o, "serin.dev/note", "y"),
        "1.0 gated",
    ),
    (
        "the rest of the spec",
        OPERATOR,
        |o| o["spec"]["minReadySeconds"] = json!(3),
        "changes only paused, replicas and the template",
    ),
    (
        "replicas down",
        OPERATOR,
        |o| o["spec"]["replicas"] = json!(1),
        "Serin never scales down a Deployment that is not its own",
    ),
    (
        "replicas up",
        OPERATOR,
        |o| o["spec"]["replicas"] = json!(3),
        "1.0 gated",
    ),
    (
        "a template when idle",
        OPERATOR,
        |o| set_image(o, "2.0"),
        "only while the Deployment is held or being reverted",
    ),
    (
        "a pause without a hold",
        OPERATOR,
        |o| o["spec"]["paused"] = json!(true),
        "Serin does not touch a pause that is not its own",
    ),
    (
        "canary-uid",
        OPERATOR,
        |o| label(o, "serin.dev/canary-uid", "1"),
        "is set when an object is created, and never changed",
    ),
    (
        "the gate",
        OPERATOR,
        |o| unlabel(o, "serin.dev/gate"),
        "1.0",
    ),
    (
        "a dry run is judged like anybody's",
        By {
            dry_run: true,
            ..OPERATOR
        },
        |o| label(o, "serin.dev/held", "true"),
        BY_GATE,
    ),
];

#[test]
fn the_leash_holds() {
    check(|_| {}, LEASHED);
    let mut world = World::armed();
    let mut own = deployment("1.0");
    own["metadata"]["name"] = json!("web-canary");
    own["metadata"]["labels"] = json!({"serin.dev/canary-uid": "1"});
    let key = key_of(&own);
    assert_eq!(world.create(OPERATOR, &own), "accepted");
    assert_eq!(
        world.write(OPERATOR, &key, |o| {
            o["spec"]["replicas"] = json!(0);
            label(o, "x", "y");
            set_image(o, "2.0");
        }),
        "accepted"
    );
    assert_eq!(world.delete(OPERATOR, &key), "accepted");
    assert!(
        world
            .delete(OPERATOR, &web())
            .contains("Serin deletes only what carries the label serin.dev/canary-uid")
    );
    assert_eq!(world.delete(PERSON, &web()), "accepted");
    let set = |replicas| {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-1", "namespace": "apps"},
        "spec": {"replicas": replicas}, "status": {"replicas": replicas}})
    };
    world.put(set(2));
    assert!(
        world
            .delete(OPERATOR, &key_of(&set(2)))
            .starts_with("403 replicasets.apps \"web-1\" is forbidden: ")
    );
    world.put(set(0));
    assert_eq!(world.delete(OPERATOR, &key_of(&set(0))), "accepted");
}

#[test]
fn the_leash_holds_subresources() {
    let mut world = World::armed();
    let verdict = |object: &mut Value| {
        object["status"]["conditions"][0]["reason"] = json!("ProgressDeadlineExceeded")
    };
    assert!(
        world
            .part(OPERATOR, &web(), "status", verdict)
            .contains("only while the Deployment is held")
    );
    let replicas = |object: &mut Value| object["status"]["replicas"] = json!(7);
    assert!(
        world
            .part(OPERATOR, &web(), "status", replicas)
            .contains("only the condition Progressing")
    );
    world.image("2.0");
    assert_eq!(world.part(OPERATOR, &web(), "status", verdict), "accepted");
    assert!(
        world
            .part(OPERATOR, &web(), "status", |o| o["status"]["conditions"] =
                json!([{"type": "Available"}]))
            .contains("only the condition")
    );
    let scale = |replicas| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": replicas}});
    let down = world.admit(
        OPERATOR,
        &web(),
        "scale",
        (Some(&scale(1)), Some(&scale(2))),
    );
    assert!(outcome(down).contains("never scales down by the scale subresource"));
    let up = world.admit(
        By {
            dry_run: true,
            ..OPERATOR
        },
        &web(),
        "scale",
        (Some(&scale(3)), Some(&scale(2))),
    );
    assert_eq!(outcome(up), "accepted");
}

/// A policy before or after the hold that changes what a label asks for.
fn late(name: &str, reinvocation: &str) -> [Value; 2] {
    let expression = "object.metadata.labels['late'] == 'back' \
        ? [JSONPatch{op: 'replace', path: '/spec/template', value: oldObject.spec.template}] \
        : [JSONPatch{op: 'add', path: '/spec/template/metadata/annotations', value: {'late': '1'}}]";
    [
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "reinvocationPolicy": reinvocation,
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}]},
            "matchConditions": [{"name": "here", "expression": "request.namespace == 'apps' && 'late' in object.metadata.?labels.orValue({})"}],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]}}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name}}),
    ]
}

#[test]
fn policies_that_change_the_template_later_are_held_too() {
    for (name, reinvocation) in [
        ("zz-late", "Never"),
        ("zz-late", "IfNeeded"),
        ("aa-late", "Never"),
    ] {
        let mut world = World::armed();
        late(name, reinvocation)
            .into_iter()
            .for_each(|object| world.put(object));
        world.write(PERSON, &web(), |o| label(o, "late", "change"));
        assert_eq!(
            world.state(),
            "1.0 paused held gated",
            "{name} {reinvocation}"
        );
        let mut world = World::armed();
        late(name, reinvocation)
            .into_iter()
            .for_each(|object| world.put(object));
        world.write(PERSON, &web(), |o| {
            label(o, "late", "back");
            set_image(o, "2.0");
        });
        assert_eq!(world.state(), "1.0 gated", "{name} {reinvocation}");
    }
}

/// A webhook that does what the label `hook` asks for.
#[derive(Default)]
struct Hook {
    calls: AtomicUsize,
}

impl Mutator for Hook {
    fn name(&self) -> &'static str {
        "hook"
    }

    fn is_reinvoked(&self) -> bool {
        true
    }

    fn mutate(&self, review: &Review<'_>, object: &mut Value) {
        let is_first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        let back = |object: &mut Value| {
            object["spec"]["template"] = review.old.unwrap()["spec"]["template"].clone()
        };
        match object["metadata"]["labels"]["hook"].as_str() {
            Some("change") => template_note(object),
            Some("back") => back(object),
            Some("flip") if is_first => back(object),
            Some("flip") => template_note(object),
            Some("release") if review.user == SERIN => template_note(object),
            _ => {}
        }
    }
}

#[test]
fn webhooks_that_change_the_template_are_held_or_refused() {
    let hooked = |begin: &[&str], hook: &str, image: &str| {
        let mut world = World::armed();
        begin.iter().for_each(|image| drop(world.image(image)));
        world.mutators.push(Box::<Hook>::default());
        let said = world.write(PERSON, &web(), |o| {
            label(o, "hook", hook);
            set_image(o, image);
        });
        (world, said)
    };
    for (hook, image, wanted) in [
        ("change", "1.0", "1.0 paused held gated"),
        ("change", "2.0", "2.0 paused held gated"),
        ("back", "2.0", "1.0 gated"),
    ] {
        assert_eq!(hooked(&[], hook, image).0.state(), wanted, "{hook} {image}");
    }
    let (_, said) = hooked(&[], "flip", "2.0");
    assert!(
        said.contains("the Pod template changed without being held"),
        "{said}"
    );
    let (mut world, _) = hooked(&["2.0"], "release", "2.0");
    assert!(world.release().contains("ships what was there before"));
    assert_eq!(world.state(), "2.0 paused held gated");
}

#[test]
fn without_the_hold_the_net_refuses() {
    let mut world = World::armed();
    world.store.remove(&Key::new(
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        "",
        "serin-hold",
    ));
    assert_eq!(
        world.image("2.0"),
        "403 deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'serin-guard' with binding 'serin-guard' denied request: \
        deployment apps/web: the Pod template changed without being held: an admission webhook changed it after the gate had looked \
        twice, or the policy serin-hold or its binding is missing (`serin doctor` tells which)"
    );
    assert_eq!(
        world.write(PERSON, &web(), |o| o["spec"]["replicas"] = json!(3)),
        "accepted"
    );
}

fn canary(notes: &Value) -> Value {
    json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "apps", "annotations": notes},
        "spec": {"provider": "none"}})
}

/// What comes of a request on a Canary: `REQUEST by AUTHOR`, or the refusal.
fn asked(user: &'static str, before: &Value, after: Value) -> String {
    let mut world = World::new();
    world.put(canary(before));
    let key = key_of(&canary(&Value::Null));
    let said = world.write(By { user, ..PERSON }, &key, |object| {
        object["metadata"]["annotations"] = after
    });
    let notes = world.get(&key)["metadata"]["annotations"].clone();
    let note = |name: &str| notes[name].as_str().unwrap_or("-").to_owned();
    if said == "accepted" {
        return format!(
            "{} by {}",
            note("serin.dev/request"),
            note("serin.dev/requested-by")
        );
    }
    said
}

/// Who asks, the annotations before and after, and what comes of it. `OLGA` is a request of Olga that is there already.
const ASKED: &[(&str, &str, &str, &str)] = &[
    ("olga", "{}", "{serin.dev/request: abort}", "abort by olga"),
    (
        "ada",
        OLGA,
        "{serin.dev/request: promote-full}",
        "promote-full by ada",
    ),
    ("root", OLGA, OLGA, "abort by olga"),
    (
        "ed",
        OLGA,
        "{serin.dev/request: abort, serin.dev/requested-by: olga, n: x}",
        "abort by olga",
    ),
    (
        "olga",
        OLGA,
        "{serin.dev/request: abort, serin.dev/requested-by: root}",
        "abort by olga",
    ),
    (
        "olga",
        "{}",
        "{serin.dev/request: pause, serin.dev/requested-by: ada}",
        "pause by olga",
    ),
    ("olga", OLGA, "{}", "- by -"),
    (SERIN, OLGA, "{}", "- by -"),
    (
        "ed",
        "{}",
        "{serin.dev/request: abort}",
        "user ed may not abort. That needs the right to update canaries/abort of serin.dev, for instance by the ClusterRole serin-operator",
    ),
    (
        "olga",
        "{}",
        "{serin.dev/request: promote-full}",
        "by the ClusterRole serin-admin",
    ),
    (
        SERIN,
        "{}",
        "{serin.dev/request: promote, serin.dev/requested-by: ada}",
        "promote by ada",
    ),
    (
        SERIN,
        "{}",
        "{serin.dev/request: promote}",
        "Serin asks for people alone, whom it names in serin.dev/requested-by; it may not promote by itself",
    ),
    (
        SERIN,
        OLGA,
        "{serin.dev/request: abort, serin.dev/requested-by: ada}",
        "abort by olga",
    ),
    (
        "system:serviceaccount:apps:serin",
        "{}",
        "{serin.dev/request: promote, serin.dev/requested-by: ada}",
        "may not promote. ",
    ),
    (
        "olga",
        "{}",
        "{serin.dev/request: promot}",
        "there is no verb \"promot\"; the verbs are promote, promote-full, abort",
    ),
    (
        "olga",
        "{}",
        r#"{serin.dev/request: '{"verb":"abort", "by":"x"}'}"#,
        r#"{"verb":"abort", "by":"x"} by olga"#,
    ),
    (
        "olga",
        "{}",
        r#"{serin.dev/request: '{"verb":"promote-full"}'}"#,
        "may not promote-full",
    ),
    (
        "ada",
        "{}",
        r#"{serin.dev/request: '{"verb":"abort","verb":"promote-full"}'}"#,
        "422 canaries.serin.dev \"web\" is forbidden",
    ),
    (
        "ada",
        "{}",
        r#"{serin.dev/request: '{"verb":"promote\u002dfull"}'}"#,
        "serin.dev/request is a verb (",
    ),
    (
        "ada",
        "{}",
        "{serin.dev/request: \"promote-full\\n\"}",
        "serin.dev/request is a verb (",
    ),
    (
        "olga",
        "{}",
        "{a: b}",
        "may annotate it with serin.dev/request and change nothing else",
    ),
];
const OLGA: &str = "{serin.dev/request: abort, serin.dev/requested-by: olga}";

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn requests_are_stamped_and_judged() {
    for (user, before, after, wanted) in ASKED {
        let got = asked(user, &read(before), read(after));
        assert!(
            got.contains(wanted),
            "{user} {after}: {got}\nwanted {wanted}"
        );
    }
    let ask = |text: &str| json!({"serin.dev/request": text});
    let long = |length: usize| {
        format!(
            "{{\"verb\":\"abort\",\"reason\":\"{}\"}}",
            " ".repeat(length - 28)
        )
    };
    assert!(asked("olga", &json!({}), ask(&long(2048))).ends_with(" by olga"));
    assert!(
        asked("olga", &json!({}), ask(&long(2049)))
            .ends_with("2048 characters at most, this one has 2049")
    );
    let new = World::new().create(PERSON, &canary(&ask("abort")));
    assert!(new.contains("a new Canary cannot carry a request"), "{new}");
    assert_eq!(
        World::new().create(PERSON, &canary(&json!({"serin.dev/requested-by": "root"}))),
        "accepted"
    );
}

/// A validating policy on ConfigMaps, and its binding.
fn rule(spec: &Value, binding: &Value) -> World {
    let mut world = World::new();
    let mut whole = json!({"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]}});
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    world.put(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": whole}));
    let mut bound = json!({"policyName": "p", "validationActions": ["Deny"]});
    bound
        .as_object_mut()
        .unwrap()
        .extend(binding.as_object().unwrap().clone());
    world.put(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": bound}));
    world
}

/// Fields of a policy and of its binding, and what comes of a ConfigMap with the label `a: b` in a namespace of team `a`.
/// `NO` refuses everything.
const JUDGED: &[(&str, &str, &str)] = &[
    (NO, "{}", "422 failed expression: 1 == 2"),
    (
        "validations: [{expression: 1 == 2, message: ' no '}]",
        "{}",
        "422 no",
    ),
    (
        r#"validations: [{expression: 1 == 2, message: "no", messageExpression: "object.metadata.name + '!'"}]"#,
        "{}",
        "422 m!",
    ),
    (
        r#"validations: [{expression: 1 == 2, message: "no", messageExpression: "'a\\nb'"}]"#,
        "{}",
        "422 no",
    ),
    (
        r#"validations: [{expression: 1 == 2, message: "no", messageExpression: "string(authorizer.path('/').check('get').allowed())"}]"#,
        "{}",
        "422 no",
    ),
    (
        "validations: [{expression: 1 == 2, reason: Forbidden}]",
        "{}",
        "403 failed expression: 1 == 2",
    ),
    (NO, "validationActions: [Audit]", "accepted"),
    (
        NO,
        "matchResources: {objectSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}",
        "422 failed expression: 1 == 2",
    ),
    (
        NO,
        "matchResources: {objectSelector: {matchExpressions: [{key: a, operator: In, values: [c]}]}}",
        "accepted",
    ),
    (
        NO,
        "matchResources: {namespaceSelector: {matchLabels: {team: a}}}",
        "422 failed expression: 1 == 2",
    ),
    (
        NO,
        "matchResources: {namespaceSelector: {matchLabels: {team: b}}}",
        "accepted",
    ),
    (
        NO,
        "matchResources: {excludeResourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: [CREATE], resources: ['*']}]}",
        "accepted",
    ),
    (
        "validations: [{expression: object.spec.x}]",
        "{}",
        "422 expression 'object.spec.x' resulted in error: no such key: spec",
    ),
    (
        "{failurePolicy: Ignore, validations: [{expression: object.spec.x}]}",
        "{}",
        "accepted",
    ),
    (
        "{matchConditions: [{name: a, expression: 'false'}, {name: b, expression: object.x}], validations: [{expression: 'false'}]}",
        "{}",
        "accepted",
    ),
    (
        "{matchConditions: [{name: b, expression: object.x}], validations: [{expression: 'false'}]}",
        "{}",
        "422 expression 'object.x' resulted in error: no such key: x",
    ),
    (
        r#"{variables: [{name: team, expression: namespaceObject.metadata.labels.team}],
            validations: [{expression: "variables.team == 'a' && request.kind.kind == 'ConfigMap' && oldObject == null"}]}"#,
        "{}",
        "accepted",
    ),
];
const NO: &str = "validations: [{expression: ' 1 == 2 '}]";

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "apps", "labels": {"a": "b"}}})
}

#[test]
fn validations_speak_as_the_real_ones() {
    let whole = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ";
    for (spec, binding, wanted) in JUDGED {
        let said = rule(&read(spec), &read(binding)).create(PERSON, &config_map());
        assert_eq!(said.replace(whole, ""), *wanted, "{spec} {binding}");
        assert_eq!(said.contains(whole), *wanted != "accepted", "{said}");
    }
}

#[test]
fn a_warning_lets_pass() {
    let map = config_map();
    let careful = read("validations: [{expression: 1 == 2, message: careful}]");
    let mut world = rule(&careful, &json!({"validationActions": ["Warn"]}));
    let key = key_of(&map);
    let review = Review {
        operation: Operation::Create,
        key: &key,
        version: "v1",
        kind: "ConfigMap",
        subresource: "",
        user: "x",
        groups: &[],
        manager: "",
        dry_run: false,
        object: Some(&map),
        old: None,
    };
    let warnings = world.admission.validate(&world.store, &review).unwrap();
    assert_eq!(
        warnings,
        ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': careful"]
    );
}

#[test]
fn a_mutation_that_fails_refuses_the_request() {
    let mut world = World::new();
    let [mut policy, binding] = late("p", "Never");
    policy["spec"]["matchConditions"] = json!([]);
    policy["spec"]["mutations"][0]["jsonPatch"]["expression"] =
        json!("[JSONPatch{op: 'remove', path: '/spec/missing'}]");
    world.put(policy.clone());
    world.put(binding);
    world.put(deployment("1.0"));
    let said = world.image("2.0");
    assert!(
        said.starts_with("403 policy 'p' with binding 'p' denied request: JSON Patch: "),
        "{said}"
    );
    policy["spec"]["failurePolicy"] = json!("Ignore");
    world.put(policy);
    assert_eq!(world.image("2.0"), "accepted");
}

#[test]
fn an_apply_configuration_is_merged() {
    let mut world = World::new();
    let [mut policy, binding] = late("p", "Never");
    policy["spec"]["matchConditions"] = json!([]);
    policy["spec"]["mutations"] = json!([{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
        "Object{metadata: Object.metadata{labels: {'b': 'c'}}, spec: Object.spec{template: Object.spec.template{spec: \
        Object.spec.template.spec{containers: [Object.spec.template.spec.containers{name: 'app', workingDir: '/'}]}}}}"}}]);
    world.put(policy);
    world.put(binding);
    world.put(deployment("1.0"));
    assert_eq!(world.image("2.0"), "accepted");
    let object = world.get(&web());
    assert_eq!(
        object["metadata"]["labels"],
        json!({"app": "web", "b": "c"})
    );
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"],
        json!([{"name": "app", "image": "2.0", "workingDir": "/"}])
    );
}

#[test]
fn what_cannot_be_read_of_a_policy_is_known() {
    for file in ["deploy/gate.yaml", "deploy/requests.yaml"] {
        for policy in documents(file) {
            assert_eq!(wrong(&policy), [], "{policy}");
        }
    }
    let bad = json!({"spec": {"variables": [{"name": "a", "expression": "variables.b"}], "validations": [
        {"expression": "object.x ==", "message": "x"}, {"expression": "foo", "messageExpression": "'a' +"}, {"expression": "true", "messageExpression": "bar"}]}});
    let fields: Vec<_> = wrong(&bad).into_iter().map(|cause| cause.field).collect();
    assert_eq!(
        fields,
        [
            "spec.variables[0].expression",
            "spec.validations[0].expression",
            "spec.validations[1].expression",
            "spec.validations[2].messageExpression",
        ]
    );
}

#[test]
fn policies_about_policies_do_not_lock_anybody_out() {
    let mut world = World::new();
    let key = Key::new(
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
        "",
        "serin-guard",
    );
    assert_eq!(
        world.write(OPERATOR, &key, |o| o["metadata"]["labels"] =
            json!({"serin.dev/canary-uid": "1"})),
        "accepted"
    );
}

#[test]
fn the_gate_costs_little() {
    let mut world = World::armed();
    let count = 200_u32;
    let begin = Instant::now();
    for round in 0..count {
        world.image(&format!("{round}"));
    }
    let each = begin.elapsed() / count;
    println!("a changed template through hold, guard and leash: {each:?}");
    assert!(each.as_millis() < 50, "{each:?}");
}
