use std::path::Path;

use expect_test::{Expect, expect, expect_file};

use super::*;

/// A Canary with a short analysis.
const SHORT: &str = "
apiVersion: serin.dev/v1beta1
kind: Canary
metadata: {name: web, namespace: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  service: {port: 80, hosts: [web.example.com], gatewayRefs: [{name: gateway, namespace: default}]}
";

/// Steps of ten seconds.
const QUICK: &str = "interval: 10s, checks: 1";

fn short(analysis: &str) -> String {
    format!("{SHORT}  analysis: {{{analysis}}}\n")
}

fn script(manifests: &str, scenario: &str) -> Result<Script, Broken> {
    let (file, text) = find(scenario)?;
    Ok(Script {
        manifests: files::manifests(manifests, "it.yaml", None)?,
        canary: None,
        scenario: Scenario::read(&text, &file)?,
        seed: 1,
    })
}

const RULES: Rules = Rules {
    limit: Duration::from_secs(7200),
    approve: false,
};

fn summary(manifests: &str, scenario: &str, rules: Rules) -> Summary {
    let report = played(&script(manifests, scenario).unwrap(), rules).unwrap();
    Summary::new(&report, scenario, 1)
}

fn broken(manifests: &str) -> String {
    let played = script(manifests, "good").map(|script| played(&script, RULES));
    match played {
        Err(broken) => broken.to_string(),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(report)) => match report.ending {
            play::Ending::Refused(why) => why,
            other => panic!("it was played: {other:?}"),
        },
    }
}

fn plain(summary: &Summary) -> String {
    text::render(summary, Palette { on: false }, None)
}

#[test]
fn named_scenarios_end_as_they_say() {
    let rows = [
        ("good", "Promoted", 0),
        ("errors", "RolledBack", 1),
        ("crash", "RolledBack", 1),
        ("no-traffic", "Promoted", 0),
        ("flaky", "Promoted", 0),
        ("shared-outage", "Promoted", 0),
    ];
    for (name, outcome, code) in rows {
        let found = summary(&short(QUICK), name, RULES);
        let ended = (found.outcome.as_str(), found.exit_code);
        assert_eq!(ended, (outcome, code), "{name}: {}", plain(&found));
        // A process that crashes takes the reply with it that it was about to give.
        let most = if name == "crash" { 2 } else { 0 };
        assert!(found.requests.lost <= most, "{name}: {}", plain(&found));
    }
}

/// What the comparison with stable has to tell apart, at 200 requests a second of which the old version fails 0.2 %, and how many
/// minutes it may take. Twice as many errors are found in a third of the releases.
#[test]
fn regressions_end_as_they_say() {
    let rows = [
        ("tolerable", "Promoted", 30),
        ("three-times", "RolledBack", 8),
        ("five-times", "RolledBack", 4),
        ("twenty-times", "RolledBack", 2),
        ("surge", "Promoted", 30),
        ("late", "RolledBack", 10),
        ("behind-an-outage", "RolledBack", 12),
    ];
    for (name, outcome, minutes) in rows {
        let found = summary(&short("interval: 1m, threshold: 5"), name, RULES);
        let shown = plain(&found);
        assert_eq!(found.outcome, outcome, "{name}: {shown}");
        assert!(
            found.duration_seconds <= f64::from(minutes * 60),
            "{name}: {shown}"
        );
        let worse = shown.contains("worse than stable");
        assert_eq!(worse, outcome == "RolledBack", "{name}: {shown}");
    }
}

#[test]
fn slow_replies_are_found_where_they_are_measured() {
    let measured =
        format!("{QUICK}, metrics: [{{name: request-duration, thresholdRange: {{max: 500}}}}]");
    let rows = [(short(QUICK), 0), (short(&measured), 1)];
    for (manifests, code) in rows {
        let found = summary(&manifests, "latency", RULES);
        assert_eq!(found.exit_code, code, "{}", plain(&found));
    }
}

#[test]
fn a_good_and_a_bad_release_look_like_this() {
    let good = plain(&summary(&short(QUICK), "good", RULES));
    expect_file!["../../../tests/golden/simulate/good.txt"].assert_eq(&good);
    let bad = plain(&summary(&short(QUICK), "errors", RULES));
    expect_file!["../../../tests/golden/simulate/errors.txt"].assert_eq(&bad);
}

#[test]
fn the_same_seed_plays_the_same_release() {
    let mut first = script(&short(QUICK), "errors").unwrap();
    let json = |script: &Script| {
        let report = played(script, RULES).unwrap();
        json(&Summary::new(&report, "errors", 1)).unwrap()
    };
    let once = json(&first);
    assert_eq!(once, json(&first));
    first.seed = 2;
    assert_ne!(once, json(&first));
}

#[test]
fn json_has_what_the_text_has() {
    let report = played(&script(&short(QUICK), "errors").unwrap(), RULES).unwrap();
    let told = json(&Summary::new(&report, "errors", 1)).unwrap();
    let mut told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let rows = told["timeline"].as_array().unwrap();
    let round = rows.iter().find(|row| row["kind"] == "checks").cloned();
    told["timeline"] = serde_json::json!([rows[0], rows[1], round]);
    let told = serde_json::to_string_pretty(&told).unwrap();
    expect_file!["../../../tests/golden/simulate/errors.json"].assert_eq(&told);
}

#[test]
fn an_approval_is_waited_for_or_given() {
    let steps =
        "interval: 10s, steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {checks: 1}]";
    let found = summary(&short(steps), "good", RULES);
    assert_eq!((found.outcome.as_str(), found.exit_code), ("Waiting", 3));
    assert!(
        found.reason.contains("approval in step 1/2 at 20 %"),
        "{}",
        found.reason
    );
    let since = found.waiting_since_seconds.unwrap();
    assert!((1.0..60.0).contains(&since), "{since}");
    let approving = Rules {
        approve: true,
        ..RULES
    };
    let found = summary(&short(steps), "good", approving);
    assert_eq!(found.exit_code, 0, "{}", plain(&found));
}

#[test]
fn what_does_not_end_in_time_says_so() {
    let rules = Rules {
        limit: Duration::from_secs(30),
        ..RULES
    };
    let found = summary(&short("interval: 1m"), "good", rules);
    assert_eq!((found.outcome.as_str(), found.exit_code), ("Unfinished", 3));
    assert_eq!(found.duration_seconds, 30.0);
}

#[expect(clippy::needless_pass_by_value, reason = "so that it reads well")]
fn check(manifests: &str, expected: Expect) {
    expected.assert_eq(&broken(manifests));
}

#[test]
fn a_broken_canary_is_pointed_at() {
    let canary = format!(
        "{SHORT}  provder: kubernetes\n  analysis:\n    interval: 10\n    threshhold: 2\n    stepWeights: [10, 5]\n"
    );
    check(
        &canary,
        expect![[r#"
            it.yaml:8:3: spec.provder: is no field; did you mean provider?
            it.yaml:10:5: spec.analysis.interval: Invalid value: "integer": spec.analysis.interval in body must be of type string: "integer"
            it.yaml:11:5: spec.analysis.threshhold: is no field; did you mean threshold?"#]],
    );
    check(
        &short("match: [{headers: {}}]"),
        expect![
            "it.yaml:8:22: spec.analysis.match[0]: describes no requests; write for instance headers: {x-canary: {exact: insider}}"
        ],
    );
    check(
        "{apiVersion: v1, kind: Service, metadata: {name: a}}",
        expect!["simulate: no file holds a Canary (apiVersion: serin.dev/v1beta1, kind: Canary)"],
    );
    check(
        &format!("{SHORT}---{SHORT}"),
        expect![
            "it.yaml:11:12: metadata.name: is another Canary; one is simulated at a time: choose it with --canary NAME"
        ],
    );
    let template = "metrics: [{name: own, templateRef: {name: missing}, thresholdRange: {max: 1}}]";
    check(
        &short(template),
        expect![[
            r#"it.yaml:8:36: spec.analysis.metrics[0].templateRef: there is no MetricTemplate "missing" in "shop""#
        ]],
    );
    let deployment = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replica: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: web, image: 'web:1'}]}
";
    check(
        &format!("{SHORT}{deployment}"),
        expect![[r#"
        it.yaml:13:3: spec.replica: is no field of a Deployment
        it.yaml:16:16: spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match template `labels`"#]],
    );
}

/// What is not refused here: the simulated cluster has a metrics server, plays one Canary at a time, and makes up routes.
const TAKEN: [&str; 5] = ["54-", "68-", "69-", "77-", "91-"];

/// Every manifest that a controller refuses is refused here in the same words.
#[test]
fn refusals_of_a_cluster_are_refusals_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = text
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("# refused: ");
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let told = std::panic::catch_unwind(|| broken(&text));
        let told = told.unwrap_or_else(|_| "nothing".to_owned());
        let is_taken = TAKEN.iter().any(|taken| name.starts_with(taken));
        if told.contains(expected) == is_taken {
            found.push(format!("{name}: {expected}\n    {told}"));
        }
    }
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
}

#[test]
fn every_provider_can_be_played() {
    let of = with_spec;
    let rows = [
        (of("  provider: kubernetes\n  service: {port: 80}\n"), true),
        (of("  provider: none\n"), false),
        (
            of("  service: {port: 80, targetPort: http, gatewayRefs: [{name: gateway}]}\n"),
            true,
        ),
        (
            of(
                "  service: {port: 8080}\n  routeRefs: [{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, name: mine}]\n",
            ),
            true,
        ),
        (
            of(
                "  autoscalerRef: {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, name: web}\n  service: {port: 80, gatewayRefs: [{name: gateway}]}\n",
            ),
            true,
        ),
        (of("  provider: traefik\n  service: {port: 80}\n"), true),
        (
            of(
                "  provider: istio\n  service: {port: 80, hosts: [shop.example.com], gateways: [mesh, ops/gw]}\n",
            ),
            true,
        ),
        (
            of(
                "  provider: nginx\n  service: {port: 80}\n  ingressRef: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: web}\n",
            ),
            true,
        ),
        (
            of(
                "  provider: contour\n  service: {port: 80}\n  routeRefs: [{apiVersion: projectcontour.io/v1, kind: HTTPProxy, name: web}]\n",
            ),
            true,
        ),
        (
            of("  revision: abc\n  service: {port: 80, gatewayRefs: [{name: gateway}]}\n"),
            true,
        ),
    ];
    for (manifests, has_users) in rows {
        is_played(&manifests, has_users);
    }
}

#[test]
fn a_provider_with_references_of_its_own_is_played_without_them() {
    let of = with_spec;
    is_played(
        &of(
            "  provider: apisix\n  service: {port: 80}\n  routeRef: {apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: web}\n",
        ),
        true,
    );
    is_played(
        &of("  provider: smi:v1alpha2\n  service: {port: 80}\n"),
        true,
    );
}

#[test]
fn users_that_the_canary_describes_come_too() {
    let by_header =
        "match: [{headers: {x-canary: {exact: insider}}}], iterations: 2, interval: 10s";
    let of = |provider: &str, more: &str| {
        let head = SHORT.lines().take(6).collect::<Vec<_>>().join("\n");
        format!(
            "{head}\n  provider: {provider}\n  service: {{port: 80}}\n  analysis: {{{by_header}{more}}}\n"
        )
    };
    let good = summary(&of("istio", ", mirror: true"), "good", RULES);
    assert_eq!(good.exit_code, 0, "{}", plain(&good));
    assert!(plain(&good).contains("copies of requests, which are left out"));
    let bad = summary(&of("contour", ""), "errors", RULES);
    assert_eq!(bad.exit_code, 1, "{}", plain(&bad));
}

/// A short release of a Canary with these fields.
fn with_spec(spec: &str) -> String {
    let head = SHORT.lines().take(6).collect::<Vec<_>>().join("\n");
    format!("{head}\n{spec}  analysis: {{{QUICK}}}\n")
}

fn is_played(manifests: &str, has_users: bool) {
    let found = summary(manifests, "good", RULES);
    assert_eq!(found.exit_code, 0, "{manifests}{}", plain(&found));
    assert_eq!(
        found.requests.sent > 0,
        has_users,
        "{manifests}{}",
        plain(&found)
    );
    assert_eq!(found.requests.lost, 0, "{manifests}{}", plain(&found));
}

/// A Deployment as teams have them: with its own probes, configuration, sidecar and placement.
const OWN: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {disk: fast}
      volumes: [{name: c, configMap: {name: web-config}}]
      initContainers: [{name: migrate, image: 'migrate:1', args: [sh, -c, 'run || exit 3']}]
      containers:
      - name: web
        image: registry.example/shop/web:1.4.2
        env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: web, key: token}}}]
        ports: [{name: http, containerPort: 3000}]
        readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 2}
        resources: {requests: {cpu: '30', memory: 1Gi}}
      - {name: proxy, image: 'proxy:2', command: [sh, -c, 'exit 1']}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web, namespace: shop}
";

#[test]
fn an_own_deployment_is_played_as_it_is() {
    let manifests = format!("{}{OWN}", short(QUICK));
    let found = summary(&manifests, "good", RULES);
    assert_eq!(found.exit_code, 0, "{}", plain(&found));
    assert_eq!(found.candidate, "registry.example/shop/web:1.4.3");
    assert_eq!(found.requests.lost, 0);
    assert_eq!(
        found.notes,
        ["ServiceMonitor web is left out: the simulated cluster does not know ServiceMonitors"]
    );
}

#[test]
fn scenarios_of_pods_need_no_own_words_in_images() {
    let manifests = format!("{}{OWN}", short(QUICK)).replace(
        "spec:\n  targetRef",
        "spec:\n  progressDeadlineSeconds: 60\n  targetRef",
    );
    let rows = [
        ("candidate: [{image: missing}]", "ImagePullBackOff"),
        ("candidate: [{ready: false}]", "NotReady"),
        ("candidate: [{crash: 1s, exit: 3}]", "exit code 3"),
    ];
    for (scenario, expected) in rows {
        let mut script = script(&manifests, "good").unwrap();
        script.scenario =
            Scenario::read(&format!("traffic: [{{rate: 50}}]\n{scenario}\n"), "own").unwrap();
        let report = played(&script, RULES).unwrap();
        let told = plain(&Summary::new(&report, "own", 1));
        assert_eq!(summary::exit(&report.ending), Exit::Failed, "{told}");
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_template_is_asked_with_its_variables() {
    let template = "---
apiVersion: serin.dev/v1beta1
kind: MetricTemplate
metadata: {name: failures, namespace: shop}
spec:
  provider: {type: prometheus, address: 'http://elsewhere:9090'}
  query: |
    100 * sum(rate(http_request_duration_seconds_count{pod=~\"{{ target }}-.*\", status=~\"5..\"}[{{ interval }}]))
      / sum(rate(http_request_duration_seconds_count{pod=~\"{{ target }}-.*\"}[{{ interval }}]))
";
    let metric = format!(
        "{QUICK}, metrics: [{{name: failures, interval: 30s, templateRef: {{name: failures}}, thresholdRange: {{max: 1}}}}]"
    );
    let manifests = format!("{}{template}", short(&metric));
    for (scenario, code) in [("good", 0), ("errors", 1)] {
        let found = summary(&manifests, scenario, RULES);
        assert_eq!(found.exit_code, code, "{}", plain(&found));
        assert!(plain(&found).contains("failures"), "{}", plain(&found));
    }
}

/// A file of this project.
fn own(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

#[test]
fn examples_can_be_read() {
    for name in ["slow-leak", "night"] {
        let path = format!("examples/scenarios/{name}.yaml");
        Scenario::read(&own(&path), &path).unwrap();
    }
    let page = own("docs/simulate.md");
    let block = page
        .split("```yaml\n")
        .nth(1)
        .and_then(|it| it.split("```").next());
    let scenario = Scenario::read(block.unwrap(), "docs/simulate.md").unwrap();
    assert_eq!(scenario.last_change(), Duration::from_secs(600));
    for name in NAMED.map(|(name, _)| name) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/simulate.md lacks {name}"
        );
    }
    let found = summary(&own("examples/canary.yaml"), "errors", RULES);
    assert_eq!(found.exit_code, 1, "{}", plain(&found));
}
