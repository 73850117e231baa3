"""The checks of tests/helm/gitops."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import yaml

from harness import Refusal, Tally, differs, lacks

ROOT = Path(__file__).resolve().parent.parent.parent
ARGOCD = ROOT / "gitops/argocd"
# Recorded from `serin demo`: the controller wrote the Canaries, and the marks of the Deployments.
RECORDED = json.loads((ROOT / "tests/golden/gitops.json").read_text())

# Argo CD gives a script the object and little else: what is used beyond that has to fail here.
SANDBOX = """
local script = assert(loadfile(arg[1]))
local known = {ipairs = ipairs, pairs = pairs, type = type, tostring = tostring, tonumber = tonumber, string = string, table = table, math = math}
local object = assert(loadstring("return " .. io.read("*a")))()
known.obj = object
setfenv(script, setmetatable(known, {__index = function(_, name) error(name .. " is not known to a health script") end}))
local health = script()
io.write(health.status, "\\n", health.message or "")
"""


def lua(value):
    """A JSON value as Lua; null is nothing, as it is for Argo CD."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
    if isinstance(value, list):
        return "{" + ",".join(map(lua, value)) + "}"
    return "{" + ",".join(f"[{lua(key)}]={lua(each)}" for key, each in value.items() if each is not None) + "}"


def health(script, thing):
    done = run(script, thing)
    if done.returncode != 0:
        raise Refusal(done.stderr.strip())
    status, _, message = done.stdout.partition("\n")
    return status, message


def run(script, thing):
    return subprocess.run(["lua5.1", "-e", f"arg = {{[1] = {lua(str(ARGOCD / script))}}} {SANDBOX}"], input=lua(thing), capture_output=True, text=True)


def conditions(ready, reconciling, stalled, reason="", message=""):
    """As src/rollout/conditions.rs writes them."""
    states = {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}
    return [{"type": name, "status": "True" if state else "False", "reason": reason or "Idle", "message": message, "observedGeneration": 3,
             "lastTransitionTime": "2030-01-01T00:00:00Z"} for name, state in states.items()]


def canary(phase, states, message="", **more):
    status = {"phase": phase, "observedGeneration": 3, "message": message, "conditions": conditions(*states, message=message)}
    thing = {"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "generation": 3}, "spec": {}, "status": status}
    return laid(thing, more)


def laid(thing, changes):
    """Fields by path, a__b; None takes one away."""
    thing = copy.deepcopy(thing)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = thing
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return thing


IDLE, BUSY, FINAL = (True, False, False), (False, True, False), (False, False, True)
VERDICT = "request-success-rate 82.67% violates >= 99% (75 requests)"

CANARIES = [
    ("idle", canary("Initialized", IDLE, "idle"), "Healthy", "idle"),
    ("promoted", canary("Succeeded", IDLE, "idle: revision a was promoted"), "Healthy", "was promoted"),
    ("being adopted", canary("Initializing", BUSY, "the gate is being tried"), "Progressing", "being tried"),
    ("held", canary("Initialized", BUSY, "a candidate is held"), "Progressing", "is held"),
    ("analysing", canary("Progressing", BUSY, "50% → analysing, 2 of 3 checks"), "Progressing", "50% → analysing"),
    ("waiting for a person", canary("WaitingPromotion", BUSY, "waits for `serin promote`"), "Progressing", "serin promote"),
    ("promoting", canary("Promoting", BUSY, "promoting: 1 of 3 Pods"), "Progressing", "promoting"),
    ("finalising", canary("Finalising", BUSY, "traffic returns"), "Progressing", "traffic returns"),
    ("rejected", canary("Failed", FINAL, VERDICT), "Degraded", VERDICT),
    ("misconfigured for some seconds", canary("Initializing", BUSY, "Service shop is missing"), "Progressing", "Service shop"),
    ("misconfigured", canary("Initializing", FINAL, "Service shop is missing"), "Degraded", "Service shop"),
    ("generation not observed, after a rejection", canary("Failed", FINAL, VERDICT, status__observedGeneration=2), "Progressing", "has not seen"),
    ("generation not observed, at rest", canary("Succeeded", IDLE, "idle", metadata__generation=4), "Progressing", "has not seen"),
    ("just made", canary("", BUSY, status=None), "Progressing", "has not seen"),
    ("made, with an empty status", canary("", BUSY, status={}), "Progressing", "has not seen"),
    ("without conditions", canary("Initializing", BUSY, "starting", status__conditions=None), "Progressing", "starting"),
    ("deleting", canary("Terminating", BUSY, metadata__deletionTimestamp="2030-01-01T00:00:00Z"), "Progressing", "deleted"),
    ("deleting, after a rejection", canary("Failed", FINAL, VERDICT, metadata__deletionTimestamp="2030-01-01T00:00:00Z"), "Progressing", "deleted"),
]


def deployment(**changes):
    """At rest, armed, with three Pods."""
    return laid({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "generation": 5, "labels": {"app": "web", "serin.dev/gate": "uid"}},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": 5, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3,
                   "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}, progressing("True", "NewReplicaSetAvailable", "")]},
    }, changes)


def progressing(status, reason, message):
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def held(**changes):
    labels = {"app": "web", "serin.dev/gate": "uid", "serin.dev/held": "true"}
    standing = [progressing("Unknown", "DeploymentPaused", "Deployment is paused")]
    return deployment(**{"metadata__labels": labels, "spec__paused": True, "status__updatedReplicas": None, "status__conditions": standing, **changes})


LATE = [progressing("False", "ProgressDeadlineExceeded", f"serin: {VERDICT}")]
THEIRS = [progressing("False", "ProgressDeadlineExceeded", 'ReplicaSet "web-1" has timed out progressing.')]

DEPLOYMENTS = [
    ("at rest", deployment(), "Healthy", ""),
    ("without a gate", deployment(metadata__labels=None), "Healthy", ""),
    ("held", held(), "Progressing", "held by Serin"),
    ("held, not seen by its controller", held(metadata__generation=6), "Progressing", "held by Serin"),
    ("held and rejected", held(status__conditions=LATE), "Degraded", VERDICT),
    ("held anew, the verdict is of the template before", held(status__conditions=LATE, metadata__generation=6), "Progressing", "held by Serin"),
    ("held, with a timeout of its own from before", held(status__conditions=THEIRS), "Progressing", "held by Serin"),
    ("paused by a person", deployment(spec__paused=True), "Suspended", "paused"),
    ("just made", deployment(status=None), "Progressing", "has not seen"),
    ("not seen by its controller", deployment(metadata__generation=6), "Progressing", "has not seen"),
    ("rolling", deployment(status__updatedReplicas=1), "Progressing", "1 of 3 Pods run the new template"),
    ("old Pods end", deployment(status__replicas=4), "Progressing", "1 old Pods"),
    ("new Pods start", deployment(status__availableReplicas=2), "Progressing", "2 of 3 new Pods are available"),
    ("too late", deployment(status__conditions=THEIRS), "Degraded", "has timed out progressing"),
    ("no Pods", deployment(spec__replicas=0, status__replicas=None, status__updatedReplicas=None, status__availableReplicas=None), "Healthy", ""),
    ("one Pod by default", deployment(spec__replicas=None, status__replicas=1, status__updatedReplicas=1, status__availableReplicas=1), "Healthy", ""),
]


def judged(script, thing, status, message):
    got, words = health(script, thing)
    return differs(got, status) or lacks(words, [message])


def check_health(tally):
    for name, *row in CANARIES:
        tally.check(f"canary: {name}", lambda: judged("canary.lua", *row))
    for name, *row in DEPLOYMENTS:
        tally.check(f"deployment: {name}", lambda: judged("deployment.lua", *row))
    for each in RECORDED:
        script = "canary.lua" if each["object"]["kind"] == "Canary" else "deployment.lua"
        tally.check(f"recorded: {each['name']}", lambda: judged(script, each["object"], each["health"], each["says"]))



def config():
    return yaml.safe_load((ARGOCD / "argocd-cm.yaml").read_text())["data"]


def check_files(tally):
    tally.check("argocd-cm.yaml holds the scripts beside it", lambda: differs(
        [config()[f"resource.customizations.health.{kind}"] for kind in ("serin.dev_Canary", "apps_Deployment")],
        [(ARGOCD / name).read_text() for name in ("canary.lua", "deployment.lua")]))
    tally.check("argocd-cm.yaml ignores the gate's marks, and not the chart's", ignored)
    for path in sorted((ROOT / "gitops/flux").glob("*.yaml")):
        tally.check(f"flux: {path.name}", lambda: flux(path))


def ignored():
    marks = ["gate", "held", "reverting", "contested"]
    want = ["/spec/paused", *(f"/metadata/labels/serin.dev~1{mark}" for mark in marks)]
    rules = {key: yaml.safe_load(value) for key, value in config().items() if "ignoreDifferences" in key}
    return differs(rules["resource.customizations.ignoreDifferences.apps_Deployment"], {"jsonPointers": want})


def flux(path):
    """Whoever waits does so on the Canary, for longer than a plan takes."""
    found = [each for each in yaml.safe_load_all(path.read_text()) if each]
    names = [each["kind"] for each in found]
    for each in found:
        if each["kind"] == "Kustomization":
            checks = [check["kind"] for check in each["spec"].get("healthChecks", [])]
            if not each["spec"].get("wait") and "Canary" not in checks:
                return "it does not wait on the Canary"
            if each["spec"].get("timeout", "5m") == "5m":
                return "its timeout is shorter than a plan"
    return None if names else "it is empty"


def main():
    tally = Tally(sys.argv[1:])
    check_health(tally)
    check_files(tally)
    tally.finish()


if __name__ == "__main__":
    main()
