"""Values: every flag of the controller is one, all are documented, and what cannot be meant is refused."""

import json
import re

import yaml

from claims import rows, test
from claims.helm import CHART, HELMS, ROOT, arguments, documents, key, notes, of, only, pods, refusal, template

# A value for each field of ControllerArgs, and what the controller is called with then.
FLAGS = {
    "provider": ("kubernetes", "--provider=kubernetes"),
    "metrics_server": ("http://prometheus.monitoring:9090", "--metrics-server=http://prometheus.monitoring:9090"),
    "listen": ("127.0.0.1:9000", "--listen=127.0.0.1:9000"),
    "anonymous_reads": (True, "--anonymous-reads"),
    "trusted_hosts": ("hooks.tools,[::1]:80", "--trusted-hosts=hooks.tools,[::1]:80"),
    "api_audience": ("serin", "--api-audience=serin"),
    "leader_elect": (False, "--leader-elect=false"),
    "lease_namespace": ("leases", "--lease-namespace=leases"),
    "identity": ("one", "--identity=one"),
    "concurrency": (64, "--concurrency=64"),
    "log_format": ("json", "--log-format=json"),
    "log_level": ("serin=debug,kube=info", "--log-level=serin=debug,kube=info"),
}


def camel(name):
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


@test
def every_flag_of_the_controller_is_a_value():
    source = (ROOT / "src/cli/controller.rs").read_text()
    body = re.search(r"pub struct ControllerArgs \{(.*?)\n\}", source, re.S).group(1)
    # Those of the webhook follow the gate that is chosen, those of TLS the Secret that is named.
    apart = ("webhook", "tls")
    fields = {name for name in re.findall(r"^\s+pub (\w+):", body, re.M) if not name.startswith(apart)}
    assert fields == set(FLAGS), fields ^ set(FLAGS)
    known = set(documents((CHART / "values.yaml").read_text())[0]["controller"])
    assert known == {camel(name) for name in fields}, known
    for name, (value, flag) in FLAGS.items():
        assert flag in arguments(template(values={f"controller.{camel(name)}": value})), flag
    assert arguments(template()) == ["controller"]
    assert "--namespace=shop" in arguments(template(values={"namespaces": ["shop"]}))
    assert not [word for word in arguments(template(values={"namespaces": ["a", "b"]})) if "namespace" in word]
    assert arguments(template(values={"extraArgs": ["--new"]}))[-1] == "--new"


@test
def ports_follow_the_address():
    objects = template(values={"controller.listen": "[::]:9000"})
    assert pods(objects)[0]["containers"][0]["ports"] == [{"name": "http", "containerPort": 9000}]
    assert notes(only(objects, "Service"))["prometheus.io/port"] == "9000"


@test
def a_certificate_is_served_where_its_secret_is_named():
    objects = template(values={"api.tls.secretName": "serin-tls"})
    pod = pods(objects)[0]
    container = pod["containers"][0]
    assert container["args"][-2:] == ["--tls-certificate=/etc/serin/tls/tls.crt", "--tls-key=/etc/serin/tls/tls.key"]
    assert container["volumeMounts"] == [{"name": "tls", "mountPath": "/etc/serin/tls", "readOnly": True}]
    assert pod["volumes"] == [{"name": "tls", "secret": {"secretName": "serin-tls"}}]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS", probe
    assert notes(only(objects, "Service"))["prometheus.io/scheme"] == "https"
    plain = pods(template())[0]
    assert "volumes" not in plain and "scheme" not in plain["containers"][0]["readinessProbe"]["httpGet"]


@test
def the_right_on_the_lease_follows_its_namespace():
    values = {"controller.leaseNamespace": "leases"}
    for objects in (template(values=values), template(values=values, hooks=True)):
        for one in of(objects, "Role") + of(objects, "RoleBinding"):
            assert one["metadata"]["namespace"] == "leases", key(one)
    job = of(template(values=values, hooks=True), "Job")[0]
    assert "--lease-namespace=leases" in job["spec"]["template"]["spec"]["containers"][0]["args"]


# What Helm answers has to have every one of the words.
REFUSED = {
    "a misspelt value": ({"replica": 2}, ["'replica' not allowed"]),
    "a misspelt flag": ({"controller.metricServer": "http://p"}, ["/controller", "'metricServer' not allowed"]),
    "replicas as text": ({"replicas": "two"}, ["/replicas", "integer"]),
    "too many replicas": ({"replicas": 50}, ["/replicas", "10"]),
    "an unknown provider": (
        {"controller.provider": "knative"},
        ["/controller/provider", "gatewayapi:v1", "kubernetes", "none"],
    ),
    "a metrics server without a scheme": (
        {"controller.metricsServer": "prometheus:9090"},
        ["/controller/metricsServer", "https?://"],
    ),
    "an address without a port": ({"controller.listen": "0.0.0.0"}, ["/controller/listen", "0.0.0.0"]),
    "no canary at a time": ({"controller.concurrency": 0}, ["/controller/concurrency", "1"]),
    "an unknown form of the log": ({"controller.logFormat": "xml"}, ["/controller/logFormat", "text", "json"]),
    "a switch as text": ({"controller.anonymousReads": "no"}, ["/controller/anonymousReads", "boolean"]),
    "a tag that is a number": ({"image.tag": 1.5}, ["/image/tag", "string"]),
    "a tag in the repository": ({"image.repository": "serin:1.0.0"}, ["/image/repository", "serin:1.0.0"]),
    "an unknown gate": ({"gate.mode": "none"}, ["/gate/mode", "policies", "webhook"]),
    "a life without a unit": ({"gate.webhook.certificateLife": "90"}, ["/gate/webhook/certificateLife", "90"]),
    "a port that is taken": ({"gate.mode": "webhook", "controller.listen": "0.0.0.0:9443"}, ["controller.listen", "9443"]),
    "a cut digest": ({"image.digest": "sha256:abc"}, ["/image/digest", "sha256:[0-9a-f]{64}"]),
    "an unknown pull policy": ({"image.pullPolicy": "Sometimes"}, ["/image/pullPolicy", "IfNotPresent"]),
    "pull secrets as names": ({"imagePullSecrets": ["pull"]}, ["/imagePullSecrets/0", "object"]),
    "namespaces as text": ({"namespaces": "shop"}, ["/namespaces", "array"]),
    "a namespace that is none": ({"namespaces": ["Shop"]}, ["/namespaces/0", "Shop"]),
    "a namespace twice": ({"namespaces": ["shop", "shop"]}, ["/namespaces", "items at 0 and 1 are equal"]),
    "a port that is none": ({"service.port": 70000}, ["/service/port", "65,535"]),
    "an unknown kind of Service": ({"service.type": "External"}, ["/service/type", "ClusterIP"]),
    "a budget in words": ({"podDisruptionBudget.maxUnavailable": "half"}, ["/podDisruptionBudget/maxUnavailable", "half"]),
    "an interval without a unit": ({"serviceMonitor.interval": "15"}, ["/serviceMonitor/interval", "15"]),
    "a label that is a number": ({"prometheusRule.labels": {"tier": 1}}, ["/prometheusRule/labels/tier", "string"]),
    "another selector": ({"podLabels": {"app.kubernetes.io/name": "other"}}, ["/podLabels"]),
    "no time to disarm": ({"disarm.deadlineSeconds": 1}, ["/disarm/deadlineSeconds", "60"]),
    "limits that are none": ({"resources": {"limit": {}}}, ["/resources", "'limit' not allowed"]),
    "replicas without an election": (
        {"replicas": 2, "controller.leaderElect": False},
        ["every replica would act", "Set replicas to 1"],
    ),
    "replicas with one name": ({"replicas": 2, "controller.identity": "one"}, ["controller.identity", "one name"]),
    "no account": ({"serviceAccount.create": False}, ["serviceAccount.name is empty"]),
}


@rows(**REFUSED)
def values_are_refused(row):
    values, words = row
    for helm in HELMS:
        said = refusal(values, helm)
        missing = [word for word in words if word not in said]
        assert not missing, f"{helm} {missing}: {said}"


@test
def every_value_stands_in_the_schema_and_the_other_way_round():
    def compare(values, schema, path):
        names = set(schema["properties"]) - {"global"} if not path else set(schema["properties"])
        assert set(values) == names, f"{path}: {set(values) ^ names}"
        assert schema["additionalProperties"] is False, path
        for name, inner in schema["properties"].items():
            if inner.get("properties") and name != "resources":
                compare(values[name], inner, f"{path}/{name}")

    schema = json.loads((CHART / "values.schema.json").read_text())
    compare(documents((CHART / "values.yaml").read_text())[0], schema, "")


@test
def every_value_is_documented():
    text = (CHART / "README.md").read_text()
    words = set(re.findall(r"\w+", text))
    for name, value in documents((CHART / "values.yaml").read_text())[0].items():
        assert f"`{name}`" in text, name
        if isinstance(value, dict) and name != "resources":
            assert set(value) <= words, f"{name}: {set(value) - words}"


@test
def a_value_that_is_taken_away_is_left_to_its_default():
    empty = ["gate.mode", "controller.leaderElect", "controller.provider", "namespaces", "affinity", "podLabels", "service.annotations"]
    assert template(values={name: None for name in empty}) == template()


@test
def versions_are_those_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'(?m)^version = "(.*)"$', (ROOT / "Cargo.toml").read_text()).group(1)
    assert chart["appVersion"] == chart["version"] == version
    assert pods(template())[0]["containers"][0]["image"] == f"serin:{version}"
