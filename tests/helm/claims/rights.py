"""What the account may do, everywhere or in some namespaces."""

from claims import rows, test
from claims.helm import KUBERNETES, OLDER, by_key, of, only, template


def verbs(objects):
    """Of the account: verbs by namespace (none: everywhere) and resource."""
    found = {}
    for binding in of(objects, "ClusterRoleBinding") + of(objects, "RoleBinding"):
        role = only(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for rule in role["rules"]:
            for resource in rule["resources"]:
                place = binding["metadata"].get("namespace", ""), resource
                found.setdefault(place, set()).update(rule["verbs"])
    return found


READS = {"get", "list", "watch"}
# Policies, webhooks and people belong to the cluster, and the lease to the release.
APART = ("mutating", "validatingadmission", "leases", "tokenreviews", "subjectaccessreviews")


@rows(one=["shop"], several=["shop", "pay"])
def rights_are_those_of_the_namespaces(namespaces):
    everywhere = verbs(template())
    narrow = verbs(template(values={"namespaces": namespaces}))
    for (place, resource), allowed in narrow.items():
        if resource.startswith(APART):
            assert allowed == everywhere[place, resource]
        elif place == "":
            assert allowed <= READS, f"{resource} everywhere: {allowed}"
            assert len(namespaces) > 1 or resource == "gateways", resource
        else:
            assert place in namespaces and allowed == everywhere["", resource], (place, resource)
    for (place, resource), allowed in everywhere.items():
        if place == "" and not resource.startswith(APART):
            for namespace in namespaces:
                assert narrow[namespace, resource] == allowed, resource
            if "watch" in allowed and len(namespaces) > 1:
                assert narrow["", resource] == allowed & READS, resource


@test
def roles_that_are_off_are_not_there():
    switches = {"gatewayApi": ["serin-gateway-api"], "routes": ["serin-routes"], "autoscaler": ["serin-autoscaler"]}
    switches["api"] = ["serin-api", "serin-verbs"]
    switches["people"] = ["serin-view", "serin-operator", "serin-edit", "serin-admin"]
    all_roles = {name for kind, _, name in by_key(template()) if kind == "ClusterRole"}
    for switch, names in switches.items():
        objects = template(values={f"rbac.{switch}": False})
        left = {one["metadata"]["name"] for one in of(objects, "ClusterRole")}
        assert all_roles - left == set(names), switch
        assert not [one for one in of(objects, "ClusterRoleBinding") if one["roleRef"]["name"] in names]
    for kubernetes in (KUBERNETES, OLDER):
        nothing = template(values={"rbac.create": False}, kubernetes=kubernetes)
        assert not [one for one in nothing if "Role" in one["kind"]]


@test
def a_webhook_needs_one_secret_and_one_configuration_more():
    before, after = verbs(template()), verbs(template(kubernetes=OLDER))
    more = {place: allowed - before.get(place, set()) for place, allowed in after.items() if allowed != before.get(place)}
    assert more == {
        ("serin-system", "secrets"): {"get", "update"},
        ("", "mutatingwebhookconfigurations"): {"patch"},
    }, more
    for role in of(template(kubernetes=OLDER), "ClusterRole") + of(template(kubernetes=OLDER), "Role"):
        for rule in role["rules"]:
            if {"secrets"} & set(rule["resources"]) and role["metadata"]["name"] != "serin-secrets":
                assert rule["resourceNames"] == ["serin-webhook"]
            if "mutatingwebhookconfigurations" in rule["resources"] and "patch" in rule["verbs"]:
                assert rule["resourceNames"] == ["serin-gate"]


@test
def secrets_for_messages_are_read_where_somebody_says_so_and_nowhere_else():
    assert not [place for place in verbs(template()) if place[1] == "secrets"]
    found = verbs(template(values={"rbac.secretNamespaces": ["shop", "pay"]}))
    assert {place: allowed for place, allowed in found.items() if place[1] == "secrets"} == {
        ("shop", "secrets"): {"get"},
        ("pay", "secrets"): {"get"},
    }


@test
def external_metrics_are_read_where_somebody_says_so_and_nowhere_else():
    assert not [place for place in verbs(template()) if place[1] == "*"]
    found = verbs(template(values={"rbac.externalMetricsNamespaces": ["shop", "pay"]}))
    assert {place: allowed for place, allowed in found.items() if place[1] == "*"} == {
        ("shop", "*"): {"list"},
        ("pay", "*"): {"list"},
    }
    (rule,) = only(template(), "ClusterRole", "serin-external-metrics")["rules"]
    assert rule["apiGroups"] == ["external.metrics.k8s.io"]
