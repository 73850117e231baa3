"""The checks of tests/helm/pipelines."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from harness import HELMS, Tally, differs, lacks

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "pipelines/release"
GITHUB, GITLAB = ROOT / "pipelines/github.yaml", ROOT / "pipelines/gitlab-ci.yaml"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
STAGES = ["validate", "render", "schemas", "diff", "deploy", "test", "abort", "all"]
# The order of the guide.
ORDER = ["validate", "render", "schemas", "diff", "deploy staging", "test staging", "deploy production", "test production"]
BACK, AWAY, UP = "rollback 2", "uninstall", "upgrade"

# History before; variables; what Helm is asked to change, in order; exit code; words of the log.
DEPLOYMENTS = [
    ("no release", "", {}, [UP], 0, []),
    ("deployed", "1 superseded, 2 deployed", {}, [UP], 0, []),
    ("failed", "1 superseded, 2 deployed, 3 failed", {}, [UP], 0, []),
    ("failed, first installation", "1 failed", {}, [UP], 0, []),
    ("pending-upgrade", "1 superseded, 2 deployed, 3 pending-upgrade", {}, [BACK, UP], 0,
     ["left pending-upgrade in revision 3", "going back to revision 2", "is deployed now"]),
    ("pending-upgrade, after failures", "1 superseded, 2 deployed, 3 failed, 4 failed, 5 pending-upgrade", {}, [BACK, UP], 0, []),
    ("pending-upgrade, the old revision superseded already", "1 superseded, 2 superseded, 3 pending-upgrade", {}, [BACK, UP], 0, []),
    ("pending-rollback", "1 superseded, 2 deployed, 3 failed, 4 pending-rollback", {}, [BACK, UP], 0, ["left pending-rollback in revision 4"]),
    ("pending-install", "1 pending-install", {}, [AWAY, UP], 0, ["never deployed", "is removed first"]),
    ("pending-install after a failed one", "1 failed, 2 pending-install", {}, [AWAY, UP], 0, []),
    ("pending-upgrade that was never deployed", "1 failed, 2 pending-upgrade", {}, [AWAY, UP], 0, []),
    ("uninstalling", "1 superseded, 2 uninstalling", {}, [AWAY, UP], 0, []),
    ("pending-upgrade, and nothing may be touched", "1 superseded, 2 deployed, 3 pending-upgrade", {"RECOVER": "no"}, [], 4, ["RECOVER"]),
    ("pending-upgrade, and it stays", "1 superseded, 2 deployed, 3 pending-upgrade", {"FAKE_STUCK": "1"}, [BACK], 4, ["still pending-upgrade", "helm history"]),
    ("pending-install, and it stays", "1 pending-install", {"FAKE_STUCK": "1"}, [AWAY], 4, ["still pending-install"]),
    ("rejected", "1 superseded, 2 deployed", {"FAKE_UPGRADE": "1", "FAKE_ERROR": "success rate 91 % < 99 %"}, [UP, BACK], 1,
     ["success rate 91 %", "was not deployed", "helm history"]),
    ("timed out", "1 superseded, 2 deployed", {"FAKE_UPGRADE": "1", "FAKE_ERROR": "context deadline exceeded"}, [UP, BACK], 3, ["not done within 5m", "TIMEOUT"]),
    ("rejected, first installation", "", {"FAKE_UPGRADE": "1", "FAKE_ERROR": "no such image"}, [UP], 1, ["no such image", "was not deployed"]),
    ("rejected, and Helm went back", "1 superseded, 2 deployed", {"FAKE_UPGRADE": "1", "FAKE_ERROR": "too slow", "FAKE_BACK": "1"}, [UP], 1,
     ["too slow", "my-app is deployed, revision 4"]),
]

NOTES = "NOTES:\n  timeout   25m for Helm (its default is 5m)\n"
PEOPLE = "NOTES:\n  timeout   25m for Helm (its default is 5m), and the time for approvals\n"
# Environment; NOTES; variables; the timeout that Helm is told.
TIMEOUTS = [
    ("staging", "", {}, "5m"),
    ("production", "", {}, "10m"),
    ("production", NOTES, {}, "25m"),
    ("production", PEOPLE, {}, "25m1h"),
    ("production", PEOPLE, {"APPROVAL_TIME": "20m"}, "25m20m"),
    ("production", NOTES, {"TIMEOUT": "2h"}, "2h"),
    ("production", NOTES, {"TIMEOUT": "2h", "TIMEOUT_PRODUCTION": "3h"}, "3h"),
    ("staging", NOTES, {"TIMEOUT": "2h", "TIMEOUT_PRODUCTION": "3h"}, "2h"),
]

CANARY = '---\napiVersion: serin.dev/v1beta1\nkind: Canary\nmetadata:\n  name: web\nspec:\n  revision: "0123456789abcdef"\n'
HOOK = "---\nkind: Job\nspec:\n  args:\n    - wait\n"
WAIT = "serin wait web --revision 0123456789abcdef"
# With Helm 3: what is rendered; history before; verdicts; what is asked, in order; exit code.
WAITS = [
    ("no Canary", "", "1 deployed", {}, [UP], 0),
    ("the chart's Job waits", CANARY + HOOK, "1 deployed", {}, [UP], 0),
    ("promoted", CANARY, "1 superseded, 2 deployed", {}, [UP, WAIT], 0),
    ("rejected", CANARY, "1 superseded, 2 deployed", {"FAKE_VERDICT": "1"}, [UP, WAIT, BACK, "serin wait web"], 1),
    ("no verdict in time", CANARY, "1 superseded, 2 deployed", {"FAKE_VERDICT": "3"}, [UP, WAIT, BACK, "serin wait web"], 3),
    ("rejected, first installation", CANARY, "", {"FAKE_VERDICT": "1"}, [UP, WAIT], 1),
    ("rejected, and the revision before was never verified", CANARY, "1 superseded, 2 superseded, 3 deployed",
     {"FAKE_VERDICT": "1", "FAKE_KNOWN": "1", "FAKE_STANDING": "3"}, ["serin wait web", UP, WAIT, BACK, "serin wait web"], 1),
]


class Cluster:
    """A folder that stands for a cluster with one release."""

    def __init__(self, folder, history, variables):
        self.folder = Path(folder)
        if history:
            self.write("history", history.replace(", ", "\n") + "\n")
        # kubectl is no part of this, and must not reach a cluster.
        self.environment = {**clean(), "FAKE": folder, "HELM": str(ROOT / "tests/helm/fake/helm"), "SERIN": str(ROOT / "tests/helm/fake/serin"),
                            "KUBECTL": "no-kubectl", "OUT": f"{folder}/out", **variables}

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def release(self, *words):
        return subprocess.run([RELEASE, *words], env=self.environment, capture_output=True, text=True, cwd=self.folder)

    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def changes(self):
        """What was asked of Helm that changes something, and of Serin, without flags that are the same in all of them."""
        return [short for short in map(shortened, self.calls()) if short]


def clean():
    """The environment without what a pipeline may be told by it."""
    documented = re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", RELEASE.read_text().split("set -euo")[0])
    return {name: value for name, value in os.environ.items() if name not in documented and not name.startswith("FAKE")}


def shortened(call):
    words = [word for word in call.split() if word not in ("--namespace", "staging")]
    if words[0] == "serin":
        words = words[: words.index("--timeout")] if "--timeout" in words else words
        return "" if "get" in words else " ".join(words)
    if words[1] == "upgrade" and "--dry-run=server" not in words:
        return UP
    if words[1] == "rollback":
        return f"rollback {words[3]}"
    return AWAY if words[1] == "uninstall" else ""


def deployment(history, variables, want, code, words):
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder, history, variables)
        done = cluster.release("deploy", "staging")
        return differs(cluster.changes(), want) or differs(done.returncode, code) or lacks(done.stderr, words)


def timeout(environment, notes, variables, want):
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder, "", variables)
        cluster.write("dry", notes)
        cluster.release("deploy", environment)
        return lacks(cluster.calls()[-1], [f"--timeout {want} ", "--wait --rollback-on-failure ", f"--namespace {environment} "])


def verdict(rendered, history, variables, want, code):
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder, history, {**variables, "FAKE_VERSION": "v3.22.0"})
        cluster.write("dry", rendered)
        done = cluster.release("deploy", "staging")
        last = next(call for call in reversed(cluster.calls()) if call.startswith("helm upgrade"))
        return differs(cluster.changes(), want) or differs(done.returncode, code) or lacks(last, ["--atomic "])


def cancelled():
    """A runner that ends this script politely ends Helm with it, and Helm does not leave its release pending."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder, "1 deployed", {"FAKE_SLOW": "1"})
        running = subprocess.Popen([RELEASE, "deploy", "staging"], env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 20
        while "pending" not in (cluster.folder / "history").read_text() and time.monotonic() < end:
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=20)
        history = (cluster.folder / "history").read_text()
        return differs(running.returncode, 1) or lacks(log, ["context canceled"]) or ("pending" in history and history) or None


def check_deployments(tally):
    for name, *row in DEPLOYMENTS:
        tally.check(f"deploy: {name}", lambda: deployment(*row))
    for row in TIMEOUTS:
        tally.check(f"timeout: {row[0]}, {row[2]}, NOTES {row[1]!r}", lambda: timeout(*row))
    for name, *row in WAITS:
        tally.check(f"deploy, helm 3: {name}", lambda: verdict(*row))
    tally.check("deploy: cancelled", cancelled)
    tally.check("deploy: what Helm is told", told)


def told():
    with tempfile.TemporaryDirectory() as folder:
        variables = {"RELEASE": "web", "NAMESPACE_PRODUCTION": "shop", "IMAGE_TAG": "20260102", "GIT_COMMIT": "0123abc", "BUILD_NUMBER": "7",
                     "SET": "a=1,b=2", "KUBE_CONTEXT": "one", "HISTORY": "20", "HELM_FLAGS": "--debug --force-conflicts"}
        cluster = Cluster(folder, "", variables)
        cluster.release("deploy", "production")
        words = ["helm upgrade web ", "--install --namespace shop --kube-context one --create-namespace", "/values-prod.yaml", "--set-string image.tag=20260102",
                 "--set-string metadata.gitCommit=0123abc", "--set-string metadata.buildNumber=7", "--set a=1,b=2", "--history-max 20",
                 "--description Deploy build 7 of 20260102, commit 0123abc", "--debug --force-conflicts"]
        return lacks(cluster.calls()[-1], words)


# Arguments; variables; exit code; words.
USAGE = [
    ([], {}, 2, ["validate", "Exit codes"]),
    (["ship"], {}, 2, ["Exit codes"]),
    (["deploy"], {}, 2, ["staging|production"]),
    (["deploy", "staging", "production"], {}, 2, ["staging|production"]),
    (["deploy", "moon"], {}, 2, ["no environment \"moon\""]),
    (["validate"], {"HELM": "no-helm"}, 2, ["no-helm is missing"]),
    (["validate"], {"HELM": "true"}, 2, ["neither Helm 3 nor Helm 4"]),
    (["schemas"], {"KUBECONFORM": "no-kubeconform"}, 2, ["no-kubeconform is missing", "KUBECONFORM"]),
    (["validate"], {"CHART": "no/chart"}, 2, ["CHART", "no/chart"]),
    (["render"], {"VALUES": "no.yaml"}, 2, ["VALUES", "no.yaml"]),
    (["all"], {"NAMESPACE": "one"}, 2, ["NAMESPACE_STAGING"]),
]


def usage(words, variables, code, said):
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder, "", variables)
        done = cluster.release(*words)
        return differs(done.returncode, code) or lacks(done.stderr, said) or (cluster.changes() and "it changed something") or None


SECRET = "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: a\ndata:\n  password: {}\n  text: |\n    {}\n---\nkind: ConfigMap\ndata:\n  color: {}\n"


def difference(history, deployed, wanted, words, hidden):
    """What would change is shown, what Secrets hold is not, and neither is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder, history, {})
        cluster.write("manifest", deployed)
        cluster.write("template", wanted)
        done = cluster.release("diff", "staging")
        text = done.stdout + done.stderr
        shown = [word for word in hidden if word in text]
        return differs(done.returncode, 0) or lacks(text, words) or (shown and f"{shown} was shown") or None


def check_usage(tally):
    for words, variables, code, said in USAGE:
        tally.check(f"usage: {' '.join(words)} {variables}", lambda: usage(words, variables, code, said))
    first, second = SECRET.format("b25l", "b25l", "red"), SECRET.format("dHdv", "dHdv", "red")
    third = SECRET.format("b25l", "b25l", "blue")
    tally.check("diff: nothing", lambda: difference("1 deployed", first, first, ["nothing would change"], ["b25l"]))
    tally.check("diff: a value", lambda: difference("1 deployed", first, third, ["-  color: red", "+  color: blue", "that would change"], ["b25l"]))
    tally.check("diff: a Secret alone", lambda: difference("1 deployed", first, second, ["only what Secrets hold"], ["b25l", "dHdv"]))
    tally.check("diff: no release yet", lambda: difference("", "", first, ["not there yet", "+  color: red", "password: (hidden)"], ["b25l"]))


def real(program, words, variables, said):
    """A stage that needs no cluster, for real."""
    with tempfile.TemporaryDirectory() as folder:
        ours = f"{ROOT}/schemas/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
        built_in = os.environ["schemas"] + "/{{.ResourceKind}}{{.KindSuffix}}.json"
        # Our own come first, so that they are what a Canary is held against.
        environment = {**clean(), "HELM": program, "KUBECONFORM": os.environ["kubeconform"], "SCHEMA_LOCATIONS": f"{ours} {built_in}", "OUT": folder, **variables}
        code = variables.get("code", "0")
        done = subprocess.run([RELEASE, *words], env=environment, capture_output=True, text=True, cwd=folder)
        return differs(str(done.returncode), code) or lacks(done.stdout + done.stderr, said)


def rendered(program):
    with tempfile.TemporaryDirectory() as folder:
        environment = {**clean(), "HELM": program, "OUT": folder, "IMAGE_TAG": "1.25", "SET_PRODUCTION": "canary.enabled=true"}
        subprocess.run([RELEASE, "render"], env=environment, capture_output=True, check=True)
        found = {path.stem: list(yaml.safe_load_all(path.read_text())) for path in Path(folder).glob("*.yaml")}
    images = {name: next(each for each in objects if each and each["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
              for name, objects in found.items()}
    canaries = {name: sum(each["kind"] == "Canary" for each in objects if each) for name, objects in found.items()}
    return differs(images, {"staging": "nginx:1.25", "production": "nginx:1.25"}) or differs(canaries, {"staging": 0, "production": 1})


def check_stages(tally):
    on = {"SET": "canary.enabled=true,canary.provider=kubernetes"}
    for name, program in HELMS.items():
        tally.check(f"validate, {name}", lambda: real(program, ["validate"], {}, ["staging: lint", "production: lint"]))
        tally.check(f"validate, {name}: a value that cannot be", lambda: real(program, ["validate"], {"SET": "replicaCount=many", "code": "1"}, ["replicaCount"]))
        tally.check(f"render, {name}", lambda: rendered(program))
        tally.check(f"render, {name}: a value that cannot be", lambda: real(program, ["render"], {"SET": "canary.weight=120", "code": "1"}, ["/canary/weight"]))
        tally.check(f"schemas, {name}", lambda: real(program, ["schemas"], {}, ["Valid: 4, Invalid: 0, Errors: 0", "Valid: 5, Invalid: 0, Errors: 0"]))
        tally.check(f"schemas, {name}: with a canary", lambda: real(program, ["schemas", "production"], on, ["Valid: 6, Invalid: 0, Errors: 0"]))
        tally.check(f"schemas, {name}: a field that is none", lambda: real(
            program, ["schemas", "staging"], {"SET": "podSecurityContext.runAsRoot=true", "code": "1"}, ["runAsRoot"]))


def stages_of(text):
    """The stages that commands call, with their environment where it is named."""
    for call in re.findall(r"pipelines/release +([a-z]+)(?: +([a-z]+))?", text):
        yield " ".join(word for word in call if word)


def github_jobs(path):
    return yaml.safe_load(path.read_text())["jobs"]


def calls_of(job):
    return [stage for step in job.get("steps", []) for stage in stages_of(step.get("run", ""))]


def github_order():
    """By `needs` the stages come in the guide's order."""
    jobs, found = github_jobs(GITHUB), []
    done = set()
    while waiting := [name for name, job in jobs.items() if name not in done and set([job.get("needs", [])] if isinstance(job.get("needs"), str) else job.get("needs", [])) <= done]:
        for name in waiting:
            found += [stage for stage in calls_of(jobs[name]) if not stage.startswith("abort")]
            done.add(name)
    return differs(found, ORDER) or differs(sorted(done), sorted(jobs))


def gitlab_jobs():
    document = yaml.safe_load(GITLAB.read_text())
    known = {"stages", "workflow", "default", "variables"}
    return document["stages"], {name: job for name, job in document.items() if name not in known and not name.startswith(".")}


def gitlab_order():
    stages, jobs = gitlab_jobs()
    unknown = [job["stage"] for job in jobs.values() if job["stage"] not in stages]
    ordered = sorted((job for job in jobs.values() if "abort" not in job["script"][0]), key=lambda job: stages.index(job["stage"]))
    return differs([stage for job in ordered for line in job["script"] for stage in stages_of(line)], ORDER) or (unknown or None)


def existing(path):
    wrong = [stage for stage in stages_of(re.sub(r"(?m)^\s*#.*$", "", path.read_text())) if stage.split()[0] not in STAGES]
    return wrong and f"{wrong} is no stage" or None


def exclusive(jobs, group):
    """What changes an environment does so alone, and is not cut short; an abort overtakes it."""
    for name, calls, job in jobs:
        for stage in calls:
            word, _, environment = stage.partition(" ")
            if word in ("deploy", "test") and not group(job, environment):
                return f"{name} may run beside another one"
            if word == "abort" and ("concurrency" in job or "resource_group" in job):
                return f"{name} waits for what it is to end"
    return None


def github_exclusive():
    want = lambda job, environment: job.get("concurrency") == {"group": f"release-{environment}", "cancel-in-progress": False}
    return exclusive([(name, calls_of(job), job) for name, job in github_jobs(GITHUB).items()], want)


def gitlab_exclusive():
    want = lambda job, environment: job.get("resource_group") == environment and job.get("interruptible") is False
    return exclusive([(name, list(stages_of("\n".join(job["script"]))), job) for name, job in gitlab_jobs()[1].items()], want)


def actions(path):
    """Every action at a version, and rights declared: none for all, what each job needs in it."""
    document = yaml.safe_load(path.read_text())
    # YAML 1.1 takes the key `on` for true.
    if True not in document:
        return "it never starts"
    uses = [step["uses"] for job in document["jobs"].values() for step in job.get("steps", []) if "uses" in step]
    loose = [use for use in uses if not re.search(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})$", use)]
    if loose:
        return f"{loose} is not pinned"
    if document.get("permissions") != {}:
        return "permissions are not taken away at the top"
    without = [name for name, job in document["jobs"].items() if "permissions" not in job or "timeout-minutes" not in job]
    if without:
        return f"{without} declares no permissions, or may run for ever"
    # What comes from outside is data in a variable, never a part of a command.
    pasted = [step["run"] for job in document["jobs"].values() for step in job.get("steps", [])
              if re.search(r"\$\{\{ *(github\.(event|head_ref|ref_name)|inputs)", step.get("run", ""))]
    if pasted:
        return f"text from outside is pasted into {pasted}"
    return wrong_shell([step["run"] for job in document["jobs"].values() for step in job.get("steps", []) if "run" in step])


def wrong_shell(commands):
    for command in commands:
        done = subprocess.run(["bash", "-n"], input=re.sub(r"\$\{\{.*?\}\}", "x", command), capture_output=True, text=True)
        if done.returncode != 0:
            return f"{command}: {done.stderr}"
    return None


def shell(path):
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    if done.returncode == 0 and shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", path], capture_output=True, text=True)
    return done.returncode and done.stdout + done.stderr or None


def instructions():
    """The Dockerfile as (instruction, rest), continued lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def dockerfile():
    found = instructions()
    stages = [index for index, (word, _) in enumerate(found) if word == "FROM"]
    last = found[stages[-1]:]
    wrong = differs(last[0][1].split()[0], "scratch") or differs([rest for word, rest in last if word == "USER"], ["65532:65532"])
    wrong = wrong or differs([rest for word, rest in last if word == "ENTRYPOINT"], ['["/serin"]'])
    loose = [rest for word, rest in found if word == "FROM" and not re.search(r"(^| )(scratch|\S+:\d+\.\d+\.\d+\S*|[a-z]+)( AS \S+)?$", rest)]
    channel = re.search(r'channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    base = next(rest for word, rest in found if word == "FROM")
    if f"rust:{channel}-" not in base:
        wrong = wrong or f"the base is {base}, and the toolchain {channel}"
    used = {word for word, _ in found}
    known = {"ARG", "FROM", "WORKDIR", "ENV", "RUN", "COPY", "USER", "ENTRYPOINT", "LABEL", "EXPOSE"}
    return wrong or (loose and f"{loose} is not pinned") or (used - known and f"{used - known}") or missing_sources(found)


def missing_sources(found):
    """What is copied from the context is there, and is not ignored."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for word, rest in found:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                if not (ROOT / source).exists() or (ignored and "*" == ignored[0] and f"!{source.split('/')[0]}" not in ignored):
                    return f"{source} is missing, or ignored by .dockerignore"
    return None


def current_schemas():
    done = subprocess.run([ROOT / "schemas/make", "--check"], capture_output=True, text=True)
    return done.returncode and done.stdout + done.stderr or None


def check_files(tally):
    for path in (RELEASE, *sorted((ROOT / "tests/helm/fake").iterdir())):
        tally.check(f"shell: {path.relative_to(ROOT)}", lambda: shell(path))
    for path in (GITHUB, *WORKFLOWS):
        tally.check(f"actions: {path.relative_to(ROOT)}", lambda: actions(path))
    for path in (GITHUB, GITLAB):
        tally.check(f"stages: {path.name} calls those that there are", lambda: existing(path))
    tally.check("stages: github.yaml has the guide's order", github_order)
    tally.check("stages: gitlab-ci.yaml has the guide's order", gitlab_order)
    tally.check("alone: github.yaml", github_exclusive)
    tally.check("alone: gitlab-ci.yaml", gitlab_exclusive)
    tally.check("shell: gitlab-ci.yaml", lambda: wrong_shell([line for job in gitlab_jobs()[1].values() for line in job["script"]]))
    if (ROOT / "Dockerfile").exists():
        tally.check("Dockerfile", dockerfile)
    tally.check("schemas/ are what crds/ says", current_schemas)


def main():
    tally = Tally(sys.argv[1:])
    for part in (check_files, check_usage, check_stages, check_deployments):
        part(tally)
    tally.finish()


if __name__ == "__main__":
    main()
