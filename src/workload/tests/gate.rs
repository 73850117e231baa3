//! The gate's writes.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{UID, World, held, replica_set, revision, target, template};
use crate::rollout::decision::Action;

fn rows(rows: Vec<(&str, Value, Action)>) -> String {
    let one = |(name, target, action): (&str, Value, Action)| {
        let world = World::new(json!({}))
            .with(target)
            .with(replica_set("web-1", "web:1.0", 2));
        format!("# {name}\n{}", world.render(&action))
    };
    rows.into_iter().map(one).collect()
}

#[test]
fn the_gate_goes_only_on_what_is_not_paused() {
    let seen = rows(vec![
        (
            "no labels",
            target(json!({"metadata": {"labels": null}})),
            Action::Arm,
        ),
        ("armed already", target(json!({})), Action::Arm),
        (
            "a gate of a Canary that is gone",
            target(json!({"metadata": {"labels": {"serin.dev/gate": "old"}}})),
            Action::Arm,
        ),
        (
            "paused by a person",
            target(json!({"spec": {"paused": true}})),
            Action::Arm,
        ),
        ("held meanwhile", held(json!({})), Action::Arm),
        (
            "being deleted",
            target(json!({"metadata": {"deletionTimestamp": "2026-01-05T00:00:00Z"}})),
            Action::Arm,
        ),
    ]);
    expect![[r##"
        # no labels
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels","value":{}}
          {"op":"add","path":"/metadata/labels/serin.dev~1gate","value":"uid-canary"}
        # armed already
        nothing
        # a gate of a Canary that is gone
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels/serin.dev~1gate","value":"uid-canary"}
        # paused by a person
        changed: Deployment shop/web is paused
        # held meanwhile
        changed: Deployment shop/web is paused
        # being deleted
        changed: Deployment shop/web is gone
    "##]]
    .assert_eq(&seen);
}

#[test]
fn disarming_takes_our_marks_off_and_leaves_the_pause() {
    let kept = json!({"metadata": {"labels": {"team": "x", "serin.dev/contested": "true"}, "annotations": {"serin.dev/kept": "abc", "serin.dev/revision": "r"}}});
    let seen = rows(vec![
        ("held", held(kept), Action::Disarm),
        (
            "another Canary's gate",
            held(json!({"metadata": {"labels": {"serin.dev/gate": "other"}}})),
            Action::Disarm,
        ),
        (
            "no gate",
            target(json!({"metadata": {"labels": null}})),
            Action::Disarm,
        ),
    ]);
    expect![[r##"
        # held
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1gate"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1held"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1contested"}
          {"op":"remove","path":"/metadata/annotations/serin.dev~1kept"}
        # another Canary's gate
        nothing
        # no gate
        nothing
    "##]]
    .assert_eq(&seen);
    let gone = World::new(json!({})).render(&Action::Disarm);
    expect!["nothing\n"].assert_eq(&gone);
}

#[test]
fn only_the_named_revision_is_released_and_only_from_a_hold() {
    let release = |image: &str| Action::Release {
        revision: revision(image),
    };
    let foreign = json!({"metadata": {"labels": {"serin.dev/gate": "old"}}});
    let never_ran =
        json!({"metadata": {"labels": {"serin.dev/gate": "old"}}, "status": {"replicas": 0}});
    let seen = rows(vec![
        ("held", held(json!({})), release("web:2.0")),
        (
            "another template meanwhile",
            held(json!({})),
            release("web:1.0"),
        ),
        ("not held", target(json!({})), release("web:1.0")),
        (
            "a person's pause",
            target(json!({"spec": {"paused": true}})),
            release("web:1.0"),
        ),
        (
            "with a gate from a copied manifest",
            held(foreign),
            release("web:2.0"),
        ),
        (
            "the same, and no Pod ever ran",
            held(never_ran),
            release("web:2.0"),
        ),
    ]);
    expect![[r##"
        # held
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1held"}
          {"op":"replace","path":"/spec/paused","value":false}
        # another template meanwhile
        changed: Deployment shop/web holds revision 85541a0164, not 39364b333b
        # not held
        nothing
        # a person's pause
        nothing
        # with a gate from a copied manifest
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1held"}
          {"op":"replace","path":"/spec/paused","value":false}
          {"op":"add","path":"/metadata/labels/serin.dev~1gate","value":"uid-canary"}
        # the same, and no Pod ever ran
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1held"}
          {"op":"replace","path":"/spec/paused","value":false}
          {"op":"remove","path":"/metadata/labels/serin.dev~1gate"}
    "##]]
    .assert_eq(&seen);
}

#[test]
fn a_former_template_is_put_back_under_the_mark() {
    let revert = || Action::Revert {
        revision: revision("web:1.0"),
    };
    let seen = rows(vec![
        (
            "in mid roll",
            target(json!({"spec": {"template": template("web:2.0")}})),
            revert(),
        ),
        ("held", held(json!({})), revert()),
        ("there already", target(json!({})), revert()),
        (
            "a person's pause",
            target(json!({"spec": {"paused": true, "template": template("web:2.0")}})),
            revert(),
        ),
        (
            "a revision that nobody kept",
            held(json!({})),
            Action::Revert {
                revision: "0123456789".to_owned(),
            },
        ),
        (
            "done",
            target(
                json!({"metadata": {"labels": {"serin.dev/reverting": "true", "serin.dev/contested": "true"}}}),
            ),
            Action::Reverted,
        ),
        ("done before", target(json!({})), Action::Reverted),
    ]);
    expect![[r##"
        # in mid roll
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels/serin.dev~1reverting","value":"true"}
          {"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:1.0","name":"web"}]}}}
        # held
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels/serin.dev~1reverting","value":"true"}
          {"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:1.0","name":"web"}]}}}
        # there already
        nothing
        # a person's pause
        changed: Deployment shop/web is paused by a person
        # a revision that nobody kept
        refused: the template of revision 0123456789 of Deployment shop/web is in no ReplicaSet and in no ControllerRevision: put it back from where it was deployed
        # done
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1reverting"}
          {"op":"remove","path":"/metadata/labels/serin.dev~1contested"}
        # done before
        nothing
    "##]].assert_eq(&seen);
}

#[test]
fn the_verdict_stands_only_while_held() {
    let text = "serin: canary 1: too many errors";
    let give = || Action::Verdict(Some(text.to_owned()));
    let standing = json!({"status": {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": text}]}});
    let theirs = json!({"status": {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}});
    let seen = rows(vec![
        ("given", held(json!({})), give()),
        ("given already", held(standing.clone()), give()),
        ("not held any more", target(json!({})), give()),
        ("taken back", held(standing.clone()), Action::Verdict(None)),
        (
            "nothing to take back",
            held(json!({})),
            Action::Verdict(None),
        ),
        ("the controller's own", held(theirs), Action::Verdict(None)),
        (
            "released meanwhile",
            target(standing),
            Action::Verdict(None),
        ),
    ]);
    expect![[r##"
        # given
        status Deployment shop/web {"metadata":{"resourceVersion":"7"},"status":{"conditions":[{"message":"serin: canary 1: too many errors","reason":"ProgressDeadlineExceeded","status":"False","type":"Progressing"}]}}
        # given already
        nothing
        # not held any more
        changed: Deployment shop/web is not held any more
        # taken back
        status Deployment shop/web {"metadata":{"resourceVersion":"7"},"status":{"conditions":[{"message":"Deployment is paused","reason":"DeploymentPaused","status":"Unknown","type":"Progressing"}]}}
        # nothing to take back
        nothing
        # the controller's own
        nothing
        # released meanwhile
        nothing
    "##]].assert_eq(&seen);
}

#[test]
fn a_restart_holds_what_it_writes() {
    let restart = || Action::Restart("2026-01-05T10:00:00Z".to_owned());
    let annotated = |key: &str, value: &str| json!({"spec": {"template": {"metadata": {"annotations": {key: value}}}}});
    let seen = rows(vec![
        ("idle", target(json!({})), restart()),
        ("with annotations", target(annotated("a", "b")), restart()),
        (
            "written already",
            target(annotated(
                "kubectl.kubernetes.io/restartedAt",
                "2026-01-05T10:00:00Z",
            )),
            restart(),
        ),
        ("held meanwhile", held(json!({})), restart()),
        (
            "disarmed meanwhile",
            target(json!({"metadata": {"labels": {"serin.dev/gate": format!("not-{UID}")}}})),
            restart(),
        ),
    ]);
    expect![[r##"
        # idle
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels/serin.dev~1held","value":"true"}
          {"op":"add","path":"/spec/paused","value":true}
          {"op":"add","path":"/spec/template/metadata/annotations","value":{}}
          {"op":"add","path":"/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt","value":"2026-01-05T10:00:00Z"}
        # with annotations
        patch Deployment shop/web
          {"op":"replace","path":"/metadata/resourceVersion","value":"7"}
          {"op":"add","path":"/metadata/labels/serin.dev~1held","value":"true"}
          {"op":"add","path":"/spec/paused","value":true}
          {"op":"add","path":"/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt","value":"2026-01-05T10:00:00Z"}
        # written already
        nothing
        # held meanwhile
        changed: Deployment shop/web is not armed and idle any more
        # disarmed meanwhile
        changed: Deployment shop/web is not armed and idle any more
    "##]].assert_eq(&seen);
}
