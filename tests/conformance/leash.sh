# shellcheck shell=bash
# The sections about the leash on Serin's own account, and about the net when a policy is missing.

section_leash() {
  ready_for_section
  local pod
  image 2.0 >/dev/null
  release >/dev/null
  settled 2x2.0
  reset
  pod=$(a_pod)
  check "delete of the target" "*forbidden*deletes only*" "$(AS=$SERIN request DELETE $DEPLOYMENTS/web | outcome)"
  check "delete of a ReplicaSet with Pods" "*deletes only*" "$(AS=$SERIN delete_replica_set "$(replica_set 1.0)")"
  check "delete of a ReplicaSet without Pods" "accepted" "$(AS=$SERIN delete_replica_set "$(replica_set 2.0)")"
  check "a ControllerRevision without the label is not its own" "*deletes only*" "$(controller_revision keep '{}' >/dev/null
    AS=$SERIN request DELETE /apis/apps/v1/namespaces/$NS/controllerrevisions/keep | outcome)"
  check "one with it is" "accepted|accepted" "$(AS=$SERIN controller_revision mine '{"serin.dev/canary-uid":"1"}')|$(
    AS=$SERIN request DELETE /apis/apps/v1/namespaces/$NS/controllerrevisions/mine | outcome)"
  check "eviction of a Pod" "accepted" "$(AS=$SERIN request POST "/api/v1/namespaces/$NS/pods/$pod/eviction?dryRun=All" \
    "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$pod\"}}" | outcome)"
  check "delete of a Pod: no right" "*cannot delete resource*" "$(AS=$SERIN request DELETE "/api/v1/namespaces/$NS/pods/$pod" | outcome)"
  check "delete of a collection: no right" "*cannot deletecollection resource*" "$(AS=$SERIN request DELETE "$DEPLOYMENTS" | outcome)"

  foreign
  check "canary-uid put on a Deployment that exists" "*set when an object is created*" \
    "$(AS=$SERIN request PATCH $DEPLOYMENTS/foreign '{"metadata":{"labels":{"serin.dev/canary-uid":"1"}}}' $MERGE | outcome)"
  check "... or on a Service" "*set when an object is created*" \
    "$(AS=$SERIN request PATCH $SERVICES/foreign '{"metadata":{"labels":{"serin.dev/canary-uid":"1"}}}' $MERGE | outcome)"
  check "a canary of its own: create, change, scale down, delete" "accepted accepted accepted accepted accepted" "$(own_workload | xargs)"

  check "a foreign label" "*only labels and annotations named serin.dev*" "$(AS=$SERIN labels '{"x":"y"}')"
  check "a foreign annotation" "*only labels and annotations named serin.dev*" "$(AS=$SERIN annotations '{"x":"y"}')"
  check "a finalizer" "*only labels and annotations named serin.dev*" "$(AS=$SERIN patch '{"metadata":{"finalizers":["a.b/c"]}}' $MERGE)"
  check "its own annotation" "accepted" "$(AS=$SERIN annotations '{"serin.dev/note":"y"}')"
  annotations '{"serin.dev/note":null}' >/dev/null
  check "the rest of the spec" "*only paused, replicas and the template*" "$(AS=$SERIN spec '{"minReadySeconds":3}')"
  check "replicas down" "*never scales down*" "$(AS=$SERIN spec '{"replicas":1}')"
  check "replicas down by the scale subresource" "*never scales down*" "$(AS=$SERIN scale 1)"
  check "replicas up" "accepted" "$(AS=$SERIN spec '{"replicas":3}')"
  check "replicas up by the scale subresource" "accepted" "$(AS=$SERIN scale 4)"
  scale 2 >/dev/null
  settled 2x1.0
  check "a template when idle" "*only while the Deployment is held or being reverted*" "$(AS=$SERIN image 2.0)"
  check "a pause without a hold" "*not its own*" "$(AS=$SERIN spec '{"paused":true}')"
  check "the status beyond the verdict" "*only the condition Progressing*" "$(AS=$SERIN patch '{"status":{"replicas":7}}' $STRATEGIC /status)"
  check "a verdict when idle" "*only while the Deployment is held*" "$(verdict False X y)"
  check "Serin takes the gate off" "accepted" "$(AS=$SERIN labels '{"serin.dev/gate":null}')"
  arm
  request DELETE $DEPLOYMENTS/foreign >/dev/null
  request DELETE $SERVICES/foreign >/dev/null
  [ -n "$INSTALLED" ] || with_every_right
  [ "$GATE_BY" = policies ] || own_webhook
}
# Who chooses what a webhook is asked about reads and changes all that is written. Dry, for Serin puts its caBundle back.
own_webhook() {
  check "the caBundle of its webhook" "accepted" "$(change_webhook clientConfig/caBundle '"YQ=="')"
  check "... not whom it asks" "*only caBundle*" "$(change_webhook clientConfig/service/name '"other"')"
  check "... nor about what" "*only caBundle*" "$(change_webhook rules/0/resources/0 '"secrets"')"
  check "... nor what happens if it fails" "*only caBundle*" "$(change_webhook failurePolicy '"Ignore"')"
}
change_webhook() {   # FIELD VALUE
  AS=$SERIN request PATCH "$ADMISSION/mutatingwebhookconfigurations/serin-gate?dryRun=All" \
    "[{\"op\":\"add\",\"path\":\"/webhooks/0/$1\",\"value\":$2}]" $JSON_PATCH | outcome
}
controller_revision() {   # NAME LABELS
  request POST /apis/apps/v1/namespaces/$NS/controllerrevisions \
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"ControllerRevision\",\"metadata\":{\"name\":\"$1\",\"labels\":$2},\"revision\":1,\"data\":{}}" | outcome
}
# foreign: a Deployment and a Service that are none of Serin's.
foreign() {
  request POST $DEPLOYMENTS "$(sed 's/"web"/"foreign"/g; s/"replicas": 2/"replicas": 0/' "$work/web.json")" >/dev/null
  request POST $SERVICES '{"apiVersion":"v1","kind":"Service","metadata":{"name":"foreign"},"spec":{"ports":[{"port":80}]}}' >/dev/null
}
own_workload() {
  local canary=$DEPLOYMENTS/web-canary own='{"metadata":{"labels":{"serin.dev/canary-uid":"1"}},'
  sed 's/"web"/"web-canary"/g; s/"replicas": 2/"replicas": 0/' "$work/web.json" |
    jq '.metadata.labels = {"serin.dev/canary-uid": "1"}' >"$work/canary.json"
  AS=$SERIN request POST $DEPLOYMENTS "@$work/canary.json" | outcome
  AS=$SERIN request PATCH $canary "$own\"spec\":{\"replicas\":1,\"minReadySeconds\":3}}" $MERGE | outcome
  AS=$SERIN request PATCH $canary '{"metadata":{"labels":{"x":"y"}},"spec":{"replicas":0}}' $MERGE | outcome
  AS=$SERIN request PATCH $canary "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"$IMAGE:2.0\"}]}}}}" $STRATEGIC | outcome
  AS=$SERIN request DELETE $canary | outcome
}
# The leash does not rest on RBAC: for a moment, Serin is given all there is.
with_every_right() {
  request POST "$RBAC/clusterrolebindings" '{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding",
    "metadata":{"name":"gate-conformance","labels":{"serin.dev/conformance":"true"}},
    "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
    "subjects":[{"kind":"ServiceAccount","name":"serin","namespace":"serin-system"}]}' >/dev/null
  wait_for yes may $SERIN delete "" pods
  check "with every right: delete of a Pod" "*deletes only*" "$(AS=$SERIN request DELETE "/api/v1/namespaces/$NS/pods/$(a_pod)" | outcome)"
  check "with every right: delete of a collection" "*deletes only*" "$(AS=$SERIN request DELETE /api/v1/namespaces/$NS/configmaps | outcome)"
  check "with every right: canary-uid put on a ConfigMap" "*set when an object is created*" \
    "$(AS=$SERIN request PATCH /api/v1/namespaces/$NS/configmaps/kube-root-ca.crt '{"metadata":{"labels":{"serin.dev/canary-uid":"1"}}}' $MERGE | outcome)"
  check "with every right: replacing the target" "*only paused, replicas and the template*" \
    "$(AS=$SERIN request PUT $DEPLOYMENTS/web "$(request GET $DEPLOYMENTS/web | jq '.spec.minReadySeconds = 3')" | outcome)"
  request DELETE "$RBAC/clusterrolebindings/gate-conformance" >/dev/null
  wait_for no may $SERIN delete "" pods
}

# Last, and only where the policies are this script's own: it takes bindings away, as an accident would.
section_net() {
  [ -z "$INSTALLED" ] || { echo "# not with the controller installed"; return; }
  fresh
  request DELETE "$ADMISSION/mutatingadmissionpolicybindings/serin-hold" >/dev/null
  wait_for refused unheld_edit
  check "without the hold a template is refused" "*changed without being held*serin-hold or its binding is missing*|1.0 gated" "$(image 2.0)|$(state)"
  check "... and scaling is not" "accepted" "$(scale 3)"
  request DELETE "$ADMISSION/mutatingadmissionpolicybindings/serin-stamp" >/dev/null
  add_canary unstamped >/dev/null
  wait_for refused unstamped_ask
  check "without the stamp a request is refused" "*written by the policy serin-stamp only*" "$(ask unstamped abort)"
  check "... and one with a forged author too" "*written by the policy serin-stamp only*" "$(annotate unstamped '{"serin.dev/request":"abort","serin.dev/requested-by":"root"}')"
  check "... and an author without a request" "*written by the policy serin-stamp only*" "$(annotate unstamped '{"serin.dev/requested-by":"root"}')"
  install
}
unheld_edit() { [ "$(request PATCH "$DEPLOYMENTS/web?dryRun=All" '{"spec":{"template":{"metadata":{"annotations":{"probe":"1"}}}}}' $STRATEGIC | outcome)" = accepted ] || echo refused; }
unstamped_ask() { [ "$(request PATCH "$CANARIES/unstamped?dryRun=All" '{"metadata":{"annotations":{"serin.dev/request":"abort"}}}' $MERGE | outcome)" = accepted ] || echo refused; }
