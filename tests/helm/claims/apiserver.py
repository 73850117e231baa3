"""An API server as far as Helm notices: it keeps what it is given and ends Jobs. It has no schemas, admission or controllers.

What is played on it is Helm's part of a release, in both its versions: what is written in which order, what a hook makes way for and
leaves behind. `log` tells it in lines `+ RESOURCE NAME` (created), `~` (changed), `-` (removed).
"""

import base64
import http.server
import json
import re
import threading
import time
import urllib.parse
import uuid

import yaml

# Resources of Kubernetes 1.36 by group and version; those without a namespace end with a slash.
RESOURCES = {
    "v1": {
        "secrets": "Secret",
        "configmaps": "ConfigMap",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
        "pods": "Pod",
    },
    "apps/v1": {"deployments": "Deployment"},
    "coordination.k8s.io/v1": {"leases": "Lease"},
    "batch/v1": {"jobs": "Job"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "rbac.authorization.k8s.io/v1": {
        "clusterroles/": "ClusterRole",
        "clusterrolebindings/": "ClusterRoleBinding",
        "roles": "Role",
        "rolebindings": "RoleBinding",
    },
    "apiextensions.k8s.io/v1": {"customresourcedefinitions/": "CustomResourceDefinition"},
    "admissionregistration.k8s.io/v1": {
        "mutatingadmissionpolicies/": "MutatingAdmissionPolicy",
        "mutatingadmissionpolicybindings/": "MutatingAdmissionPolicyBinding",
        "validatingadmissionpolicies/": "ValidatingAdmissionPolicy",
        "validatingadmissionpolicybindings/": "ValidatingAdmissionPolicyBinding",
        "mutatingwebhookconfigurations/": "MutatingWebhookConfiguration",
    },
}
POLICIES = "admissionregistration.k8s.io"
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]
# How long a Job takes, and how long a watch lasts, in seconds.
JOB, WATCH = 0.1, 60


def root(group):
    """Where a group and version is served."""
    return f"api/{group}" if group == "v1" else f"apis/{group}"


def served(kubernetes, beta):
    """What a version of Kubernetes has: policies that change objects since 1.36, before that as v1beta1 if it is on."""
    if int(kubernetes.split(".")[1]) >= 36:
        return RESOURCES
    policies = {name: kind for name, kind in RESOURCES[f"{POLICIES}/v1"].items() if kind.startswith("MutatingAdmissionPolicy")}
    others = {name: kind for name, kind in RESOURCES[f"{POLICIES}/v1"].items() if name not in policies}
    return {**RESOURCES, f"{POLICIES}/v1": others, **({f"{POLICIES}/v1beta1": policies} if beta else {})}


class Server:
    """Objects by resource, namespace and name, and what happened to them."""

    def __init__(self, fails=(), says="", kubernetes="1.36.0", beta=False):
        self.kubernetes, self.resources = kubernetes, served(kubernetes, beta)
        self.objects, self.events, self.log, self.version = {}, [], [], 0
        # Names of the Jobs that fail, and what the Pod of each Job has logged.
        self.fails, self.says = set(fails), says
        self.changed = threading.Condition()
        handler = type("Bound", (Handler,), {"server_of": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def kubeconfig(self):
        """As text."""
        address = f"http://127.0.0.1:{self.http.server_address[1]}"
        cluster, context = {"name": "fake", "cluster": {"server": address}}, {"cluster": "fake", "user": "fake"}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "users": [{"name": "fake", "user": {}}],
                "contexts": [{"name": "fake", "context": context}],
                "current-context": "fake",
            }
        )

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def put(self, key, one):
        """Creates or changes an object."""
        with self.changed:
            is_new = key not in self.objects
            if is_new:
                one["metadata"].update(uid=str(uuid.uuid4()), creationTimestamp="2030-01-01T00:00:00Z", generation=1)
                if key[1]:
                    one["metadata"]["namespace"] = key[1]
            self.objects[key] = one
            self.tell("ADDED" if is_new else "MODIFIED", "+" if is_new else "~", key, one)
        if is_new and key[0] == "jobs":
            threading.Timer(JOB, self.end, [key]).start()
        return one

    def delete(self, key):
        with self.changed:
            self.tell("DELETED", "-", key, self.objects.pop(key))

    def end(self, job):
        """The Job is done, or has failed for the last time."""
        with self.changed:
            one = self.objects.get(job)
            if one:
                failed = job[2] in self.fails
                condition = {
                    "type": "Failed" if failed else "Complete",
                    "status": "True",
                    "reason": "BackoffLimitExceeded",
                    "message": "",
                }
                one["status"] = {"conditions": [condition], "failed" if failed else "succeeded": 1}
                self.tell("MODIFIED", None, job, one)

    def tell(self, event, sign, key, one):
        self.version += 1
        one["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, key, {"type": event, "object": json.loads(json.dumps(one))}))
        if sign and not is_record(key):
            self.log.append(f"{sign} {key[0]} {key[2]}")
        self.changed.notify_all()


def is_record(key):
    """Whether it is Helm's own record of a release."""
    return key[0] == "secrets" and key[2].startswith("sh.helm.")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Helm says what it did not like."""

    def answer(self, body, code=200, media="application/json"):
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, reason):
        self.answer(
            {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code},
            code,
        )

    def handle_any(self):
        url = urllib.parse.urlparse(self.path)
        self.query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self.body = parsed(self.rfile.read(length)) if length else None
        path = url.path.strip("/")
        found = discovery(path, self.server_of)
        if found is not None:
            return self.answer(found)
        for group, resources in self.server_of.resources.items():
            for name, kind in resources.items():
                pattern = rf"{root(group)}(?:/namespaces/([^/]+))?/{name.strip('/')}(?:/([^/]+))?(/log)?"
                match = re.fullmatch(pattern, path)
                if match:
                    return self.handle_objects(group, kind, name.strip("/"), *match.groups())
        return self.refuse(404, "NotFound")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def handle_objects(self, group, kind, resource, namespace, name, log):
        server, key = self.server_of, (resource, namespace or "", name)
        if log:
            return self.answer(server.says, media="text/plain")
        if self.command == "POST":
            key = (resource, namespace or "", self.body["metadata"]["name"])
            return (
                self.refuse(409, "AlreadyExists") if key in server.objects else self.answer(server.put(key, self.body), 201)
            )
        if self.command == "PATCH" and "apply" in self.headers["Content-Type"] and key not in server.objects:
            return self.answer(server.put(key, self.body), 201)
        if name and key not in server.objects:
            return self.refuse(404, "NotFound")
        if self.command == "PATCH":
            return self.answer(server.put(key, merged(server.objects[key], self.body)))
        if self.command == "PUT":
            return self.answer(server.put(key, self.body))
        if self.command == "DELETE":
            server.delete(key)
            return self.answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        if name:
            return self.answer(server.objects[key])
        if self.query.get("watch") in ("true", "1"):
            return self.watch(resource, namespace)
        items = [one for key, one in sorted(server.objects.items()) if self.is_asked_for(key, one, resource, namespace)]
        if resource == "pods":
            # Whatever Job is asked about has one Pod.
            items = [{"metadata": {"name": "pod", "namespace": namespace}, "spec": {"containers": [{"name": "disarm"}]}}]
        meta = {"resourceVersion": str(server.version)}
        return self.answer({"kind": f"{kind}List", "apiVersion": group, "metadata": meta, "items": items})

    def watch(self, resource, namespace):
        """Events since a version, each on a line. A client that wants the list as events is told to list instead."""
        if self.query.get("sendInitialEvents") == "true":
            return self.refuse(422, "Invalid")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        server, last, end = self.server_of, int(self.query.get("resourceVersion") or 0), time.monotonic() + WATCH
        while time.monotonic() < end:
            with server.changed:
                events = [event for event in server.events if event[0] > last]
                if not events:
                    server.changed.wait(1)
            for last, key, event in events:
                if self.is_asked_for(key, event["object"], resource, namespace):
                    line = json.dumps(event).encode() + b"\n"
                    try:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    except OSError:
                        return None
        return None

    def is_asked_for(self, key, one, resource, namespace):
        labels = one["metadata"].get("labels") or {}
        wanted = dict(part.split("=", 1) for part in self.query.get("labelSelector", "").split(",") if part)
        name = re.fullmatch(r"metadata\.name=(.*)", self.query.get("fieldSelector", ""))
        return (
            key[0] == resource
            and namespace in (None, key[1])
            and all(labels.get(label) == value.lstrip("=") for label, value in wanted.items())
            and (not name or name.group(1) == key[2])
        )


def discovery(path, server):
    """What there is: versions, groups, resources, and that the server itself checks fields."""
    if path == "version":
        major, minor = server.kubernetes.split(".")[:2]
        return {"major": major, "minor": minor, "gitVersion": f"v{server.kubernetes}"}
    if path == "api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "apis":
        groups = {}
        for group in server.resources:
            name, _, version = group.rpartition("/")
            if name:
                groups.setdefault(name, []).append({"groupVersion": group, "version": version})
        listed = [{"name": name, "versions": versions, "preferredVersion": versions[0]} for name, versions in groups.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    if path == "openapi/v3":
        return {"paths": {root(group): {"serverRelativeURL": f"/openapi/v3/{root(group)}"} for group in server.resources}}
    for group, resources in server.resources.items():
        if path == root(group):
            return {
                "kind": "APIResourceList",
                "groupVersion": group,
                "resources": [
                    {
                        "name": name.strip("/"),
                        "singularName": kind.lower(),
                        "namespaced": "/" not in name,
                        "kind": kind,
                        "verbs": VERBS,
                    }
                    for name, kind in resources.items()
                ],
            }
        if path == f"openapi/v3/{root(group)}":
            parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
            name, _, version = group.rpartition("/")
            paths = {
                f"/{kind}": {
                    "patch": {
                        "x-kubernetes-group-version-kind": {"group": name, "version": version, "kind": kind},
                        "parameters": parameters,
                        "responses": {},
                    }
                }
                for kind in resources.values()
            }
            return {"openapi": "3.0.0", "info": {"title": "fake", "version": "1"}, "paths": paths}
    return None


def merged(one, patch):
    """A JSON merge patch; close enough for the other kinds of patches that Helm sends."""
    for name, value in patch.items():
        if value is None:
            one.pop(name, None)
        elif isinstance(value, dict) and isinstance(one.get(name), dict):
            merged(one[name], value)
        else:
            one[name] = value
    return one


def parsed(data):
    """A body: JSON, YAML, or a Secret as protobuf, in which Helm keeps its record."""
    return secret(data) if data[:4] == b"k8s\0" else yaml.load(data, Loader=yaml.CSafeLoader)


def secret(data):
    """A Secret out of its message. Numbers are those of the fields in the API's definition."""
    envelope = dict(fields(data[4:]))
    one = {"apiVersion": "v1", "kind": dict(fields(envelope[1]))[2].decode(), "metadata": {"labels": {}}, "data": {}}
    if one["kind"] != "Secret":
        return one
    for number, value in fields(envelope[2]):
        if number == 1:
            for inner, content in fields(value):
                if inner in (1, 3):
                    one["metadata"]["name" if inner == 1 else "namespace"] = content.decode()
                elif inner == 11:
                    label = dict(fields(content))
                    one["metadata"]["labels"][label[1].decode()] = label.get(2, b"").decode()
        elif number == 2:
            entry = dict(fields(value))
            one["data"][entry[1].decode()] = base64.b64encode(entry[2]).decode()
        elif number == 3:
            one["type"] = value.decode()
    return one


def fields(data):
    """Numbers and contents of the fields of a protobuf message: those of variable length, and integers."""
    at = 0

    def integer():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = integer()
        if tag & 7 == 2:
            length = integer()
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            yield tag >> 3, integer()
