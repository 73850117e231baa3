"""The claims: a function for each, or for each row of a table, under its own name."""

import functools

from claims.helm import HELMS

CASES = {
    "as deploy/": ("serin", "serin-system", {}),
    "another release": ("canaries", "platform", {}),
    "a long name": ("a" * 53, "n" * 63, {}),
    "an account that is there": ("serin", "delivery", {"serviceAccount": {"create": False, "name": "robot"}}),
    "an account of its own name": ("serin", "delivery", {"serviceAccount.name": "robot", "fullnameOverride": "rollouts"}),
    "one namespace": ("serin", "serin-system", {"namespaces": ["shop"]}),
    "several namespaces": ("canaries", "platform", {"namespaces": ["shop", "pay"], "rbac.autoscaler": False}),
    "everything": (
        "serin",
        "serin-system",
        {
            "replicas": 2,
            "image": {"repository": "registry:5000/serin", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "pull"}],
            "networkPolicy": {
                "enabled": True,
                "ingressFrom": [{"podSelector": {}}],
                "egress": [{"ports": [{"port": 6443}]}],
            },
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboards": {"enabled": True, "annotations": {"folder": "Delivery"}},
            "podAnnotations": {"team": "platform"},
            "podLabels": {"team": "platform"},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "system-cluster-critical",
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "disarm.force": True,
            "controller.anonymousReads": True,
        },
    ),
    "as little as possible": (
        "serin",
        "serin-system",
        {
            "crds.install": False,
            "rbac.people": False,
            "rbac.gatewayApi": False,
            "rbac.routes": False,
            "rbac.autoscaler": False,
            "podDisruptionBudget.enabled": False,
            "disarm.enabled": False,
        },
    ),
}
WEBHOOK = {"gate.mode": "webhook"}
CASES |= {
    "a webhook": ("serin", "serin-system", WEBHOOK),
    "a webhook of a long name": ("a" * 53, "n" * 63, WEBHOOK),
    "a webhook of another account": ("serin", "delivery", {**WEBHOOK, "serviceAccount": {"create": False, "name": "robot"}}),
    "a webhook for several namespaces": (
        "canaries",
        "platform",
        {
            **WEBHOOK,
            "gate.webhook.certificateLife": "30d",
            "replicas": 2,
            "namespaces": ["shop", "pay"],
            "networkPolicy": {"enabled": True, "ingressFrom": [{"podSelector": {}}]},
        },
    ),
}
TESTS = []


def test(function):
    """A claim; its name is that of the function."""
    TESTS.append((function.__name__, function))
    return function


def rows(**table):
    """A claim for each row of a table."""

    def each(function):
        for name, row in table.items():
            TESTS.append((f"{function.__name__}: {name}", functools.partial(function, row)))
        return function

    return each


def for_cases(function):
    return rows(**CASES)(function)


def for_helms(function):
    return rows(**{helm.rstrip("."): helm for helm in HELMS})(function)
