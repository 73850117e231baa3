"""Alerts: each fires when it should, and the chart brings them as they are."""

import json

import yaml

from claims import test
from claims.dashboards import check_names, dashboards
from claims.helm import DASHBOARDS, notes, of, only, run, template, tool


def rules():
    groups = yaml.safe_load((DASHBOARDS / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@test
def rules_parse():
    run(tool("promtool-"), "check", "rules", "--lint=all", "--lint-fatal", DASHBOARDS / "rules.yaml")


@test
def rules_fire_when_they_should():
    run(tool("promtool-"), "test", "rules", DASHBOARDS / "rules.test.yaml")


@test
def every_alert_is_seen_firing_and_silent():
    trials = [
        trial
        for one in yaml.safe_load((DASHBOARDS / "rules.test.yaml").read_text())["tests"]
        for trial in one["alert_rule_test"]
    ]
    for fires in (True, False):
        seen = {trial["alertname"] for trial in trials if bool(trial["exp_alerts"]) == fires}
        missing = {rule["alert"] for rule in rules()} - seen
        assert not missing, f"{'firing' if fires else 'silent'}: {missing}"


@test
def rules_use_only_metrics_that_exist():
    for rule in rules():
        check_names(rule["expr"], made=["deployment"])


@test
def alerts_say_what_and_what_next():
    for rule in rules():
        assert rule["labels"]["severity"] in ("info", "warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


@test
def the_chart_brings_rules_and_dashboards_as_they_are():
    objects = template(values={"prometheusRule.enabled": True, "dashboards.enabled": True})
    assert only(objects, "PrometheusRule")["spec"] == yaml.safe_load((DASHBOARDS / "rules.yaml").read_text())
    maps = of(objects, "ConfigMap")
    found = {one["metadata"]["name"]: json.loads(next(iter(one["data"].values()))) for one in maps}
    assert found == {f"serin-dashboard-{name}": board for name, board in dashboards().items()}
    assert all(one["metadata"]["labels"]["grafana_dashboard"] == "1" for one in maps)


@test
def a_monitor_keeps_the_namespace_of_a_canary_and_scrapes_once():
    objects = template(values={"serviceMonitor.enabled": True})
    monitor, service = only(objects, "ServiceMonitor"), only(objects, "Service")
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert not notes(service), "scraped by annotation too"
