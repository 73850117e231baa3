"""Dashboards: what they ask for exists, and is found in a fleet at work."""

import functools
import json
import re
import sys
import tempfile

from claims import rows, test
from claims.helm import DASHBOARDS, ROOT, run, tool

# Of others, and where they come from: docs (what an application exports), kube-state-metrics.
FOREIGN = {
    "http_request_duration_seconds_bucket": {"namespace", "pod", "status", "le"},
    "http_request_duration_seconds_count": {"namespace", "pod", "status"},
    "kube_deployment_status_replicas_available": {"namespace", "deployment"},
    "kube_deployment_spec_replicas": {"namespace", "deployment"},
}
# Labels of every series: of the target that was scraped.
SCRAPED = {"pod", "job", "instance"}


def section(text, begin):
    """The body of a function, up to the brace that ends it in its own column."""
    indent, rest = re.search(rf"(?m)^( *){begin}(.*)", text, re.S).groups()
    return rest[: rest.index(f"\n{indent}}}")]


@functools.lru_cache(maxsize=None)
def exported():
    """The names under which Serin's metrics are scraped, out of src/telemetry."""
    source = (ROOT / "src/telemetry/mod.rs").read_text()
    gauges = (ROOT / "src/telemetry/gauges.rs").read_text()
    name = r'"(serin_[a-z_]+)"'
    found = {f"{counter}_total" for counter in re.findall(name, section(source, r"fn register_counters"))}
    for other in re.findall(name, section(source, r"fn register_others")):
        if other == "serin_build":
            found.add("serin_build_info")
        elif other.endswith("_seconds"):
            found.update(other + end for end in ("_bucket", "_count", "_sum"))
        else:
            found.add(other)
    for gauged in (r"fn into_registry", r"fn register\("):
        found.update(re.findall(name, section(gauges, gauged)))
    assert len(found) > 25, found
    return found


@functools.lru_cache(maxsize=None)
def labels():
    """The labels that Serin writes, out of src/telemetry."""
    text = (ROOT / "src/telemetry/mod.rs").read_text() + (ROOT / "src/telemetry/gauges.rs").read_text()
    return set(re.findall(r'\(\s*"([a-z_]+)",', text)) | {"version", "le"} | SCRAPED


def names_in(expression):
    """Names of metrics, and of the labels that are matched or grouped by."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    matched = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=(?!=))\s*\"\"", text))
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    clause = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"
    grouped = {word.strip() for words in re.findall(clause, text) for word in words.split(",") if word.strip()}
    text = re.sub(clause, " ", text)
    words = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[a-zA-Z0-9_:])", text)
    operators = {"and", "or", "unless", "bool", "offset", "by", "on"}
    return {word for word in words if word not in operators}, matched | grouped


def check_names(expression, made=()):
    """`made` are labels that the expression makes itself."""
    metrics, used = names_in(expression)
    unknown = metrics - exported() - set(FOREIGN)
    assert metrics and not unknown, f"{unknown} in {expression}"
    foreign = set().union(*(FOREIGN[name] for name in metrics & set(FOREIGN))) if metrics & set(FOREIGN) else set()
    strange = used - labels() - foreign - set(made)
    assert not strange, f"labels {strange} in {expression}"


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def queries(board):
    """The expressions of a dashboard as Prometheus gets them, with values in place of Grafana's variables."""
    variables = {"__rate_interval": "1m", "namespace": "shop", "name": "web", "target": "web", "metric": "request-duration"}
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            text = re.sub(r"\$(\w+)", lambda found: variables[found.group(1)], target["expr"])
            yield panel["title"], text
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.*), ([a-z_]+)\)", variable["definition"])
            assert inner and inner.group(2) in labels(), variable["definition"]
            yield variable["name"], re.sub(r"\$(\w+)", lambda found: variables[found.group(1)], inner.group(1))


@test
def dashboards_are_what_make_writes():
    run(sys.executable, DASHBOARDS / "make", "--check")
    assert set(dashboards()) == {"fleet", "release", "controller"}


@rows(**{name: name for name in ("fleet", "release", "controller")})
def every_expression_of_a_dashboard_parses(name):
    found = list(queries(dashboards()[name]))
    assert len(found) > 10
    rules = [{"record": f"query:{number}", "expr": text} for number, (_, text) in enumerate(found)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": name, "rules": rules}]}, file)
        file.flush()
        run(tool("promtool-"), "check", "rules", "--lint=none", file.name)


@rows(**{name: name for name in ("fleet", "release", "controller")})
def dashboards_use_only_metrics_that_exist(name):
    for _, text in queries(dashboards()[name]):
        check_names(text)


@test
def panels_are_told_apart_and_do_not_overlap():
    for name, board in dashboards().items():
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
            assert not cells & taken and max(x for x, _ in cells) < 24, f"{name}: {panel['title']}"
            taken |= cells
    assert len({board["uid"] for board in dashboards().values()}) == 3


@test
def every_metric_of_serin_is_shown():
    shown = {name for board in dashboards().values() for _, text in queries(board) for name in names_in(text)[0]}
    missing = {name for name in exported() if name not in shown and not name.endswith(("_count", "_sum"))}
    assert not missing, missing


# A fleet as two replicas show it: a release under way, one that was rejected, and one past its deadline that waits, unprotected.
# The names of labels are those that src/telemetry writes.
CHECK, ARMS = 'metric="request-duration"', ("canary", "stable")
FLEET = [
    (
        "serin_canary_info",
        ['target="%(name)s",target_kind="Deployment",provider="gatewayapi:v1",strategy="canary"'],
        "1x60",
    ),
    (
        "serin_canary_weight",
        [f'arm="{arm}",kind="{kind}"' for arm in ARMS for kind in ("desired", "written", "observed")],
        "50x60",
    ),
    ("serin_canary_step", [""], "2x60"),
    ("serin_canary_steps", [""], "3x60"),
    ("serin_canary_failed_checks", [""], "1x60"),
    ("serin_canary_transition_timestamp_seconds", [""], "0x60"),
    ("serin_canary_deadline_timestamp_seconds", [""], "60x60"),
    ("serin_metric_value", [f'{CHECK},arm="{arm}"' for arm in ARMS], "210x60"),
    ("serin_metric_samples", [f'{CHECK},arm="canary"'], "400x60"),
    ("serin_metric_no_data", [f'{CHECK},arm="canary"'], "0x60"),
    ("serin_metric_threshold", [f'{CHECK},bound="max"'], "500x60"),
    ("serin_metric_evidence", [f'{CHECK},bound="{one}"' for one in ("worse", "promotion")], "2x60"),
    ("serin_metric_evidence_limit", [f'{CHECK},bound="{one}"' for one in ("worse", "promotion")], "5x60"),
]
PHASES = {"web": "Progressing", "cart": "Failed", "mail": "WaitingPromotion"}
GROWS, BUCKETS = "0+3x60", ["0.5", "5.0", "+Inf"]
PROCESS = [
    ("serin_leader", [""], "1x60"),
    ("serin_build_info", ['version="0.1.0"'], "1x60"),
    ("serin_runs_total", ['outcome="promoted",proof="complete",strategy="canary",provider="gatewayapi:v1"'], GROWS),
    ("serin_run_duration_seconds_bucket", [f'outcome="promoted",le="{le}"' for le in BUCKETS], GROWS),
    ("serin_rollback_reaction_seconds_bucket", [f'le="{le}"' for le in BUCKETS], GROWS),
    ("serin_reconcile_total", ['result="done"', 'result="failed"'], GROWS),
    ("serin_reconcile_duration_seconds_bucket", [f'le="{le}"' for le in BUCKETS], GROWS),
    (
        "serin_api_requests_total",
        ['verb="patch",resource="canaries",code="200"', 'verb="patch",resource="canaries",code="409"'],
        GROWS,
    ),
    ("serin_watch_restarts_total", ['resource="pods"'], GROWS),
    ("serin_webhook_reviews_total", ['webhook="hold",result="changed"'], GROWS),
    ("serin_route_writes_total", ['provider="gatewayapi:v1",result="done"'], GROWS),
    ("serin_route_resets_total", ['provider="gatewayapi:v1"'], GROWS),
    ("serin_provider_requests_total", ['type="prometheus",result="answered"'], GROWS),
    (
        "serin_provider_request_duration_seconds_bucket",
        [f'type="prometheus",result="answered",le="{le}"' for le in BUCKETS],
        GROWS,
    ),
    ("serin_notifications_total", ['type="slack",result="sent"'], GROWS),
    ("serin_invariant_breaches_total", ['id="T3"'], "1x60"),
]


def series():
    """The fleet for promtool."""

    def one(name, inside, values):
        return {"series": f"{name}{{{','.join(part for part in inside if part)}}}", "values": values}

    for pod in ("serin-a", "serin-b"):
        for name, more, values in PROCESS:
            yield from (one(name, [f'pod="{pod}"', labels], values) for labels in more)
        for canary, phase in PHASES.items():
            of_canary = f'namespace="shop",name="{canary}",pod="{pod}"'
            for name, more, values in FLEET:
                yield from (one(name, [of_canary, labels % {"name": canary}], values) for labels in more)
            for other in sorted(PHASES.values()):
                yield one("serin_canary_phase", [of_canary, f'phase="{other}"'], f"{int(other == phase)}x60")
            yield one("serin_canary_gate_armed", [of_canary], f"{int(canary != 'mail')}x60")
            yield one("serin_canary_held", [of_canary], "1x60")
    for pod in ("web-canary-7f9c4d-x2v7k", "web-6dd7b68f5-abcde"):
        for status in ("200", "503"):
            of_pod = f'namespace="shop",pod="{pod}",status="{status}"'
            yield one("http_request_duration_seconds_count", [of_pod], GROWS)
            yield from (one("http_request_duration_seconds_bucket", [of_pod, f'le="{le}"'], GROWS) for le in BUCKETS)


@rows(**{name: name for name in ("fleet", "release", "controller")})
def every_expression_of_a_dashboard_has_data_of_a_fleet_at_work(name):
    shown = [
        {"expr": f"count({text}) > bool 0", "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for _, text in queries(dashboards()[name])
    ]
    trial = {"interval": "30s", "input_series": list(series()), "promql_expr_test": shown}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"evaluation_interval": "30s", "tests": [trial]}, file)
        file.flush()
        run(tool("promtool-"), "test", "rules", file.name)


@rows(**{name: name for name in ("fleet", "release", "controller")})
def legends_name_labels_that_are_left(name):
    for panel in dashboards()[name]["panels"]:
        for target in panel.get("targets", []):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.search(r"\bby \(([^)]*)\)", target["expr"])
            left = {word.strip() for word in grouped.group(1).split(",")} if grouped else set()
            assert wanted <= left, f"{panel['title']}: {wanted - left} of {target['expr']}"
