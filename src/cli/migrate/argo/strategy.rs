//! A Rollout's strategy: steps, Services and routers of `canary`; the switch of `blueGreen`.

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::argo::checks::{Checks, Scene};
use crate::cli::migrate::argo::routers::router;
use crate::cli::migrate::fields::Fields;
use crate::cli::simulate::files::Manifest;

/// Sizes and times of Argo's own, which have no place here.
const OF_ARGO: [(&str, &str); 5] = [
    (
        "scaleDownDelaySeconds",
        "there is no old ReplicaSet that waits: a way back is a release of its own, without analysis within rollbackWindow",
    ),
    (
        "scaleDownDelayRevisionLimit",
        "there is no old ReplicaSet that waits",
    ),
    (
        "abortScaleDownDelaySeconds",
        "the canary goes once its traffic is gone; analysis.onFailure: Pause keeps it",
    ),
    (
        "dynamicStableScale",
        "stable keeps its size while a canary runs, so that it can take all traffic back",
    ),
    ("minPodsPerReplicaSet", "the canary has at least one Pod"),
];

/// What is not there.
const NOT_YET: [(&str, &str); 6] = [
    (
        "antiAffinity",
        "is not written: put the podAntiAffinity that you want into the Pod template",
    ),
    (
        "canaryMetadata",
        "labels and annotations for the canary's Pods alone are not written: they have serin.dev/role: canary",
    ),
    (
        "stableMetadata",
        "labels and annotations for stable's Pods alone are not written: stable is never restarted for them",
    ),
    (
        "previewMetadata",
        "labels and annotations for the canary's Pods alone are not written: they have serin.dev/role: canary",
    ),
    (
        "activeMetadata",
        "labels and annotations for stable's Pods alone are not written: stable is never restarted for them",
    ),
    (
        "pingPong",
        "there is one apex Service that always leads to stable: let clients and routes name one of the two",
    ),
];

/// Writes the rest of the Canary's spec, and returns the strategy of the Deployment.
pub(super) fn convert(
    spec: &mut Fields,
    (manifest, scene): (&Manifest, Scene<'_>),
    canary: &mut Map<String, Value>,
    account: &mut Account,
) -> Option<Value> {
    let mut strategy = spec.below("strategy")?;
    let rolling = if let Some(mut green) = strategy.below("blueGreen") {
        switched(&mut green, (manifest, scene), canary, account);
        finish(green, account)
    } else if let Some(mut weights) = strategy.below("canary") {
        weighted(&mut weights, (manifest, scene), canary, account);
        finish(weights, account)
    } else {
        account.ask(
            "spec.strategy",
            "is neither canary nor blueGreen: write service and provider into the Canary",
        );
        None
    };
    strategy.close(account);
    rolling
}

/// What both strategies have.
fn finish(mut strategy: Fields, account: &mut Account) -> Option<Value> {
    strategy.forget(&OF_ARGO, account);
    strategy.hand_over(&NOT_YET, account);
    let mut rolling = Map::new();
    strategy.keep(&["maxSurge", "maxUnavailable"], &mut rolling, account);
    strategy.close(account);
    (!rolling.is_empty()).then(|| json!({"type": "RollingUpdate", "rollingUpdate": rolling}))
}

fn switched(
    green: &mut Fields,
    (manifest, mut scene): (&Manifest, Scene<'_>),
    canary: &mut Map<String, Value>,
    account: &mut Account,
) {
    canary.insert("provider".to_owned(), json!("kubernetes"));
    account.change(
        "spec.strategy.blueGreen",
        "is now provider: kubernetes, which switches the selector of the Service",
    );
    let active = green.text("activeService").unwrap_or_default();
    let preview = green.text("previewService");
    let service = service(
        ("activeService", green),
        &active,
        (manifest, &scene),
        account,
    );
    canary.insert("service".to_owned(), service);
    scene.renamed = renamed(("previewService", green), &active, preview, account);
    let mut checks = Checks::default();
    let mut rounds = 1;
    if let Some(analysis) = green.below("prePromotionAnalysis") {
        rounds = checks.add(analysis, &scene, account);
    }
    if let Some(analysis) = green.below("postPromotionAnalysis") {
        account.ask(
            &green.path("postPromotionAnalysis"),
            "after the switch nothing is checked yet: its metrics are checked before, where the canary has no users' traffic",
        );
        rounds = rounds.max(checks.add(analysis, &scene, account));
    }
    let mut analysis = Map::new();
    checks.write(&mut analysis, account);
    approval(green, rounds, &mut analysis, account);
    canary.insert("analysis".to_owned(), Value::Object(analysis));
    if let Some(count) = green.number("previewReplicaCount") {
        account.change(&green.path("previewReplicaCount"), "is now canary.replicas");
        canary.insert("canary".to_owned(), json!({"replicas": count}));
    }
}

/// Who switches: after the checks Serin does, or a person, or some time.
fn approval(
    green: &mut Fields,
    rounds: i64,
    analysis: &mut Map<String, Value>,
    account: &mut Account,
) {
    let seconds = green.number("autoPromotionSeconds").filter(|it| *it > 0);
    let automatic = green.flag("autoPromotionEnabled");
    let pause = match (automatic, seconds) {
        (Some(false), Some(seconds)) | (None | Some(true), Some(seconds)) => {
            account.change(
                &green.path("autoPromotionSeconds"),
                "is a step {pause: {duration: …}} before the switch",
            );
            json!({"pause": {"duration": format!("{seconds}s")}})
        }
        (Some(false), None) => {
            account.change(
                &green.path("autoPromotionEnabled"),
                "is a step {pause: {}} before the switch; `serin promote` ends it",
            );
            json!({"pause": {}})
        }
        _ => {
            analysis.insert("iterations".to_owned(), json!(rounds));
            account.change(
                &green.path("autoPromotionEnabled"),
                &format!(
                    "is iterations: {rounds}: so many passed rounds of checks, then the switch"
                ),
            );
            return;
        }
    };
    analysis.insert("steps".to_owned(), json!([{"checks": rounds}, pause]));
}

fn weighted(
    strategy: &mut Fields,
    (manifest, mut scene): (&Manifest, Scene<'_>),
    canary: &mut Map<String, Value>,
    account: &mut Account,
) {
    let stable = strategy.text("stableService");
    let old = strategy.text("canaryService");
    let routing = strategy.below("trafficRouting");
    if let (Some(stable), Some(routing)) = (&stable, &routing) {
        let field = ("stableService", &*strategy);
        let service = service(field, stable, (manifest, &scene), account);
        canary.insert("service".to_owned(), service);
        scene.renamed = renamed(("canaryService", strategy), stable, old, account);
        router(routing.clone(), stable, canary, account);
    } else {
        unrouted(stable.or(old), routing, canary, account);
    }
    let mut checks = Checks::default();
    if let Some(analysis) = strategy.below("analysis") {
        checks.add(analysis, &scene, account);
    }
    let steps = steps(strategy, (&mut checks, &scene), account);
    let mut analysis = Map::new();
    checks.write(&mut analysis, account);
    if !steps.made.is_empty() {
        analysis.insert("steps".to_owned(), json!(steps.made));
    }
    if !analysis.is_empty() {
        canary.insert("analysis".to_owned(), Value::Object(analysis));
    }
    if let Some(size) = steps.size {
        canary.insert("canary".to_owned(), json!({"replicas": size}));
    }
}

/// Weights by the share of replicas alone.
fn unrouted(
    service: Option<String>,
    routing: Option<Fields>,
    canary: &mut Map<String, Value>,
    account: &mut Account,
) {
    canary.insert("provider".to_owned(), json!("none"));
    account.ask(
        "spec.strategy.canary",
        "splits by replicas behind one Service; Serin's provider none does so for workers alone, and no Service leads to the \
        canary: for requests write provider gatewayapi:v1, or kubernetes, with service.port",
    );
    if let Some(name) = service {
        let text = format!("Service {name} is not used without a router");
        account.ask("spec.strategy.canary", &text);
    }
    if let Some(routing) = routing {
        routing.close(account);
    }
}

fn steps(
    strategy: &mut Fields,
    (checks, scene): (&mut Checks, &Scene<'_>),
    account: &mut Account,
) -> Steps {
    let field = strategy.path("steps");
    let written = strategy.list("steps");
    if written.is_empty() {
        let text = "is empty: Argo replaced Pods at once; Serin tries 10, 50 and 100 %";
        account.change(&field, text);
    }
    let mut steps = Steps::default();
    for (path, step) in written {
        steps.add(Fields::new(&path, Some(step)), (checks, scene), account);
    }
    steps
}

/// The steps that were made so far.
#[derive(Default)]
struct Steps {
    made: Vec<Value>,
    weight: i64,
    size: Option<Value>,
}

impl Steps {
    fn add(
        &mut self,
        mut step: Fields,
        (checks, scene): (&mut Checks, &Scene<'_>),
        account: &mut Account,
    ) {
        let path = step.path("");
        let path = path.trim_end_matches('.');
        if let Some(weight) = step.number("setWeight") {
            self.weight(weight, path, account);
        } else if let Some(mut pause) = step.below("pause") {
            self.pause(&mut pause, path, account);
            pause.close(account);
        } else if let Some(analysis) = step.below("analysis") {
            let rounds = checks.add(analysis, scene, account);
            self.made.push(json!({"checks": rounds}));
            account.change(
                path,
                &format!("is now {{checks: {rounds}}}: so many passed rounds of all metrics"),
            );
        } else if let Some(mut scale) = step.below("setCanaryScale") {
            self.scale(&mut scale, path, account);
            scale.close(account);
        }
        step.hand_over(
            &[
                ("experiment", "experiments are not there: what this one started and measured has to be done in another way"),
                ("setHeaderRoute", "routes in routeRefs get weights alone: the step is left out; with a route that Serin makes it can be taken over as it is"),
                ("setMirrorRoute", "routes in routeRefs get weights alone: the step is left out; with a route that Serin makes it is {setMirror: PERCENT}"),
                ("plugin", "plugins are not there: the step is left out"),
                ("replicaProgressThreshold", "all Pods of the canary have to be ready; analysis.canaryReadyThreshold takes less"),
            ],
            account,
        );
        step.close(account);
    }

    fn weight(&mut self, weight: i64, path: &str, account: &mut Account) {
        let rises = self.made.is_empty() || weight > self.weight;
        if rises && (0..=100).contains(&weight) {
            account.keep(&format!("{path}.setWeight"));
            self.made.push(json!({"setWeight": weight}));
            self.weight = weight;
        } else {
            let text = format!(
                "{weight} does not rise above {}, which Serin's weights have to: the step is left out",
                self.weight
            );
            account.ask(&format!("{path}.setWeight"), &text);
        }
    }

    fn pause(&mut self, pause: &mut Fields, path: &str, account: &mut Account) {
        let field = format!("{path}.pause");
        let Some(duration) = pause.take("duration") else {
            account.keep(&field);
            self.made.push(json!({"pause": {}}));
            return;
        };
        let text = duration
            .as_str()
            .map_or_else(|| duration.to_string(), str::to_owned);
        let with_unit = match text.parse::<u64>() {
            Ok(seconds) => {
                account.change(&field, &format!("{seconds} is {seconds}s"));
                format!("{seconds}s")
            }
            Err(_) => {
                account.keep(&field);
                text
            }
        };
        self.made.push(json!({"pause": {"duration": with_unit}}));
    }

    fn scale(&mut self, scale: &mut Fields, path: &str, account: &mut Account) {
        let field = format!("{path}.setCanaryScale");
        if scale.flag("matchTrafficWeight").is_some() {
            account.drop(&field, "the canary has the share of its weight by default");
            return;
        }
        let share = scale.number("weight").map(|it| json!(format!("{it}%")));
        let size = scale.number("replicas").map(|it| json!(it)).or(share);
        if self.size.is_some() {
            account.ask(&field, "the canary has one size for all steps, canary.replicas, which an earlier step says");
        } else {
            account.change(&field, "is now canary.replicas, for all steps");
            self.size = size;
        }
    }
}

/// `spec.service` for the Service that clients use.
fn service(
    (name, strategy): (&str, &Fields),
    apex: &str,
    (manifest, scene): (&Manifest, &Scene<'_>),
    account: &mut Account,
) -> Value {
    let field = strategy.path(name);
    if let Some(port) = scene.book.port(scene.home, apex) {
        account.change(
            &field,
            &format!("is now service.name, with port {port} of Service {apex}"),
        );
        return json!({"name": apex, "port": port});
    }
    let container = manifest
        .object
        .pointer("/spec/template/spec/containers/0/ports/0/containerPort");
    let port = container.and_then(Value::as_i64).unwrap_or(80);
    let text = format!(
        "is now service.name; Service {apex} is in no file, so look whether service.port is {port}, or give migrate the Service as well"
    );
    account.ask(&field, &text);
    json!({"name": apex, "port": port})
}

/// The old name of the canary's Service and the new one, and what to do about the old.
fn renamed(
    (name, strategy): (&str, &Fields),
    apex: &str,
    old: Option<String>,
    account: &mut Account,
) -> Option<(String, String)> {
    let old = old?;
    let new = format!("{apex}-canary");
    let field = strategy.path(name);
    let text = if old == new {
        format!(
            "Serin makes Service {new} itself: take yours out of what you apply, and delete it first"
        )
    } else {
        format!(
            "Serin makes Service {new}, which takes the place of {old}: let routes, tests and monitors name {new}, then delete {old}"
        )
    };
    account.ask(&field, &text);
    Some((old, new))
}
