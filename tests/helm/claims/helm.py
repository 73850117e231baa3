"""Helm and the other programs, and what they render: objects as they are in YAML."""

import copy
import functools
import json
import os
import pathlib
import re
import subprocess

import yaml

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
CHART = ROOT / "chart" / "serin"
DASHBOARDS = ROOT / "dashboards"
CACHE = pathlib.Path(os.environ.get("SERIN_CACHE") or pathlib.Path.home() / ".cache" / "serin")
# The oldest version whose gate is policies, one whose gate is a webhook, and what tells that a cluster of 1.34 or 1.35
# has policies all the same.
KUBERNETES, OLDER = "1.36.0", "1.33.0"
BETA = "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy"


def build():
    """Builds what is missing."""
    for script in ("tools.sh", "promtool.sh"):
        if (HERE / script).exists():
            subprocess.run([HERE / script], stdout=subprocess.DEVNULL, check=True)


@functools.lru_cache(maxsize=None)
def tool(prefix):
    """The newest program of that name in the cache."""
    found = sorted((CACHE / "bin").glob(prefix + "*"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    assert found, f"no {prefix}* in {CACHE / 'bin'}"
    return str(found[-1])


@functools.lru_cache(maxsize=None)
def schemas():
    """The folder with the schemas that were made last."""
    found = sorted(CACHE.glob("schemas-*"), key=lambda path: path.stat().st_mtime)
    assert found, f"no schemas-* in {CACHE}"
    return found[-1]


def run(*command, fine=True, given=None):
    """What a program says; with `fine` it has to succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, input=given)
    said = done.stdout + done.stderr
    assert not fine or done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{said}"
    return done if not fine else done.stdout


HELMS = ("helm-4.", "helm-3.")


def values_flags(values):
    return [word for key, value in values.items() for word in ("--set-json", f"{key}={json.dumps(value)}")]


@functools.lru_cache(maxsize=None)
def rendered(helm, release, namespace, values, chart=str(CHART), kubernetes=KUBERNETES, apis=()):
    return run(
        tool(helm),
        "template",
        release,
        chart,
        "-n",
        namespace,
        "--kube-version",
        kubernetes,
        *(f"--api-versions={api}" for api in apis),
        *values_flags(json.loads(values)),
    )


class Loader(yaml.CSafeLoader):
    """Numbers as YAML 1.2 has them: PyYAML takes 1e-06, which has no point, for a text."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789"))


def documents(text):
    return [document for document in yaml.load_all(text, Loader=Loader) if document]


def template(
    release="serin",
    namespace="serin-system",
    values=None,
    helm=HELMS[0],
    chart=CHART,
    hooks=False,
    kubernetes=KUBERNETES,
    apis=(),
):
    """The objects of a release; of its hooks with `hooks`, else all others."""
    text = rendered(helm, release, namespace, json.dumps(values or {}), str(chart), kubernetes, apis)
    return [copy.deepcopy(one) for one in documents(text) if is_hook(one) == hooks]


def refusal(values, helm, kubernetes=KUBERNETES):
    """What Helm says to values that are to be refused."""
    done = run(tool(helm), "template", "serin", CHART, "--kube-version", kubernetes, *values_flags(values), fine=False)
    assert done.returncode != 0, f"{helm} takes {values}"
    return done.stderr


def notes(one):
    return one["metadata"].get("annotations") or {}


def is_hook(one):
    return "helm.sh/hook" in notes(one)


def key(one):
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def by_key(objects):
    found = {key(one): one for one in objects}
    assert len(found) == len(objects), "two objects with one name"
    return found


def of(objects, kind, name=None):
    return [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]


def only(objects, kind, name=None):
    found = of(objects, kind, name)
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pods(objects):
    return [one["spec"]["template"]["spec"] for one in objects if one["kind"] in ("Deployment", "Job")]


def arguments(objects):
    return pods(of(objects, "Deployment"))[0]["containers"][0]["args"]


def texts(value):
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif not isinstance(value, (int, float, bool, type(None))):
        for item in value:
            yield from texts(item)


def fits_the_schemas(text):
    """Whether objects are as Kubernetes describes them."""
    run(
        tool("kubeconform-"),
        "-strict",
        "-schema-location",
        schemas() / "{{.ResourceKind}}{{.KindSuffix}}.json",
        "-",
        given=text,
    )


CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration")


def is_cluster_wide(kind):
    return kind in CLUSTER_WIDE or "AdmissionPolicy" in kind
