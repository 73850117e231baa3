"""What the chart renders, under any name, namespace and values."""

import json
import pathlib
import re
import shutil
import tempfile

from claims import CASES, for_cases, for_helms, test
from claims.helm import (
    CHART,
    HELMS,
    KUBERNETES,
    ROOT,
    documents,
    fits_the_schemas,
    is_cluster_wide,
    key,
    notes,
    of,
    only,
    pods,
    rendered,
    run,
    template,
    texts,
    tool,
    values_flags,
)

ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9.-]*:[a-z0-9.-]*")


@for_helms
def lint_finds_nothing(helm):
    for release, namespace, values in CASES.values():
        run(tool(helm), "lint", "--strict", CHART, "-n", namespace, "--kube-version", KUBERNETES, *values_flags(values))


@for_cases
def both_helms_render_the_same(case):
    release, namespace, values = case
    for hooks in (False, True):
        four, three = (template(release, namespace, values, helm, hooks=hooks) for helm in HELMS)
        assert sorted(map(key, four)) == sorted(map(key, three))
        assert not [one for one in four if one not in three]


@for_cases
def objects_fit_the_schemas_of_kubernetes(case):
    release, namespace, values = case
    fits_the_schemas(rendered(HELMS[0], release, namespace, json.dumps(values)))


@for_helms
def a_package_holds_what_the_folder_links_to(helm):
    with tempfile.TemporaryDirectory() as folder:
        run(tool(helm), "package", CHART, "-d", folder)
        package = next(pathlib.Path(folder).glob("serin-*.tgz"))
        _, _, values = CASES["everything"]
        assert template(values=values, helm=helm, chart=package) == template(values=values, helm=helm)


def expressions(webhook):
    """The objects with expressions, as they are without Helm."""
    names = ["gate", "requests", *(["older/webhook"] if webhook else [])]
    for one in [one for name in names for one in documents((ROOT / f"deploy/{name}.yaml").read_text())]:
        if "Policy" in one["kind"] and not (webhook and one["kind"].startswith("Mutating")) or "webhooks" in one:
            yield one


def said(one):
    """All texts of an object but for its labels, and for who serves a webhook."""
    hooks = [{**hook, "clientConfig": {}} for hook in one.get("webhooks", [])]
    return list(texts({**one, "metadata": {"name": one["metadata"]["name"]}, "webhooks": hooks}))


@for_cases
def every_expression_names_the_account_of_the_release(case):
    release, namespace, values = case
    objects = template(release, namespace, values)
    account = only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    full = f"system:serviceaccount:{namespace}:{account}"
    count = 0
    webhook = bool(of(objects, "MutatingWebhookConfiguration"))
    for source in expressions(webhook):
        ours = only(objects, source["kind"], source["metadata"]["name"])
        before, after = (said(one) for one in (source, ours))
        assert len(before) == len(after), key(source)
        replaced = {ACCOUNT.sub(full, text) for text in before}
        assert replaced == set(after), replaced ^ set(after)
        count += sum(len(ACCOUNT.findall(text)) for text in after)
    # hold, guard, five of the leash, two of requests; with a webhook, which stamps requests itself, one more of the leash
    assert count == 9, count
    made = of(objects, "ServiceAccount")
    assert [one["metadata"]["name"] for one in made] == ([] if values.get("serviceAccount") else [account])


@for_cases
def nothing_is_left_of_another_namespace(case):
    release, namespace, values = case
    objects = template(release, namespace, values) + template(release, namespace, values, hooks=True)
    allowed = {namespace, *values.get("namespaces", [])}
    for one in objects:
        place = one["metadata"].get("namespace")
        assert place is None if is_cluster_wide(one["kind"]) else place in allowed, key(one)
        for subject in one.get("subjects", []):
            assert subject["namespace"] == namespace, key(one)
    if namespace != "serin-system":
        left = [text for text in texts(objects) if "serin-system" in text and "helm.sh/" not in text]
        assert not left, left


@for_cases
def names_and_labels_are_valid(case):
    release, namespace, values = case
    for one in template(release, namespace, values) + template(release, namespace, values, hooks=True):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", one["metadata"]["name"]), key(one)
        assert len(one["metadata"]["name"]) <= 63, key(one)
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm" and labels["app.kubernetes.io/instance"] == release, key(
            one
        )
        for text in labels.values():
            assert isinstance(text, str) and len(text) <= 63, f"{key(one)}: {text}"


@for_cases
def pods_fit_the_restricted_profile(case):
    release, namespace, values = case
    for spec in pods(template(release, namespace, values) + template(release, namespace, values, hooks=True)):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] == 65532
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC", "volumes"))
        for container in spec["containers"]:
            inner = container["securityContext"]
            assert inner == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, inner
            assert container["resources"]["limits"]["memory"]


@test
def nothing_in_the_release_is_of_a_kind_that_it_defines():
    kinds = {one["spec"]["names"]["kind"] for one in of(template(), "CustomResourceDefinition")}
    assert len(kinds) == 3
    assert not [one for one in template() + template(hooks=True) if one["kind"] in kinds]


@test
def definitions_are_those_of_crds_and_stay():
    sources = [documents(path.read_text())[0] for path in sorted((ROOT / "crds").glob("*.yaml"))]
    for source in sources:
        ours = only(template(), "CustomResourceDefinition", source["metadata"]["name"])
        assert ours["spec"] == source["spec"]
        assert notes(ours) == {"helm.sh/resource-policy": "keep"}
    assert len(sources) == len(of(template(), "CustomResourceDefinition"))
    gone = template(values={"crds.keep": False})
    assert not any(notes(one) for one in of(gone, "CustomResourceDefinition"))


@test
def a_new_version_of_the_chart_changes_no_pod_and_no_selector():
    with tempfile.TemporaryDirectory() as folder:
        chart = shutil.copytree(CHART, pathlib.Path(folder) / "serin")
        text = (chart / "Chart.yaml").read_text()
        (chart / "Chart.yaml").write_text(re.sub(r"(?m)^version: .*$", "version: 9.9.9", text))
        old, new = only(template(), "Deployment"), only(template(chart=chart), "Deployment")
        assert old["metadata"]["labels"]["helm.sh/chart"] != new["metadata"]["labels"]["helm.sh/chart"]
        assert old["spec"] == new["spec"]


@test
def service_and_budget_select_the_controller_alone():
    for release, namespace, values in CASES.values():
        objects = template(release, namespace, values)
        labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        selectors = [one["spec"]["selector"] for one in of(objects, "Service")]
        selectors.append(only(objects, "Deployment")["spec"]["selector"]["matchLabels"])
        selectors += [one["spec"]["selector"]["matchLabels"] for one in of(objects, "PodDisruptionBudget")]
        for selector in selectors:
            assert selector.items() <= labels.items()
            for job in of(template(release, namespace, values, hooks=True), "Job"):
                assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()
