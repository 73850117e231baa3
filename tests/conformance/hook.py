"""A mutating webhook for gate.sh: it does to the Pod template what the Deployment's label `hook` says.

Usage: hook.py CERTIFICATE KEY PORT
"""

import base64
import http.server
import json
import ssl
import sys

CHANGE = [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"hook": "1"}}]
calls = {}  # by the resource version of the old object: the API server may ask twice about one write


def patch_for(request):
    """The JSON patch that answers an admission request."""
    new, old = request["object"], request["oldObject"]
    version = old["metadata"]["resourceVersion"]
    calls[version] = calls.get(version, 0) + 1
    back = [{"op": "replace", "path": "/spec/template", "value": old["spec"]["template"]}]
    by_serin = request["userInfo"]["username"].startswith("system:serviceaccount:serin-system:")
    return {
        "change": CHANGE,
        "back": back,
        "flip": back if calls[version] == 1 else CHANGE,
        "release": CHANGE if by_serin else [],
    }.get(new["metadata"].get("labels", {}).get("hook"), [])


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))["request"]
        patch = base64.b64encode(json.dumps(patch_for(request)).encode()).decode()
        response = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    certificate, key, port = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Hook)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
