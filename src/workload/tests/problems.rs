//! What is refused, and with which words.

use expect_test::expect;
use serde_json::{Value, json};

use super::world::{World, clone, service, target};
use crate::workload::problems;

fn see(world: &World) -> String {
    let found = problems(&world.canary, &world.seen);
    if found.is_empty() {
        return "nothing\n".to_owned();
    }
    found
        .iter()
        .map(|problem| {
            format!(
                "{:?} {}: {}\n",
                problem.severity, problem.reason, problem.message
            )
        })
        .collect()
}

fn rows(rows: Vec<(&str, World)>) -> String {
    rows.into_iter()
        .map(|(name, world)| format!("# {name}\n{}", see(&world)))
        .collect()
}

fn of(patch: Value) -> World {
    World::serving(json!({})).with(target(patch))
}

/// A change of the Pods' spec.
fn pods(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

#[test]
fn workloads_that_cannot_run_twice_are_refused_unless_allowed() {
    let claim =
        pods(json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]}));
    let port = json!({"containerPort": 80, "hostPort": 80});
    let ports = pods(json!({"containers": [{"name": "web", "image": "web:1.0", "ports": [port]}]}));
    let recreate = json!({"spec": {"strategy": {"type": "Recreate"}}});
    let allowed = json!({"allow": ["Recreate", "ReadWriteOnce", "HostPort"]});
    let mut all = recreate.clone();
    super::world::merge(&mut all, &claim);
    super::world::merge(&mut all, &ports);
    let seen = rows(vec![
        ("fine", of(json!({}))),
        ("strategy", of(recreate)),
        ("claims", of(claim)),
        ("host ports", of(ports)),
        ("all allowed", World::serving(allowed).with(target(all))),
    ]);
    expect![[r#"
        # fine
        nothing
        # strategy
        Refused TargetRefused: Deployment shop/web has strategy Recreate: promotion would stop all Pods before new ones start. Use RollingUpdate, or set spec.allow: [Recreate]
        # claims
        Refused TemplateUnsupported: Deployment shop/web mounts volume claims, which canary and stable would share. Set spec.allow: [ReadWriteOnce] if they can
        # host ports
        Refused TemplateUnsupported: Deployment shop/web binds ports of its nodes, which canary and stable would contend for. Set spec.allow: [HostPort] if there are nodes enough
        # all allowed
        nothing
    "#]].assert_eq(&seen);
}

#[test]
fn targets_that_cannot_be_gated_are_refused() {
    let expressions =
        json!({"matchLabels": null, "matchExpressions": [{"key": "app", "operator": "Exists"}]});
    let owner = json!([{"kind": "App", "name": "a", "uid": "1", "controller": true}]);
    let service = service("web", json!({}));
    let set = json!({"targetRef": {"kind": "StatefulSet"}, "provider": "none"});
    let seen = rows(vec![
        ("not there", World::new(json!({})).with(service)),
        (
            "expressions only",
            of(json!({"spec": {"selector": expressions}})),
        ),
        (
            "a controller",
            of(json!({"metadata": {"ownerReferences": owner}})),
        ),
        (
            "a canary workload",
            of(json!({"metadata": {"labels": {"serin.dev/canary-uid": "other"}}})),
        ),
        (
            "no history",
            of(json!({"spec": {"revisionHistoryLimit": 0}})),
        ),
        ("another kind", World::new(set)),
    ]);
    expect![[r#"
        # not there
        nothing
        # expressions only
        Refused TargetRefused: Deployment shop/web has no matchLabels in its selector, only expressions: the canary's Pods could not be told apart; make it anew with matchLabels
        # a controller
        Refused TargetRefused: Deployment shop/web is controlled by App a, which would undo what Serin does: let that controller make canaries, or take its ownerReference off
        # a canary workload
        Refused TargetRefused: Deployment shop/web was made by Serin for another Canary: name the Deployment whose releases are to be tried
        # no history
        Refused HistoryRequired: Deployment shop/web has revisionHistoryLimit 0: scaled to zero and back while held, nothing of stable would be left; set it to 1 or more
        # another kind
        Refused TargetRefused: spec.targetRef.kind: this version takes Deployments, not StatefulSet
    "#]].assert_eq(&seen);
}

#[test]
fn a_manifest_that_pauses_is_refused_before_the_gate_is_armed() {
    let paused = |labels: Value| {
        let fields = json!({"f:spec": {"f:paused": {}}});
        let entry = json!({"manager": "helm", "operation": "Apply", "fieldsV1": fields});
        of(json!({"metadata": {"labels": labels, "managedFields": [entry]}}))
    };
    let seen = rows(vec![
        ("not armed", paused(json!({"serin.dev/gate": null}))),
        ("armed", paused(json!({}))),
    ]);
    expect![[r#"
        # not armed
        Refused GateConflict: Deployment shop/web has spec.paused from helm, which would fight the gate: take the field out of what it applies
        # armed
        nothing
    "#]].assert_eq(&seen);
}

#[test]
fn services_that_cannot_be_used_are_refused() {
    let apex =
        |patch: Value| World::serving(json!({"service": {"port": 80}})).with(service("web", patch));
    let seen = rows(vec![
        ("fine", apex(json!({}))),
        (
            "missing, and no spec.service",
            World::new(json!({})).with(target(json!({}))),
        ),
        (
            "missing, to be made",
            World::new(json!({"service": {"port": 80}})).with(target(json!({}))),
        ),
        (
            "no need of one",
            World::new(json!({"provider": "none"})).with(target(json!({}))),
        ),
        ("no selector", apex(json!({"spec": {"selector": null}}))),
        ("external", apex(json!({"spec": {"type": "ExternalName"}}))),
        (
            "another port",
            apex(json!({"spec": {"ports": [{"port": 8080}, {"port": 9090}]}})),
        ),
        (
            "a label that no Pod has",
            apex(json!({"spec": {"selector": {"tier": "x"}}})),
        ),
        (
            "a name too long",
            World::new(json!({"service": {"port": 80, "name": "s".repeat(57)}}))
                .with(target(json!({}))),
        ),
    ]);
    expect![[r#"
        # fine
        nothing
        # missing, and no spec.service
        Refused ServiceMissing: Service shop/web does not exist: create it, or set spec.service.port so that one is made
        # missing, to be made
        nothing
        # no need of one
        nothing
        # no selector
        Refused ServiceRefused: Service shop/web has no selector, so its endpoints are not Serin's to follow: name another in spec.service.name
        # external
        Refused ServiceRefused: Service shop/web is of type ExternalName, which has no Pods: name another in spec.service.name
        # another port
        Refused ServiceRefused: spec.service.port: Service shop/web has no port 80, but 8080, 9090
        # a label that no Pod has
        Refused ServiceRefused: Service shop/web selects by label tier, which the Pods of Deployment shop/web do not have: it serves none of them
        # a name too long
        Refused NameTooLong: Service sssssssssssssssssssssssssssssssssssssssssssssssssssssssss has 57 characters; <name>-canary allows 56: set spec.service.name
    "#]].assert_eq(&seen);
}

#[test]
fn taken_names_are_told_with_their_owner() {
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    let helm = labels(
        json!({"serin.dev/canary-uid": null, "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "shop"}),
    );
    let owned = json!({"metadata": {"labels": null, "ownerReferences": [{"kind": "App", "name": "a", "uid": "1", "controller": true}]}});
    let base = || World::serving(json!({}));
    let seen = rows(vec![
        ("ours", base().with(clone(json!({})))),
        ("a Helm release's", base().with(clone(helm))),
        (
            "another Canary's",
            base().with(clone(labels(json!({"serin.dev/canary-uid": "other"})))),
        ),
        ("a controller's", base().with(service("web-canary", owned))),
        (
            "nobody's, where none is needed",
            World::new(json!({"provider": "none"})).with(service("web-canary", json!({}))),
        ),
    ]);
    expect![[r#"
        # ours
        nothing
        # a Helm release's
        Refused NameTaken: Deployment shop/web-canary exists and is not this Canary's (managed by Helm, instance shop): rename or delete it; nothing of it was touched
        # another Canary's
        Refused NameTaken: Deployment shop/web-canary exists and is not this Canary's (made for another Canary): rename or delete it; nothing of it was touched
        # a controller's
        Refused NameTaken: Service shop/web-canary exists and is not this Canary's (controlled by App a): rename or delete it; nothing of it was touched
        # nobody's, where none is needed
        nothing
    "#]].assert_eq(&seen);
}

#[test]
fn policies_that_lose_the_canary_are_told() {
    let policy = |name: &str, selector: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": {"podSelector": {"matchLabels": selector}}});
    let world = World::serving(json!({}))
        .with(policy("stable-only", json!({"app": "web"})))
        .with(policy("all", json!({})))
        .with(policy("others", json!({"app": "db"})));
    expect![[r#"
        Warning PolicyMismatch: NetworkPolicy shop/stable-only selects stable's Pods, but not the canary's: select by labels that both have, or add one for serin.dev/role: canary
    "#]].assert_eq(&see(&world));
}
