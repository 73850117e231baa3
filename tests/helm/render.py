"""The checks of tests/helm/render, as rows. Each prints `ok NAME` or `not ok NAME: what is wrong`; the last line adds them up."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from harness import CHART, GUIDE, HELMS, HERE, Refusal, Tally, differs, helm, lacks, merged

HELM = os.environ["helm4"]
RELEASE, NAMESPACE = "my-app", "shop"

GATEWAY = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "gw", "namespace": "default"}], "hostnames": ["shop.example.com"]}}
ON = {"canary": {"enabled": True}}
FILES = {
    "default": [],
    "staging": [CHART / "values-staging.yaml"],
    "production": [CHART / "values-prod.yaml"],
    "cluster": [HERE / "values-cluster.yaml"],
}
# What may be switched on, beside what the files say.
OPTIONS = {
    "nothing": {},
    "gateway": GATEWAY,
    "everything": {
        **GATEWAY,
        "image": {"digest": "sha256:" + "a" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "service": {"type": "LoadBalancer", "port": 8080, "targetPort": 8443, "annotations": {"a": "b"}},
        "metadata": {"gitCommit": "0123abc", "buildNumber": 42},
        "config": {"files": {"app.conf": "a = 1\n"}},
        "env": [{"name": "MODE", "value": "fast"}],
        "envFrom": [{"secretRef": {"name": "all"}}],
        "database": {"existingSecret": "db-credentials"},
        "secretEnv": [{"name": "API_TOKEN", "existingSecret": "api", "existingSecretKey": "token"}],
        "serviceAccount": {"name": "other", "annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "shop"},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "high",
        "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}, "tls": [{"secretName": "tls", "hosts": ["a.b"]}]},
        "autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 70},
        "podDisruptionBudget": {"enabled": True, "minAvailable": "50%"},
        "metrics": {"scrape": True, "port": 9090, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    },
    "worker": {"service": {"enabled": False}, "canary": {"provider": "none"}},
    "blue/green": {"canary": {"provider": "kubernetes"}},
    "own route": {"canary": {"routeRefs": [{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "name": "shop"}]}},
}
# Every option of the Canary that the controller takes.
WHOLE_CANARY = {
    **GATEWAY,
    "canary": {
        "enabled": True,
        "metricsServer": "http://prometheus.monitoring:9090",
        "stepWeights": [5, 25, 100],
        "service": {"canaryIdle": "Empty", "timeout": "15s", "canary": {"labels": {"a": "b"}}},
        "analysis": {
            "interval": "30s", "threshold": 3, "checks": 4, "bake": "5m", "lowTraffic": "Wait", "maxWait": "10m",
            "canaryReadyThreshold": 90, "primaryReadyThreshold": 80, "onFailure": "Pause", "comparison": {"enabled": False},
            "metrics": [
                {"name": "request-success-rate", "thresholdRange": {"min": 99.5}, "interval": "1m", "minSamples": 100},
                {"name": "queue", "templateRef": {"name": "queue"}, "templateVariables": {"q": "mail"},
                 "thresholdRange": {"max": 10}, "onNoData": "fail", "dryRun": True},
            ],
            "webhooks": [
                {"name": "load", "url": "http://tester.test/", "timeout": "30s", "retries": 2, "muteAlert": True, "metadata": {"cmd": "hey"}},
                {"name": "owner", "type": "confirm-promotion", "url": "https://gate.test/owner?app=a"},
            ],
            "alerts": [{"name": "crew", "severity": "warn", "providerRef": {"name": "crew"}}],
            "match": [{"headers": {"x-canary": {"exact": "insider"}}, "queryParams": {"try": {"prefix": "v2."}}}],
        },
        "metricTemplates": {"queue": {"provider": {"type": "prometheus", "address": "http://p:9090"}, "query": "q{a='{{ target }}'}"}},
        "replicas": "50%", "progressDeadlineSeconds": 120, "approvalDeadline": "1h", "rollbackWindow": 0, "historyLimit": 5,
        "skipAnalysis": True, "suspend": True, "deletionPolicy": "Hold", "allow": ["Recreate"],
        "waitHook": {"enabled": True},
    },
}

# Blue/green of the README: tried and switched to by a person, with blue kept for a while.
GREEN = {
    "provider": "kubernetes",
    "analysis": {"steps": [{"checks": 3}, {"pause": {}}, {"setWeight": 100}, {"pause": {"duration": "1h"}}]},
}

# canary.* → the Canary's spec.analysis
PLANS = [
    ("the guide's 20 goes on to 50 and 100", {}, {"stepWeights": [20, 50, 100]}),
    ("10 is followed by 50 and 100", {"weight": 10}, {"stepWeights": [10, 50, 100]}),
    ("50 is followed by 100 alone", {"weight": 50}, {"stepWeights": [50, 100]}),
    ("60 is followed by 100 alone", {"weight": 60}, {"stepWeights": [60, 100]}),
    ("100 is all", {"weight": 100}, {"stepWeights": [100]}),
    ("stepWeights win", {"weight": 10, "stepWeights": [5, 25]}, {"stepWeights": [5, 25]}),
    ("other options of the analysis stay", {"analysis": {"interval": "5s", "checks": 2}},
     {"interval": "5s", "checks": 2, "stepWeights": [20, 50, 100]}),
    ("equal steps are Serin's to count", {"analysis": {"stepWeight": 30, "maxWeight": 90}}, {"stepWeight": 30, "maxWeight": 90}),
    ("explicit steps stay", {"analysis": {"steps": [{"setWeight": 5}, {"pause": {}}]}}, {"steps": [{"setWeight": 5}, {"pause": {}}]}),
    ("hold is a pause at the first weight", {"weight": 60, "hold": "30m"},
     {"steps": [{"setWeight": 60}, {"checks": 3}, {"pause": {"duration": "30m"}}, {"setWeight": 100}, {"checks": 3}]}),
    ("manual asks before each rise", {"weight": 10, "manual": True, "analysis": {"checks": 1}},
     {"checks": 1, "steps": [{"setWeight": 10}, {"checks": 1}, {"pause": {}}, {"setWeight": 50}, {"checks": 1}, {"pause": {}},
                             {"setWeight": 100}, {"checks": 1}]}),
    ("hold and manual come one after the other", {"weight": 60, "hold": "1h", "manual": True},
     {"steps": [{"setWeight": 60}, {"checks": 3}, {"pause": {"duration": "1h"}}, {"pause": {}}, {"setWeight": 100}, {"checks": 3}]}),
    ("manual with one weight asks before it", {"weight": 100, "manual": True},
     {"steps": [{"pause": {}}, {"setWeight": 100}, {"checks": 3}]}),
    ("hold with equal steps", {"hold": "1m", "analysis": {"stepWeight": 50}},
     {"steps": [{"setWeight": 50}, {"checks": 3}, {"pause": {"duration": "1m"}}, {"setWeight": 100}, {"checks": 3}]}),
    ("blue/green has rounds instead of weights", {"provider": "kubernetes"}, {"iterations": 3}),
    ("blue/green with its own rounds", {"provider": "kubernetes", "analysis": {"iterations": 7}}, {"iterations": 7}),
    ("blue/green with blue kept has steps of its own", GREEN, {"steps": GREEN["analysis"]["steps"]}),
    ("blue/green by hand asks before the switch", {"provider": "kubernetes", "manual": True},
     {"steps": [{"checks": 3}, {"pause": {}}]}),
]

# What must not change the Pods, and what must.
SAME_PODS = [
    ("canary.enabled", ON),
    ("canary.weight", {"canary": {"enabled": True, "weight": 70}}),
    ("canary.stepWeights", {"canary": {"enabled": True, "stepWeights": [1, 2]}}),
    ("canary.hold and manual", {"canary": {"enabled": True, "hold": "1h", "manual": True}}),
    ("canary.waitHook", {"canary": {"enabled": True, "waitHook": {"enabled": True}}}),
    ("every option of the canary", {"canary": WHOLE_CANARY["canary"]}),
    ("metadata", {"metadata": {"gitCommit": "abc", "buildNumber": "7"}}),
    ("replicaCount", {"replicaCount": 9}),
    ("httpRoute", GATEWAY),
    ("autoscaling and budget", {"autoscaling": {"enabled": True}, "podDisruptionBudget": {"enabled": True}}),
]
OTHER_PODS = [
    ("image.tag", {"image": {"tag": "1.25"}}),
    ("image.digest", {"image": {"digest": "sha256:" + "b" * 64}}),
    ("resources", {"resources": {"limits": {"cpu": "1"}}}),
    ("env", {"env": [{"name": "A", "value": "b"}]}),
    ("config.files", {"config": {"files": {"a": "b"}}}),
    ("healthcheck.path", {"healthcheck": {"path": "/health"}}),
    ("database.existingSecret", {"database": {"existingSecret": "db"}}),
]

# Values → words of the message
REFUSED = [
    ("a weight of 0", {"canary": {"weight": 0}}, ["/canary/weight", "got 0, want 1"]),
    ("a weight above 100", {"canary": {"weight": 101}}, ["/canary/weight", "got 101, want 100"]),
    ("a weight in words", {"canary": {"weight": "half"}}, ["/canary/weight", "want integer"]),
    ("a misspelt field", {"canary": {"steWeights": [1]}}, ["/canary", "'steWeights' not allowed"]),
    ("a misspelt section", {"replicas": 3}, ["'replicas' not allowed"]),
    ("yes for true", {"canary": {"enabled": "yes"}}, ["/canary/enabled", "want boolean"]),
    ("a tag that became a number", {"image": {"tag": 1.2}}, ["/image/tag", "got number, want integer or string"]),
    ("a repository with a tag", {"image": {"repository": "nginx:1.24"}}, ["/image/repository", "nginx:1.24"]),
    ("a digest that is none", {"image": {"digest": "sha256:ab"}}, ["image.digest", "sha256:ab", "64 hexadecimal digits"]),
    ("a pull policy", {"image": {"pullPolicy": "Sometimes"}}, ["/image/pullPolicy", "'Always', 'IfNotPresent', 'Never'"]),
    ("a service type", {"service": {"type": "ExternalName"}}, ["/service/type", "'ClusterIP', 'NodePort', 'LoadBalancer'"]),
    ("a port", {"service": {"port": 70000}}, ["/service/port", "want 65,535"]),
    ("a relative path", {"healthcheck": {"path": "healthz"}}, ["/healthcheck/path", "healthz"]),
    ("a probe's misspelt field", {"healthcheck": {"liveness": {"periodSecond": 1}}}, ["/healthcheck/liveness", "periodSecond"]),
    ("limit for limits", {"resources": {"limit": {"cpu": 1}}}, ["/resources", "'limit' not allowed"]),
    ("a secret in the values", {"database": {"password": "x"}}, ["database.password", "make a Secret", "database.existingSecret"]),
    ("no history to go back to", {"revisionHistoryLimit": 0}, ["/revisionHistoryLimit", "got 0, want 1"]),
    ("a route without a Gateway", {"httpRoute": {"enabled": True}}, ["httpRoute.parentRefs is empty", "[{name: gateway"]),
    ("an Ingress without a Service", {"ingress": {"enabled": True}, "service": {"enabled": False}}, ["ingress.enabled", "service.enabled"]),
    ("a monitor without a Service", {"metrics": {"serviceMonitor": {"enabled": True}}, "service": {"enabled": False}}, ["serviceMonitor.enabled"]),
    ("a least above the most", {"autoscaling": {"enabled": True, "minReplicas": 20}}, ["minReplicas is 20", "maxReplicas 10"]),
    ("nothing to scale by", {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": None}}, ["targetCPUUtilizationPercentage"]),
    ("a section that was taken out", {"ingress": None}, ["the values lack ingress", "--reset-then-reuse-values"]),
    ("parts that were taken out", {"canary": {"analysis": None}, "service": {"enabled": None}}, ["service.enabled, canary.analysis"]),
    ("a drain beyond the end", {"drainSeconds": 30}, ["drainSeconds is 30", "terminationGracePeriodSeconds 30"]),
]
REFUSED_CANARY = [
    ("weights that fall", {"stepWeights": [50, 10]}, ["canary.stepWeights: 10 does not come after 50", "[10, 50, 100]"]),
    ("a weight twice", {"stepWeights": [50, 50]}, ["50 does not come after 50"]),
    ("a hold without a unit", {"hold": 30}, ['canary.hold is "30"', "30m"]),
    ("an interval in words", {"analysis": {"interval": "often"}}, ["canary.analysis.interval", "90s"]),
    ("a pause in words", {"analysis": {"steps": [{"pause": {"duration": "long"}}]}}, ["canary.analysis.steps[0].pause.duration"]),
    ("a window in words", {"analysis": {"metrics": [{"name": "a", "interval": "x"}]}}, ["canary.analysis.metrics[0].interval"]),
    ("two plans", {"stepWeights": [10], "analysis": {"iterations": 3}}, ["canary.stepWeights and canary.analysis.iterations", "keep one"]),
    ("weights at the wrong place", {"analysis": {"stepWeights": [10]}}, ["canary.analysis.stepWeights", "canary.stepWeights"]),
    ("an end without steps", {"analysis": {"maxWeight": 50}}, ["canary.analysis.maxWeight", "canary.analysis.stepWeight"]),
    ("a hold beside steps", {"hold": "1m", "analysis": {"steps": [{"setWeight": 5}]}}, ["canary.hold", "{pause: {duration: 30m}}"]),
    ("a step of two things", {"analysis": {"steps": [{"setWeight": 5, "checks": 1}]}}, ["/canary/analysis/steps/0"]),
    ("weights for blue/green", {"provider": "kubernetes", "stepWeights": [10]}, ["canary.stepWeights", "canary.analysis.iterations"]),
    ("a provider that comes", {"provider": "knative"}, ["canary.provider", "knative", "gatewayapi:v1"]),
    ("an ApisixRoute that is not named", {"provider": "apisix"}, ["canary.provider is apisix", "canary.routeRefs"]),
    ("an Ingress that is not there", {"provider": "nginx"}, ["canary.provider is nginx", "ingress.enabled"]),
    ("a worker with a Service", {"provider": "none"}, ["canary.provider is none", "service.enabled"]),
    ("a provider without a route", {"provider": "gatewayapi:v1"}, ["no route is named", "httpRoute.enabled"]),
    ("a hook without an address", {"analysis": {"webhooks": [{"name": "a"}]}}, ["/canary/analysis/webhooks/0", "url"]),
    ("a hook of no type", {"analysis": {"webhooks": [{"name": "a", "type": "gate", "url": "http://a/"}]}}, ["/canary/analysis/webhooks/0/type"]),
    ("an alert for nobody", {"analysis": {"alerts": [{"name": "a"}]}}, ["/canary/analysis/alerts/0", "providerRef"]),
    ("a match of two kinds", {"analysis": {"match": [{"headers": {"x": {"exact": "a", "prefix": "b"}}}]}}, ["/canary/analysis/match/0/headers/x"]),
    ("copies of nothing", {"analysis": {"mirrorWeight": 5}}, ["canary.analysis.mirrorWeight", "canary.analysis.mirror: true"]),
    ("copies by a Gateway", {"analysis": {"mirror": True}}, ["canary.analysis.mirror", "contour, istio or kuma"]),
    ("a cookie behind Contour", {"provider": "contour", "analysis": {"sessionAffinity": {"cookieName": "arm"}}}, ["canary.analysis.sessionAffinity", "gatewayapi:v1 or istio"]),
    ("a cookie without a name", {"analysis": {"sessionAffinity": {"maxAge": 60}}}, ["sessionAffinity", "cookieName"]),
    ("copies and a hold", {"hold": "1m", "analysis": {"mirror": True}}, ["canary.analysis.mirror", "{setMirror: 100}"]),
    ("a step by header without a name", {"analysis": {"steps": [{"setHeaderRoute": {}}]}}, ["/canary/analysis/steps/0", "name"]),
    ("a step by header of two kinds", {"analysis": {"steps": [{"setHeaderRoute": {"name": "a", "match": [{"headerName": "x", "headerValue": {"exact": "a", "regex": "b"}}]}}]}}, ["/canary/analysis/steps/0/setHeaderRoute/match/0/headerValue"]),
    ("an unknown option", {"analysis": {"treshold": 1}}, ["/canary/analysis", "'treshold' not allowed"]),
    ("an unknown end", {"analysis": {"onFailure": "rollback"}}, ["/canary/analysis/onFailure", "'Rollback', 'Pause'"]),
    ("a metrics server without a scheme", {"metricsServer": "prometheus:9090"}, ["/canary/metricsServer"]),
    ("weights beyond 100", {"stepWeights": [10, 110]}, ["/canary/stepWeights/1", "want 100"]),
    ("no Pods", {"replicas": 0}, ["/canary/replicas"]),
]

# canary.* → words of NOTES
NOTES = [
    ("without a canary", {"enabled": False}, ["Releases go out directly", "nginx:1.24", "helm test my-app --namespace shop"]),
    ("the guide's weight", {}, ["20 % → 50 % → 100 %", "shortest  9m", "--timeout 15m", "No route is named"]),
    ("a hold", {"hold": "30m"}, ["20 % → hold 30m → 50 % → 100 %", "shortest  39m", "--timeout 50m"]),
    ("approvals", {"manual": True}, ["20 % → approval → 50 % → approval → 100 %", "serin -n shop promote my-app", "people"]),
    ("a short plan", {"stepWeights": [50], "analysis": {"interval": "10s", "checks": 1}}, ["shortest  10s", "timeout   4m"]),
    ("copies first", {"provider": "contour", "analysis": {"mirror": True, "mirrorWeight": 40}}, ["copies of 40 % → 20 % → 50 % → 100 %", "shortest  12m"]),
    ("a way back in steps", {"analysis": {"stepWeightPromotion": 25}}, ["50 % → 100 % → back by 25 %", "shortest  12m", "--timeout 20m"]),
    ("A/B testing", {"analysis": {"iterations": 4, "match": [{"headers": {"x": {"exact": "a"}}}]}}, ["4 checks of matching requests", "shortest  4m"]),
    ("a bake", {"weight": 100, "analysis": {"bake": "1h30m"}}, ["100 % → bake 1h30m", "shortest  1h33m", "--timeout 2h"]),
    ("blue/green", {"provider": "kubernetes"}, ["3 checks without users → all traffic at once", "shortest  3m"]),
    ("blue kept", GREEN, ["3 checks without users → approval → 100 % → hold 1h", "shortest  1h3m", "people"]),
    ("no analysis", {"skipAnalysis": True}, ["as soon as the canary is ready", "shortest  0s", "--timeout 3m"]),
]

# Values → the timeout that Serin itself finds for a good release; None where the Canary is only to be accepted.
SIMULATED = [
    ("the guide's weight", GATEWAY, "15m"),
    ("a hold", merged(GATEWAY, {"canary": {"hold": "30m"}}), "50m"),
    ("approvals", merged(GATEWAY, {"canary": {"manual": True}}), "15m"),
    ("one weight with approval", merged(GATEWAY, {"canary": {"weight": 100, "manual": True}}), "6m"),
    ("a way back in steps", merged(GATEWAY, {"canary": {"analysis": {"stepWeightPromotion": 25}}}), "20m"),
    ("users who stay", merged(GATEWAY, {"canary": {"analysis": {"sessionAffinity": {"cookieName": "arm"}}}}), "15m"),
    ("equal steps", merged(GATEWAY, {"canary": {"analysis": {"stepWeight": 25, "interval": "30s"}}}), "9m"),
    ("a worker", OPTIONS["worker"], "15m"),
    ("blue/green", OPTIONS["blue/green"], None),
    ("blue/green with blue kept", {"canary": GREEN}, None),
    ("blue/green by hand", {"canary": {"provider": "kubernetes", "manual": True}}, None),
    ("an own route", OPTIONS["own route"], None),
    ("an autoscaler, a budget and configuration", OPTIONS["everything"], None),
    ("every option of the Canary", merged(WHOLE_CANARY, {"canary": {"suspend": False}}), None),
]


def template(values, files=(), program=HELM, chart=CHART):
    """The text that Helm renders."""
    chosen = [word for file in files for word in ("-f", file)]
    return helm(program, "template", RELEASE, chart, "--namespace", NAMESPACE, *chosen, values=values)


def objects(text):
    return [document for document in yaml.safe_load_all(text) if document]


def one(found, kind):
    """The only object of a kind."""
    of_kind = [each for each in found if each["kind"] == kind]
    if len(of_kind) != 1:
        raise Refusal(f"{len(of_kind)} objects of kind {kind}, and it should be one")
    return of_kind[0]


def pods(found):
    """Labels and spec of every Pod that the objects make, by what makes it."""
    for each in found:
        if each["kind"] == "Pod":
            yield each["kind"], each["metadata"]["labels"], each["spec"]
        elif each["kind"] in ("Deployment", "Job"):
            template = each["spec"]["template"]
            yield each["kind"], template["metadata"]["labels"], template["spec"]


def matches(selector, labels):
    return selector.items() <= labels.items()


def not_restricted(found):
    """Pods that the restricted profile would not have."""
    for kind, _, spec in pods(found):
        pod = spec["securityContext"]
        if not pod["runAsNonRoot"] or not pod["runAsUser"] or pod["seccompProfile"] != {"type": "RuntimeDefault"}:
            yield f"the Pod of {kind} may run as root"
        for container in spec["containers"]:
            own = container["securityContext"]
            if own["allowPrivilegeEscalation"] or not own["readOnlyRootFilesystem"] or own["capabilities"] != {"drop": ["ALL"]}:
                yield f"the container of {kind} may do too much"


def wrong_selection(found):
    """Selectors reach the Deployment's Pods, and no others."""
    selectors = [each["spec"]["selector"] for each in found if each["kind"] == "Service"]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in found if each["kind"] in ("Deployment", "PodDisruptionBudget")]
    for selector in selectors:
        for kind, labels, _ in pods(found):
            if matches(selector, labels) != (kind == "Deployment"):
                yield f"{selector} and the Pod of {kind}, {labels}"


def wrong_handshake(found, text):
    """One revision, said twice, or none and the way past the gate."""
    deployment = one(found, "Deployment")["metadata"]
    marked = deployment.get("annotations", {}).get("serin.dev/revision")
    bypass = deployment["labels"].get("serin.dev/bypass")
    ours = [each for each in found if each["apiVersion"].startswith("serin.dev/")]
    if not ours:
        if marked or not re.fullmatch("[0-9a-f]{16}", bypass or ""):
            yield f"without a canary: revision {marked}, bypass {bypass}"
        if "serin.dev" in text.replace("serin.dev/bypass", ""):
            yield "without a canary something else speaks of serin.dev"
        return
    canary = one(found, "Canary")["spec"]
    if not marked or canary["revision"] != marked or bypass:
        yield f"revision {canary['revision']}, annotation {marked}, bypass {bypass}"
    stated = [way for way in ("stepWeights", "stepWeight", "steps", "iterations") if canary["analysis"].get(way)]
    if len(stated) != 1:
        yield f"the plan is stated by {stated}"


def invalid(text):
    """What kubeconform says."""
    location = os.environ["schemas"] + "/{{.ResourceKind}}{{.KindSuffix}}.json"
    command = [os.environ["kubeconform"], "-strict", "-schema-location", location, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def rendering(values, files):
    """Everything that has to be true of what is rendered, with both Helms alike."""
    text = template(values, files)
    found = objects(text)
    problems = [*invalid(text), *not_restricted(found), *wrong_selection(found), *wrong_handshake(found, text)]
    if objects(template(values, files, HELMS["helm 3"])) != found:
        problems.append("Helm 3 renders something else than Helm 4")
    return "; ".join(problems)


def check_rendering(tally):
    for file, paths in FILES.items():
        for switch, on in (("off", False), ("on", True)):
            canary = {"canary": {"enabled": on}}
            for name, program in HELMS.items():
                arguments = ["lint", "--strict", CHART, *(word for path in paths for word in ("-f", path))]
                tally.check(f"lint, {name}, {file} values, canary {switch}", lambda: helm(program, *arguments, values=canary) and None)
            for name, option in OPTIONS.items():
                if file != "cluster" or name == "nothing":
                    values = merged(option, canary)
                    tally.check(f"render, {file} values, canary {switch}, {name}", lambda: rendering(values, paths))
    tally.check("render, every option of the Canary", lambda: rendering(WHOLE_CANARY, []))


def canary_of(values):
    return one(objects(template(merged(values, ON))), "Canary")["spec"]


def check_plans(tally):
    for name, values, want in PLANS:
        tally.check(f"plan: {name}", lambda: differs(canary_of({"canary": values})["analysis"], want))


def whole_canary():
    """Every value reaches the field of its name."""
    spec, values = canary_of(WHOLE_CANARY), WHOLE_CANARY["canary"]
    fields = ["metricsServer", "progressDeadlineSeconds", "approvalDeadline", "rollbackWindow", "historyLimit", "skipAnalysis", "suspend",
              "deletionPolicy", "allow"]
    want = {field: values[field] for field in fields}
    want["analysis"] = {**values["analysis"], "stepWeights": values["stepWeights"]}
    want["canary"] = {"replicas": "50%"}
    want["service"] = {"port": 80, "portName": "http", "targetPort": "http", "hosts": ["shop.example.com"],
                       "gatewayRefs": GATEWAY["httpRoute"]["parentRefs"], **values["service"]}
    return differs({field: spec.get(field) for field in want}, want)


def accepted_fields():
    """Nothing of a Canary but what the definition has, and nothing that is refused for now."""
    definition = yaml.safe_load((CHART.parent.parent / "crds/canaries.serin.dev.yaml").read_text())
    analysis = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["analysis"]
    ours = json.loads((CHART / "values.schema.json").read_text())["properties"]["canary"]["properties"]["analysis"]
    return differs(sorted(ours["properties"]), sorted(analysis["properties"]))


def check_canary(tally):
    tally.check("canary: every value reaches its field", whole_canary)
    tally.check("canary: the values have every option of the definition's analysis", accepted_fields)
    autoscaled = {"autoscaling": {"enabled": True}}
    tally.check("canary: the autoscaler is named", lambda: differs(
        canary_of(autoscaled)["autoscalerRef"], {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": RELEASE}))
    tally.check("canary: a Gateway means the Gateway API", lambda: differs(canary_of(GATEWAY)["provider"], "gatewayapi:v1"))
    tally.check("canary: without a route the controller decides", lambda: differs(canary_of({}).get("provider"), None))
    tally.check("canary: a worker has no service", lambda: differs(canary_of(OPTIONS["worker"]).get("service"), None))
    tally.check("canary: Serin alone makes the route", lambda: differs(
        [each["kind"] for each in objects(template(merged(GATEWAY, ON))) if each["kind"] == "HTTPRoute"], []))
    tally.check("canary: the hook names the revision and a timeout that fits", wait_hook)


def wait_hook():
    found = objects(template(merged(GATEWAY, {"canary": {"enabled": True, "hold": "30m", "waitHook": {"enabled": True}}})))
    job, canary = one(found, "Job"), one(found, "Canary")
    account = job["spec"]["template"]["spec"]["serviceAccountName"]
    subject = one(found, "RoleBinding")["subjects"][0]
    if subject != {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}:
        return f"the Role is bound to {subject}, the Job runs as {account}"
    want = ["wait", RELEASE, f"--namespace={NAMESPACE}", f"--revision={canary['spec']['revision']}", "--timeout=50m"]
    return differs(job["spec"]["template"]["spec"]["containers"][0]["args"], want)


def revision(values):
    return one(objects(template(merged(values, ON))), "Canary")["spec"]["revision"]


def check_pods(tally):
    for name, values in SAME_PODS:
        for file, paths in FILES.items():
            tally.check(f"same Pods: {name}, {file} values", lambda: None if pod_template(values, paths) == pod_template({}, paths) else "they differ")
        tally.check(f"same revision: {name}", lambda: differs(revision(values), revision({})))
    for name, values in OTHER_PODS:
        tally.check(f"another revision: {name}", lambda: None if revision(values) != revision({}) else "it is the same")
    tally.check("the way past the gate is new for each template", lambda: None if bypass({}) != bypass(OTHER_PODS[0][1]) else "it is the same")
    tally.check("the way past the gate is the revision", lambda: differs(bypass({}), revision({})))


def pod_template(values, files):
    """Byte for byte, from the Deployment's document alone."""
    documents = template(values, files).split("\n---\n")
    deployment = next(document for document in documents if "\nkind: Deployment\n" in document)
    return deployment.split("\n  template:\n")[1].rstrip()


def bypass(values):
    return one(objects(template(values)), "Deployment")["metadata"]["labels"]["serin.dev/bypass"]


def refused(values, words, program):
    try:
        template(values, program=program)
    except Refusal as refusal:
        missing = [word for word in words if word not in str(refusal)]
        return f"{missing} missing in: {refusal}" if missing else None
    return "it was rendered"


def refused_name(name):
    try:
        helm(HELM, "template", name, CHART)
    except Refusal as refusal:
        return lacks(str(refusal), [f'the release\'s name is "{name}"', "for instance my-app"])
    return "it was rendered"


def check_refusals(tally):
    for name in ("my.app", "1app"):
        tally.check(f"refused: the name {name}", lambda: refused_name(name))
    recreate = {"strategy": {"type": "Recreate"}}
    tally.check("refused: no two versions side by side", lambda: refused(merged(recreate, ON), ["strategy.type is Recreate", "canary.allow"], HELM))
    for name in ("nginx", "bitnami/nginx", "ghcr.io/myorg/myapp", "myregistry.io:5000/myapp"):
        tally.check(f"accepted: the repository {name}", lambda: differs(image({"repository": name}), f"{name}:1.24"))
    rows = REFUSED + [(name, {"canary": {"enabled": True, **canary}}, words) for name, canary, words in REFUSED_CANARY]
    for name, values, words in rows:
        for version, program in HELMS.items():
            tally.check(f"refused, {version}: {name}", lambda: refused(values, words, program))


def notes(values, program):
    """NOTES, in a copy of the chart where they are a ConfigMap: Helm 3 shows them to nobody without a cluster."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / CHART.name
        shutil.copytree(CHART, copy)
        shutil.move(copy / "templates/NOTES.txt", copy / "notes.txt")
        wrapper = '{kind: ConfigMap, data: {notes: {{ tpl (.Files.Get "notes.txt") . | toJson }}}}'
        (copy / "templates/notes.yaml").write_text(wrapper)
        return one([each for each in objects(template(values, chart=copy, program=program)) if "notes" in each.get("data", {})], "ConfigMap")["data"]["notes"]


def check_notes(tally):
    for name, values, words in NOTES:
        on = {"canary": {"enabled": True, **values}}
        for version, program in HELMS.items():
            tally.check(f"notes, {version}: {name}", lambda: lacks(notes(on, program), words))
    flags = {"helm 4": ["--wait --rollback-on-failure --timeout"], "helm 3": ["--atomic --timeout", "serin -n shop wait my-app --revision"]}
    for version, words in flags.items():
        tally.check(f"notes, {version}: the flags are its own", lambda: lacks(notes(ON, HELMS[version]), words))
    hook = {"canary": {"enabled": True, "waitHook": {"enabled": True}}}
    tally.check("notes, helm 3: with the hook nothing has to be run", lambda: differs("serin -n shop wait" in notes(hook, HELMS["helm 3"]), False))
    ingress = merged(ON, {"ingress": {"enabled": True}})
    tally.check("notes: an Ingress shares nothing", lambda: lacks(notes(ingress, HELM), ["The Ingress sends all requests to the stable version"]))


def guide_selectors():
    """What cannot be changed later, and what others know the release by."""
    ours, theirs = objects(template({})), objects(template({}, chart=GUIDE))
    for kind in ("Deployment", "Service"):
        old, new = one(theirs, kind), one(ours, kind)
        if (old["metadata"]["name"], old["spec"]["selector"]) != (new["metadata"]["name"], new["spec"]["selector"]):
            return f"{kind}: {old['spec']['selector']} became {new['spec']['selector']}"
        if not matches(old["metadata"]["labels"] | {"chart": ""}, new["metadata"]["labels"] | {"chart": ""}):
            return f"{kind}: a label of the guide is missing"
    old, new = one(theirs, "Deployment")["spec"]["template"], one(ours, "Deployment")["spec"]["template"]
    if not matches(old["metadata"]["labels"], new["metadata"]["labels"]):
        return "a label of the guide's Pods is missing"
    return differs(new["spec"]["containers"][0]["name"], old["spec"]["containers"][0]["name"])


def guide_numbers(file):
    """The guide's values file gives the same Pods, replicas and ports as ours."""
    ours = objects(template({}, [CHART / file]))
    theirs = objects(template({}, [GUIDE / file], chart=GUIDE))

    def numbers(found):
        deployment, service = one(found, "Deployment")["spec"], one(found, "Service")["spec"]
        container = deployment["template"]["spec"]["containers"][0]
        probes = [{field: container[probe][field] for field in ("initialDelaySeconds", "periodSeconds")} for probe in ("livenessProbe", "readinessProbe")]
        return [deployment["replicas"], container["image"], container["imagePullPolicy"], container["resources"],
                container["ports"][0]["containerPort"], probes, service["type"], service["ports"][0]["port"]]

    return differs(numbers(ours), numbers(theirs))


def guide_values(file):
    """A values file that was written for the guide's chart is accepted."""
    return template({}, [GUIDE / file]) and None


def check_guide(tally):
    tally.check("guide: names, selectors and labels stay", guide_selectors)
    for file in ("values.yaml", "values-staging.yaml", "values-prod.yaml"):
        tally.check(f"guide: the numbers of {file}", lambda: guide_numbers(file))
        tally.check(f"guide: its {file} works with our chart", lambda: guide_values(file))
    separate = {"healthcheck": {"liveness": {"path": "/healthz", "port": 8080}, "readiness": {"path": "/ready", "port": 8080}}}
    tally.check("guide: separate probes", lambda: differs(probes(separate), [{"path": "/healthz", "port": 8080}, {"path": "/ready", "port": 8080}]))
    shared = {"healthcheck": {"path": "/health", "port": 8080}}
    tally.check("guide: one path for both probes", lambda: differs(probes(shared), [{"path": "/health", "port": 8080}] * 2))
    tally.check("guide: the tag is the chart's appVersion if there is none", lambda: differs(image({"tag": ""}), "nginx:1.0.0"))
    tally.check("guide: the digest wins over the tag", lambda: differs(image({"digest": "sha256:" + "a" * 64}), "nginx@sha256:" + "a" * 64))
    tally.check("guide: a tag of digits is a tag", lambda: differs(image({"tag": 20260102}), "nginx:20260102"))
    tally.check("guide: the history has commit and build", history)
    tally.check("guide: the test's hook policy", hook_policy)
    tally.check("configuration is kept, and named by its content", kept_configuration)


def container(values):
    return one(objects(template(values)), "Deployment")["spec"]["template"]["spec"]["containers"][0]


def probes(values):
    found = container(values)
    return [found[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]


def image(values):
    return container({"image": values})["image"]


def history():
    metadata = {"metadata": {"gitCommit": "0123abc", "buildNumber": 20260102}}
    annotations = one(objects(template(metadata)), "Deployment")["metadata"]["annotations"]
    want = {"pipeline-app/git-commit": "0123abc", "pipeline-app/build-number": "20260102",
            "kubernetes.io/change-cause": "image nginx:1.24, commit 0123abc, build 20260102"}
    return differs(annotations, want)


def hook_policy():
    want = {"helm.sh/hook": "test", "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded"}
    return differs(one(objects(template({})), "Pod")["metadata"]["annotations"], want)


def kept_configuration():
    found = [one(objects(template({"config": {"files": {"a": text}}})), "ConfigMap") for text in ("1", "2")]
    if found[0]["metadata"]["name"] == found[1]["metadata"]["name"]:
        return "two contents have one name"
    return differs(found[0]["metadata"]["annotations"], {"helm.sh/resource-policy": "keep"})


def check_simulation(tally):
    """The Canary as the API server and the controller see it, where a build of Serin is at hand: SERIN=path."""
    serin = os.environ.get("SERIN")
    for name, values, timeout in SIMULATED:
        if serin:
            tally.check(f"simulate: {name}", lambda: simulated(serin, merged(values, ON), timeout))
        else:
            tally.skip(f"simulate: {name}", "there is no build of serin; SERIN=path names one")


def simulated(serin, values, timeout):
    """A good release is promoted, and NOTES names the timeout that it needs. Exit code 2: something is refused."""
    command = [serin, "simulate", "-", "-o", "json", "-n", NAMESPACE, "--approve"]
    done = subprocess.run(command, input=template(values), capture_output=True, text=True)
    if done.returncode == 2 or (timeout and done.returncode != 0):
        return f"exit code {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    if timeout is None:
        return None
    return differs(json.loads(done.stdout)["helmTimeout"], timeout) or lacks(notes(values, HELM), [f"timeout   {timeout} "])


def main():
    tally = Tally(sys.argv[1:])
    for part in (check_rendering, check_plans, check_canary, check_pods, check_refusals, check_notes, check_guide, check_simulation):
        part(tally)
    tally.finish()


if __name__ == "__main__":
    main()
