"""Which gate the chart chooses, and what a webhook brings: policies where the cluster has them, else Serin itself."""

import json

from claims import WEBHOOK, for_helms, rows, test
from claims.helm import (
    BETA,
    HELMS,
    KUBERNETES,
    OLDER,
    ROOT,
    arguments,
    documents,
    fits_the_schemas,
    key,
    of,
    only,
    pods,
    refusal,
    rendered,
    template,
)

POLICIES = {"gate.mode": "policies"}
# Version of Kubernetes, what it serves beside what every one does, values, and the version of the policies, if they are the gate.
CHOICES = {
    "1.30": ("1.30.0", (), {}, None),
    "1.33": (OLDER, (), {}, None),
    "1.35": ("1.35.4", (), {}, None),
    "1.35 with the beta": ("1.35.4", (BETA,), {}, "v1beta1"),
    "1.36": (KUBERNETES, (), {}, "v1"),
    "1.36 with the beta too": (KUBERNETES, (BETA, BETA.replace("v1beta1", "v1")), {}, "v1"),
    "1.36 of a cloud": ("1.36.1-gke.1250000", (), {}, "v1"),
    "1.35 of a cloud": ("1.35.9-eks-a1b2c3d", (), {}, None),
    "another version with the API": ("1.35.4", (BETA.replace("v1beta1", "v1"),), {}, "v1"),
    "the webhook by word": (KUBERNETES, (), WEBHOOK, None),
    "the webhook by word beside the beta": ("1.35.4", (BETA,), WEBHOOK, None),
    "policies by word": (KUBERNETES, (), POLICIES, "v1"),
    "policies by word, seen by nobody": ("1.35.4", (), POLICIES, "v1beta1"),
    "auto by word": (OLDER, (), {"gate.mode": "auto"}, None),
}


@rows(**CHOICES)
def the_gate_is_what_the_cluster_has(row):
    kubernetes, apis, values, version = row
    for helm in HELMS:
        objects = template(values=values, helm=helm, kubernetes=kubernetes, apis=apis)
        mutating = {(one["kind"], one["metadata"]["name"]) for one in objects if one["kind"].startswith("Mutating")}
        kinds = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
        policies = {(kind, f"serin-{name}") for kind in kinds for name in ("hold", "stamp")}
        assert mutating == (policies if version else {("MutatingWebhookConfiguration", "serin-gate")}), mutating
        versions = {one["apiVersion"].split("/")[1] for one in objects if one["kind"] in kinds}
        assert versions == ({version} if version else set()), versions
        # What refuses is the same everywhere.
        refusing = {one["metadata"]["name"] for one in of(objects, "ValidatingAdmissionPolicy")}
        assert {"serin-guard", "serin-requests", "serin-leash-delete"} <= refusing, refusing
        assert any(word.startswith("--webhook=") for word in arguments(objects)) == (not version)


@test
def what_a_policy_says_is_the_same_in_both_versions():
    stable, beta = template(), template(kubernetes="1.35.4", apis=(BETA,))
    assert list(map(key, stable)) == list(map(key, beta))
    for one in stable:
        if one["kind"].startswith("MutatingAdmissionPolicy"):
            one["apiVersion"] = "admissionregistration.k8s.io/v1beta1"
    assert stable == beta


@rows(**{name: CHOICES[name] for name in ("1.33", "1.35 with the beta", "1.36")})
def each_gate_fits_the_schemas_of_kubernetes(row):
    kubernetes, apis, values, _ = row
    fits_the_schemas(rendered(HELMS[0], "serin", "serin-system", json.dumps(values), kubernetes=kubernetes, apis=apis))


@for_helms
def policies_that_cannot_be_are_refused(helm):
    assert "gate.mode is policies, and Kubernetes v1.33.0 has no MutatingAdmissionPolicy" in refusal(POLICIES, helm, OLDER)
    assert ">=1.30.0-0" in refusal({}, helm, "1.29.9")


NAMES = {
    "serin": ("serin", "serin-system", "serin-webhook"),
    "another release": ("canaries", "platform", "canaries-serin-webhook"),
    "a long name": ("a" * 53, "n" * 63, f"{'a' * 53}-s-webhook"),
}


@rows(**NAMES)
def everything_of_the_webhook_has_one_name(row):
    release, namespace, name = row
    objects = template(release, namespace, kubernetes=OLDER)
    service, secret = only(objects, "Service", name), only(objects, "Secret", name)
    role, binding = only(objects, "Role", name), only(objects, "RoleBinding", name)
    for one in (service, secret, role, binding):
        assert one["metadata"]["namespace"] == namespace, key(one)
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get", "update"]}
    ]
    assert binding["roleRef"]["name"] == name
    assert arguments(objects)[-1] == f"--webhook={name}"
    for hook in only(objects, "MutatingWebhookConfiguration", "serin-gate")["webhooks"]:
        path = "/" + hook["name"].split(".")[0]
        assert hook["clientConfig"] == {"service": {"name": name, "namespace": namespace, "path": path, "port": 443}}, hook


@test
def the_webhook_is_asked_where_the_controller_listens():
    objects = template(values={"replicas": 2, "controller.listen": "0.0.0.0:9000"}, kubernetes=OLDER)
    ports = {port["name"]: port["containerPort"] for port in pods(objects)[0]["containers"][0]["ports"]}
    assert ports == {"http": 9000, "webhook": 9443}, ports
    assert only(objects, "Service", "serin-webhook")["spec"]["ports"] == [
        {"name": "webhook", "port": 443, "targetPort": "webhook"}
    ]
    assert only(objects, "Deployment")["spec"]["replicas"] == 2


@test
def an_upgrade_takes_nothing_that_the_controller_wrote():
    objects = template(kubernetes=OLDER)
    assert not {"data", "stringData"} & set(only(objects, "Secret"))
    for hook in only(objects, "MutatingWebhookConfiguration")["webhooks"]:
        assert "caBundle" not in hook["clientConfig"]


@test
def a_certificate_lives_as_long_as_is_said():
    values = {"gate.webhook.certificateLife": "30d"}
    assert arguments(template(values=values, kubernetes=OLDER))[-2:] == [
        "--webhook=serin-webhook",
        "--webhook-certificate-life=30d",
    ]
    assert template(values=values) == template()


@test
def the_api_server_reaches_the_webhook_through_a_network_policy():
    for peers in ([], [{"podSelector": {}}]):
        values = {"networkPolicy": {"enabled": True, "ingressFrom": peers}}
        ingress = only(template(values=values, kubernetes=OLDER), "NetworkPolicy")["spec"]["ingress"]
        assert ingress[1:] == [{"ports": [{"protocol": "TCP", "port": "webhook"}]}], ingress
        assert ingress[:1] == only(template(values=values), "NetworkPolicy")["spec"]["ingress"]


@test
def the_webhook_is_asked_about_what_the_policies_would_be_asked():
    gate, requests, older = (
        documents((ROOT / f"deploy/{name}.yaml").read_text()) for name in ("gate", "requests", "older/webhook")
    )
    hooks = {hook["name"]: hook for hook in only(older, "MutatingWebhookConfiguration")["webhooks"]}
    for source, name, more in ((gate, "hold", ["matters"]), (requests, "stamp", ["matters"])):
        policy, hook = only(source, "MutatingAdmissionPolicy", f"serin-{name}")["spec"], hooks[f"{name}.serin.dev"]
        conditions = policy["matchConditions"]
        assert hook["matchConditions"][: len(conditions)] == conditions
        assert [one["name"] for one in hook["matchConditions"][len(conditions) :]] == more
        assert hook["rules"] == policy["matchConstraints"]["resourceRules"]
        assert hook.get("objectSelector") == policy["matchConstraints"].get("objectSelector")
        assert hook["failurePolicy"] == policy["failurePolicy"] == "Fail"
        assert hook["reinvocationPolicy"] == policy["reinvocationPolicy"] == "IfNeeded"
        assert hook["sideEffects"] == "None" and hook["timeoutSeconds"] == 3 and hook["admissionReviewVersions"] == ["v1"]
