#!/usr/bin/env python3
"""Records what a real API server answers to the cases of cases.json, for the tests of src/sim.

  SERIN_CLUSTER=golden tests/cluster/cluster up --bare
  SERIN_CLUSTER=golden tests/cluster/cluster freeze kube-controller-manager     # nobody else may write
  SERIN_CLUSTER=golden tests/cluster/cluster exec python3 tests/golden/sim/record.py [CRD.yaml …] [case …]

It makes the namespace `golden` anew, so it has to be gone before. CRDs that are named (those of Gateway API) are installed first;
without names of cases all are recorded. Times, revisions and ids become numbers of steps.
"""
import json, os, ssl, subprocess, sys, time, urllib.error, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {"json": "application/json-patch+json", "merge": "application/merge-patch+json",
         "strategic": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml"}


def connection():
    text = subprocess.run(["kubectl", "config", "view", "--raw", "-o", "json"], capture_output=True, check=True).stdout
    config = json.loads(text)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return cluster["server"], ssl.create_default_context(cafile=cluster["certificate-authority"]), user["token"]


SERVER, TLS, TOKEN = connection()


def call(method, path, body=None, content="application/json"):
    request = urllib.request.Request(SERVER + path, method=method, headers={"Content-Type": content, "Authorization": f"Bearer {TOKEN}"},
                                     data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, context=TLS) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def at(step):
    return f"2026-01-01T00:00:{step:02}Z"


def run(case):
    """Takes the steps of a case; each writes in a second of its own, so that times tell steps."""
    revisions, seconds, steps = [], {}, []
    for number, step in enumerate(case["steps"]):
        seconds[time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())] = number
        path = case["path"]
        verb = step["verb"]
        if verb != "create":
            path += "/" + case["name"] + ("/" + step["subresource"] if "subresource" in step else "")
        query = "?fieldManager=" + step.get("manager", "tester")
        if step.get("force"):
            query += "&force=true"
        if verb == "create":
            code, reply = call("POST", path + query, step["body"])
        else:
            code, reply = call("PATCH", path + query, step["body"], TYPES[verb])
        steps.append({**step, "code": code, "reply": reply})
        time.sleep(1.05 - time.time() % 1)
    text = json.dumps(steps)
    for moment, number in seconds.items():
        text = text.replace(moment, at(number))
    steps = json.loads(text)
    for step in steps:
        metadata = step["reply"].get("metadata", {})
        if "resourceVersion" in metadata:
            if metadata["resourceVersion"] not in revisions:
                revisions.append(metadata["resourceVersion"])
            metadata["resourceVersion"] = str(revisions.index(metadata["resourceVersion"]))
        if "uid" in metadata:
            metadata["uid"] = "uid"
    return {**case, "steps": steps}


def prepare(cases):
    call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "golden"}})
    call("POST", "/api/v1/namespaces/golden/serviceaccounts",
         {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    for crd in cases["crds"]:
        call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    for file in [name for name in sys.argv[1:] if name.endswith(".yaml")]:
        subprocess.run(["kubectl", "apply", "--server-side", "-f", file], check=True)
    time.sleep(3)


def main():
    with open(os.path.join(HERE, "cases.json")) as file:
        cases = json.load(file)
    prepare(cases)
    wanted = [name for name in sys.argv[1:] if not name.endswith(".yaml")]
    for name, case in cases["cases"].items():
        if wanted and name not in wanted:
            continue
        with open(os.path.join(HERE, name + ".json"), "w") as file:
            json.dump(run(case), file, indent=1, sort_keys=True)
            file.write("\n")
        print(name)


main()
