"""Install and removal, played with both Helms on a server that keeps objects."""

import re
import subprocess
import tempfile

from claims import for_cases, for_helms, rows, test
from claims.apiserver import RESOURCES, Server, is_record, served
from claims.helm import CHART, HELMS, KUBERNETES, OLDER, ROOT, key, notes, of, only, template, tool
from claims.kustomize import FOLDERS, kustomized, spaced


class Release:
    """A release on an API server that only keeps what it is given, and Helm's commands on it."""

    def __init__(self, helm, **cluster):
        self.helm, self.server = tool(helm), Server(says="a canary runs for shop/web", **cluster)
        self.file = tempfile.NamedTemporaryFile("w", suffix=".kubeconfig")
        self.file.write(self.server.kubeconfig())
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()
        self.file.close()

    def does(self, verb, *words, fails=None, refused=False, name="serin"):
        """What a command does, in lines; with `fails` one of its Jobs fails, and so does it."""
        self.server.log.clear()
        self.server.fails = {fails}
        command = [self.helm, verb, name, *map(str, words), "-n", "serin-system", "--kubeconfig", self.file.name]
        done = subprocess.run(command, capture_output=True, text=True)
        self.said = done.stdout + done.stderr
        assert (done.returncode != 0) == bool(fails or refused), self.said
        return list(self.server.log)

    def there(self):
        """What there is, but for Helm's own record."""
        return {f"{resource} {name}" for resource, _, name in filter(lambda key: not is_record(key), self.server.objects)}


RIGHTS = {"serviceaccounts serin-disarm", "clusterroles serin-disarm", "clusterrolebindings serin-disarm"}
LEASE = {"roles serin-disarm", "rolebindings serin-disarm"}
POLICY = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
STOP, STOPPED = ({f"{resource} {name}" for resource in POLICY} for name in ("serin-stop", "serin-stopped"))


def in_order(log, *parts):
    """Each part begins after the one before it has ended."""
    places = [[log.index(line) for line in part] for part in parts]
    for before, after in zip(places, places[1:]):
        assert max(before) < min(after), log


def lines(sign, names):
    return {f"{sign} {name}" for name in names}


@for_helms
def a_removal_disarms_stops_the_controller_and_disarms_again(helm):
    with Release(helm) as release:
        release.does("install", CHART)
        # The controller makes it, so that Helm does not know it.
        release.server.put(("leases", "serin-system", "serin"), {"metadata": {"name": "serin"}})
        log = release.does("uninstall")
        first, second = {"+ jobs serin-disarm-first"}, {"+ jobs serin-disarm"}
        in_order(log, lines("+", RIGHTS), first, lines("+", STOP | LEASE), second, lines("+", STOPPED))
        # From the first line on to the end of the controller and its rights, a policy is there that takes its writes.
        in_order(log, lines("+", STOPPED), lines("-", STOP), {"- deployments serin"}, {"- clusterrolebindings serin-core"})
        gate = {"- mutatingadmissionpolicies serin-hold", "- validatingadmissionpolicies serin-guard"}
        in_order(log, second, {"- clusterrolebindings serin-core"}, gate, lines("-", STOPPED))
        definitions = {f"customresourcedefinitions {key(one)[2]}" for one in of(template(), "CustomResourceDefinition")}
        assert release.there() == definitions, release.there()
        # And the next release takes them for its own.
        release.does("install", CHART)


@for_helms
def a_removal_that_fails_leaves_the_controller_working(helm):
    with Release(helm) as release:
        release.does("install", CHART)
        before = release.there()
        for job in ("serin-disarm-first", "serin-disarm"):
            log = release.does("uninstall", fails=job)
            assert ("+ jobs serin-disarm" in log) == (job == "serin-disarm")
            assert "a canary runs for shop/web" in release.said, release.said
            # The Job stays for its log; the next removal makes it anew.
            assert release.there() == before | {f"jobs {job}"}, release.there() ^ before
        # To keep Serin is to say so.
        release.does("rollback", 1)
        release.does("upgrade", CHART)
        release.does("uninstall")


@for_helms
def a_fresh_cluster_takes_the_release_in_one_go(helm):
    with Release(helm) as release:
        log = release.does("install", CHART)
        definitions = {line for line in log if line.startswith("+ customresourcedefinitions")}
        policies = {line for line in log if line.split()[1].endswith("admissionpolicies")}
        bindings = {line for line in log if line.split()[1].endswith("admissionpolicybindings")}
        assert len(definitions) == 3 and len(policies) == len(bindings) == 9
        in_order(log, definitions, {"+ clusterroles serin-core"}, {"+ deployments serin"}, policies)
        for binding in bindings:
            in_order(log, {binding.replace("policybindings", "policies")}, {binding})
        assert len(log) == len(template())


# Version of Kubernetes, whether the beta is on, what the gate is then, and what the notes say of it.
GATES = {
    "1.33": (OLDER, False, {"mutatingwebhookconfigurations serin-gate"}, "v1.33.0 has no MutatingAdmissionPolicy"),
    "1.35": ("1.35.4", False, {"mutatingwebhookconfigurations serin-gate"}, "v1.35.4 has no MutatingAdmissionPolicy"),
    "1.35 with the beta": ("1.35.4", True, {"mutatingadmissionpolicies serin-hold"}, "has MutatingAdmissionPolicy v1beta1"),
    "1.36": (KUBERNETES, False, {"mutatingadmissionpolicies serin-hold"}, "has MutatingAdmissionPolicy v1"),
}


@rows(**{f"{name}, {helm.rstrip('.')}": (helm, *row) for name, row in GATES.items() for helm in HELMS})
def helm_asks_the_server_which_gate_it_has(row):
    helm, kubernetes, beta, gate, why = row
    with Release(helm, kubernetes=kubernetes, beta=beta) as release:
        log = release.does("install", CHART)
        both = {"mutatingwebhookconfigurations serin-gate", "mutatingadmissionpolicies serin-hold"}
        assert both & release.there() == gate, release.there()
        assert why in release.said, release.said
        # What answers the webhook comes before what asks it, and the account before its rights.
        in_order(log, {"+ serviceaccounts serin"}, {"+ deployments serin"}, lines("+", gate))
        log = release.does("uninstall")
        in_order(log, {"+ jobs serin-disarm"}, {"- deployments serin"}, lines("-", STOPPED))
        in_order(log, {"+ jobs serin-disarm"}, lines("-", gate))
        assert {name.split()[0] for name in release.there()} == {"customresourcedefinitions"}, release.there()


@for_helms
def policies_take_the_place_of_the_webhook_when_the_cluster_is_new_enough(helm):
    with Release(helm, kubernetes=OLDER) as release:
        release.does("install", CHART)
        release.server.kubernetes, release.server.resources = KUBERNETES, served(KUBERNETES, False)
        log = release.does("upgrade", CHART)
        policies = {"+ mutatingadmissionpolicybindings serin-hold", "+ mutatingadmissionpolicybindings serin-stamp"}
        in_order(log, policies, {"- mutatingwebhookconfigurations serin-gate"})
        assert not [name for name in release.there() if "webhook" in name], release.there()


@for_helms
def a_cluster_has_one_release(helm):
    with Release(helm) as release:
        release.does("install", CHART)
        assert release.does("install", CHART, name="second", refused=True) == []
        assert "serin-core" in release.said or "serin.dev" in release.said, release.said
        # Definitions that stayed belong to the release that is gone.
        release.does("uninstall")
        release.does("install", CHART, name="second", refused=True)
        release.does("install", CHART, "--take-ownership", name="second")
        assert "deployments second-serin" in release.there()


@rows(**{f"{folder}, {helm.rstrip('.')}": (folder, helm) for folder in FOLDERS for helm in HELMS})
def objects_of_kustomize_are_taken_over(row):
    folder, helm = row
    resources = {kind: name for group in RESOURCES.values() for name, kind in group.items()}
    with Release(helm, kubernetes=FOLDERS[folder]) as release:
        for one in kustomized(folder):
            if one["kind"] != "Namespace":
                resource = resources[one["kind"]].strip("/")
                release.server.put((resource, one["metadata"].get("namespace", ""), one["metadata"]["name"]), one)
        before = {key: spaced(one.get("spec")) for key, one in release.server.objects.items()}
        release.does("install", CHART, refused=True)
        log = release.does("install", CHART, "--take-ownership")
        # Nothing is made anew, and nothing of what it asks for changes: the controller goes on in its Pod.
        assert not [line for line in log if not line.startswith("~")], log
        after = {key: spaced(one.get("spec")) for key, one in release.server.objects.items() if not is_record(key)}
        assert before == after, [key for key in before if before[key] != after.get(key)]


@test
def a_release_that_does_not_disarm_has_no_hooks():
    assert not template(values={"disarm.enabled": False}, hooks=True)


@for_cases
def only_the_account_of_the_release_is_stopped(case):
    release, namespace, values = case
    account = only(template(release, namespace, values), "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    hooks = template(release, namespace, values, hooks=True)
    policies = of(hooks, "ValidatingAdmissionPolicy")
    assert len(policies) == (3 if hooks else 0)
    for policy in policies:
        conditions = [condition["expression"] for condition in policy["spec"]["matchConditions"]]
        assert conditions == [f"request.userInfo.username == 'system:serviceaccount:{namespace}:{account}'"], conditions
    for job in of(hooks, "Job"):
        assert job["spec"]["template"]["spec"]["serviceAccountName"] not in (account, "default")


@test
def only_the_second_job_may_read_the_lease():
    hooks = template(hooks=True)
    weights = {
        one["kind"]: int(notes(one)["helm.sh/hook-weight"]) for one in hooks if one["kind"] in ("Role", "RoleBinding")
    }
    jobs = {one["metadata"]["name"]: int(notes(one)["helm.sh/hook-weight"]) for one in of(hooks, "Job")}
    assert all(jobs["serin-disarm-first"] < weight < jobs["serin-disarm"] for weight in weights.values())
    assert not [rule for rule in only(hooks, "ClusterRole")["rules"] if "leases" in rule["resources"]]
    log = {notes(one).get("helm.sh/hook-output-log-policy") for one in of(hooks, "Job")}
    assert log == {"hook-failed"}


@test
def the_jobs_may_do_what_disarm_does():
    source = (ROOT / "src/cli/disarm.rs").read_text()
    helpers = re.findall(r"Kind::(\w+)", re.search(r"const HELPERS: .*? = \[(.*?)\]", source, re.S).group(1))
    kinds = (ROOT / "src/objects/kind.rs").read_text()
    plural = dict(re.findall(r'Self::(\w+) => \(.*"(\w+)"\),', kinds))
    listed = re.search(r"pub const ROUTES: .*? = \[(.*?)\]", kinds, re.S).group(1)
    assert "Kind::ROUTES" in source
    routes = [kind for kind in re.findall(r"Self::(\w+)", listed) if kind != "Gateway"]
    allowed = {}
    for rule in only(template(hooks=True), "ClusterRole", "serin-disarm")["rules"]:
        for resource in rule["resources"]:
            allowed.setdefault(resource, set()).update(rule["verbs"])
    assert len(helpers) == 4 and len(routes) >= 18, (helpers, routes)
    for kind in [*helpers, "Service"]:
        assert {"list", "delete"} <= allowed[f"{kind.lower()}s"], kind
    for kind in routes:
        assert allowed[plural[kind]] == {"list"}, kind
    assert {"get", "patch"} <= allowed["deployments"] and {"list", "get", "patch", "update"} <= allowed["canaries"]
    assert set(allowed) == {plural[kind] for kind in [*helpers, *routes, "Service"]} | {"canaries"}


@test
def both_jobs_end_before_helm_gives_up():
    # Helm waits for five minutes, and says nothing of a Job that has not ended then.
    assert sum(job["spec"]["activeDeadlineSeconds"] for job in of(template(hooks=True), "Job")) < 300


@test
def disarming_is_forced_only_on_request():
    for force in (False, True):
        for job in of(template(values={"disarm.force": force}, hooks=True), "Job"):
            args = job["spec"]["template"]["spec"]["containers"][0]["args"]
            # Forced or not, the last Job proves that the controller has stopped, and ends before it is ended.
            last = job["metadata"]["name"] == "serin-disarm"
            wait = [f"--wait-stopped={job['spec']['activeDeadlineSeconds'] - 10}s"] if last else []
            said = ["--lease-namespace=serin-system", "--helm-release=serin-system/serin"]
            assert args == ["disarm", "--all", *said, *(["--force"] if force else []), *wait], args
