"""The same objects without Helm."""

import json

from claims import rows
from claims.helm import KUBERNETES, OLDER, ROOT, by_key, documents, run, template, tool

# What Helm's objects have and those of deploy/ do not. Objects of deploy/ that have the first label have it there too.
HELM_LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}
HELM_ANNOTATIONS = {"CustomResourceDefinition": {"helm.sh/resource-policy"}}


# Folders, and a version of Kubernetes that each is for.
FOLDERS = {"deploy": KUBERNETES, "deploy/older": OLDER}


def kustomized(folder="deploy"):
    return documents(run(tool("kustomize-"), "build", "--load-restrictor", "LoadRestrictionsNone", ROOT / folder))


def without(one, field, names):
    """The object without these labels or annotations."""
    left = {name: value for name, value in (one["metadata"].pop(field, None) or {}).items() if name not in names}
    if left:
        one["metadata"][field] = left


def spaced(value):
    """Texts with one space where there are several, or ends of lines: kustomize writes an empty line more into folded
    texts that have lines set in deeper, which are expressions. To CEL white space is one."""
    if isinstance(value, dict):
        return {name: spaced(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [spaced(inner) for inner in value]
    return " ".join(value.split()) if isinstance(value, str) else value


@rows(**{folder: folder for folder in FOLDERS})
def chart_and_kustomize_give_the_same_objects(folder):
    ours = by_key(spaced(template(kubernetes=FOLDERS[folder])))
    theirs = by_key(spaced(kustomized(folder)))
    # The record of a release is kept in its namespace, which is there before.
    namespace = theirs.pop(("Namespace", "", "serin-system"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    for name, one in ours.items():
        kept = set(theirs[name]["metadata"].get("labels") or {})
        assert set(one["metadata"]["labels"]) == kept | HELM_LABELS, name
        without(one, "labels", HELM_LABELS - kept)
        without(one, "annotations", HELM_ANNOTATIONS.get(one["kind"], set()))
        assert one == theirs[name], f"{name}\nchart:     {json.dumps(one)}\nkustomize: {json.dumps(theirs[name])}"
