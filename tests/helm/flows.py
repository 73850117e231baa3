"""The checks of tests/helm/flows. Each has a namespace of its own in the cluster that KUBECONFIG names."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness import CHART, GUIDE, HELMS, Refusal, Tally, differs, helm, lacks, merged

HELM = HELMS["helm 4"]
RELEASE = "myapp"
# What the cluster runs: the tag says how a version behaves.
OLD = {"image": {"repository": "web", "tag": "1.0.0"}}
ON = {"canary": {"enabled": True, "provider": "kubernetes", "analysis": {"interval": "1s", "iterations": 1, "maxWait": "3s"}}}
WAIT = ["--wait", "--timeout", "150s"]


class Namespace:
    """One check's part of the cluster."""

    def __init__(self, name, program=HELM):
        self.name, self.program = name, program
        config = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
        self.server = config["clusters"][0]["cluster"]["server"]
        self.token = config["users"][0]["user"]["token"]

    def install(self, chart, *arguments, values=None, release=RELEASE):
        return helm(self.program, "install", release, chart, "--namespace", self.name, "--create-namespace", *arguments, values=values)

    def upgrade(self, chart, *arguments, values=None):
        """The values of before stay, as a pipeline has them in its files."""
        return helm(self.program, "upgrade", RELEASE, chart, "--namespace", self.name, "--reset-then-reuse-values", *arguments, values=values)

    def get(self, path):
        """Objects as the API server has them; `None`: there is no such thing."""
        request = urllib.request.Request(f"{self.server}/{path}", headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise Refusal(f"{path}: {error}") from error

    def deployment(self):
        return self.get(f"apis/apps/v1/namespaces/{self.name}/deployments/{RELEASE}")

    def image(self):
        return self.deployment()["spec"]["template"]["spec"]["containers"][0]["image"]

    def service(self):
        return self.get(f"api/v1/namespaces/{self.name}/services/{RELEASE}")

    def pods(self):
        return sorted(pod["metadata"]["uid"] for pod in self.get(f"api/v1/namespaces/{self.name}/pods")["items"])

    def wait_until(self, what, is_so, seconds=60):
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                raise Refusal(f"after {seconds} s it is not so: {what}")
            time.sleep(0.2)

    def arm(self):
        """The canary is switched on, and the gate stands."""
        self.upgrade(CHART, *WAIT, values=ON)
        self.wait_until("the gate stands", lambda: "serin.dev/gate" in self.deployment()["metadata"]["labels"])


def refusal(call, *arguments, **named):
    """The words of a refusal; none is one too."""
    try:
        call(*arguments, **named)
    except Refusal as words:
        return str(words)
    return "it was not refused"


def from_the_guide():
    """From the guide's chart to ours: the same selectors, and a port that the old Pods have."""
    space = Namespace("guide")
    space.install(GUIDE, *WAIT, values=OLD)
    reused = refusal(helm, HELM, "upgrade", RELEASE, CHART, "--namespace", space.name, "--reuse-values")
    before = space.deployment()["spec"]["selector"], space.service()["spec"]["selector"]
    space.upgrade(CHART, *WAIT)
    after = space.deployment()["spec"]["selector"], space.service()["spec"]["selector"]
    first = space.service()["spec"]["ports"][0]["targetPort"]
    space.upgrade(CHART, *WAIT)
    second = space.service()["spec"]["ports"][0]["targetPort"]
    wrong = lacks(reused, ["the values lack service.enabled", "use --reset-then-reuse-values"])
    return wrong or differs(after, before) or differs([first, second], [80, "http"])


def from_the_guide_with_a_canary():
    """The same with the canary switched on at once: another image is refused, the same one is not."""
    space = Namespace("guide-canary")
    space.install(GUIDE, *WAIT, values=OLD)
    words = refusal(space.upgrade, CHART, values=merged(ON, {"image": {"tag": "2.0.0"}}))
    return lacks(words, ["canary.enabled is new for release myapp", "web:2.0.0"]) or space.upgrade(CHART, *WAIT, values=ON) and None


def switched_on():
    """Alone it touches no Pod; together with a change of the Pods it is refused; once armed, it is a value like any other."""
    space = Namespace("switch")
    space.install(CHART, *WAIT, values=OLD)
    pods = space.pods()
    words = refusal(space.upgrade, CHART, values=merged(ON, {"env": [{"name": "A", "value": "b"}]}))
    wrong = lacks(words, ["canary.enabled is new", "Switch the canary on by itself first", "canary.enabled=false"])
    space.arm()
    space.upgrade(CHART, *WAIT, values={"canary": {"approvalDeadline": "1h"}, "metadata": {"buildNumber": 7}})
    return wrong or differs(space.pods(), pods)


def second_release(version):
    """The guide's two releases: refused, with commands that fit what stands already."""
    space = Namespace(f"two-{version[-1]}", HELMS[version])
    space.install(CHART, *WAIT, values=OLD)
    wish = ["--set", "canary.enabled=true,canary.weight=10,image.repository=web,image.tag=2.0.0-rc1"]
    flag = {"helm 4": "--wait --rollback-on-failure", "helm 3": "--atomic"}[version]
    command = f"helm upgrade myapp ./pipeline-app --namespace {space.name} --reset-then-reuse-values"
    before = refusal(space.install, CHART, *wish, release="myapp-canary")
    wrong = lacks(before, ["second release myapp-canary", f"{command} --set canary.enabled=true,canary.weight=10 --wait && ",
                           "--for=condition=Gated canary/myapp", f"{command} --set image.repository=web,image.tag=2.0.0-rc1 {flag}"])
    space.arm()
    after = refusal(space.install, CHART, *wish, release="myapp-canary")
    whole = f"{command} --set canary.enabled=true,canary.weight=10 --set image.repository=web,image.tag=2.0.0-rc1 {flag} --timeout 15m"
    return wrong or lacks(after, [whole])


def another_chart():
    """A release with such a name beside one of another chart is nobody's canary."""
    space = Namespace("other")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "other"
        shutil.copytree(GUIDE, copy)
        (copy / "Chart.yaml").write_text((copy / "Chart.yaml").read_text().replace("pipeline-app", "other"))
        space.install(copy, *WAIT, values=OLD)
    return space.install(CHART, values=merged(OLD, ON), release="myapp-canary") and None


def promoted():
    """The command that replaces the two releases, as it is printed, returns when the new version is the main release."""
    space = Namespace("promoted")
    space.install(CHART, *WAIT, values=OLD)
    space.arm()
    words = refusal(space.install, CHART, values=merged(ON, {"image": {"repository": "web", "tag": "2.0.0"}}), release="myapp-canary")
    command = next((line.strip() for line in words.splitlines() if line.startswith("  helm upgrade")), "")
    done = subprocess.run([space.program, *shlex.split(command)[1:]], cwd=CHART.parent, capture_output=True, text=True)
    deployment = space.deployment()
    if done.returncode != 0 or "serin.dev/held" in deployment["metadata"]["labels"] or deployment["spec"].get("paused"):
        return f"{command}: exit code {done.returncode}, {done.stderr}"
    return differs(space.image(), "web:2.0.0")


def rejected():
    """A version that cannot run: Helm says why, goes back, and nothing stays held."""
    space = Namespace("rejected")
    space.install(CHART, *WAIT, values=OLD)
    space.arm()
    pods = space.pods()
    words = refusal(space.upgrade, CHART, *WAIT, "--rollback-on-failure", values={"image": {"tag": "2.0.0-missing"}})
    wrong = lacks(words, ["web:2.0.0-missing was not found", "has been rolled back"])
    space.wait_until("the hold ends", lambda: "serin.dev/held" not in space.deployment()["metadata"]["labels"])
    space.wait_until("only stable's Pods are left", lambda: space.pods() == pods)
    history = json.loads(helm(HELM, "history", RELEASE, "--namespace", space.name, "--output", "json"))
    return wrong or differs([space.image(), history[-1]["status"]], ["web:1.0.0", "deployed"])


def directly():
    """Switched off together with a new tag: that tag ships, though the gate stands. Then nothing of it all is left behind."""
    space = Namespace("directly")
    space.install(CHART, *WAIT, values=OLD)
    space.arm()
    space.upgrade(CHART, *WAIT, values={"canary": {"enabled": False}, "image": {"tag": "2.0.0"}})
    space.wait_until("the new version is ready", lambda: space.deployment()["status"].get("updatedReplicas") == 2)
    wrong = differs(space.image(), "web:2.0.0")
    canaries = f"apis/serin.dev/v1beta1/namespaces/{space.name}/canaries"
    space.wait_until("the Canary goes", lambda: not space.get(canaries)["items"])
    helm(HELM, "uninstall", RELEASE, "--namespace", space.name, "--wait", "--timeout", "60s")
    space.wait_until("all Pods go", lambda: not space.pods())
    services = [each["metadata"]["name"] for each in space.get(f"api/v1/namespaces/{space.name}/services")["items"]]
    return wrong or differs(services, [])


def main():
    tally = Tally(sys.argv[1:])
    tally.check("from the guide's chart to ours", from_the_guide)
    tally.check("from the guide's chart to ours with a canary", from_the_guide_with_a_canary)
    tally.check("the canary is switched on", switched_on)
    for version in HELMS:
        tally.check(f"two releases, {version}", lambda: second_release(version))
    tally.check("two releases of different charts", another_chart)
    tally.check("off, with a new tag, and uninstalled", directly)
    tally.check("rejected", rejected)
    tally.check("promoted, by the command that replaces two releases", promoted)
    tally.finish()


if __name__ == "__main__":
    main()
