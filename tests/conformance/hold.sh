# shellcheck shell=bash
# The sections about what the gate holds and refuses. A state reads as in harness.sh: the version in the template, then its marks.

section_creation() {
  remove
  manifest 1.0 "paused: false" | with_gate | k create -f - >/dev/null
  check "a Deployment created with a gate is not held" "1.0 gated" "$(state)"
  remove
  create
  settled 2x1.0
  local before probe='{"spec":{"template":{"metadata":{"annotations":{"serin.dev/probe":"1"}}}}}'
  before=$(generation)
  arm
  check "arming bumps no generation" "$before" "$(generation)"
  check "Serin's dry-run probe comes back paused and held" "true true" \
    "$(AS=$SERIN request PATCH "$DEPLOYMENTS/web?dryRun=All" "$probe" $STRATEGIC | jq -r '"\(.spec.paused) \(.metadata.labels["serin.dev/held"])"')"
  check "the probe changes nothing" "1.0 gated" "$(state)"
  check "a dry run by Serin of what it may do in earnest is refused like anybody's" "*set by the gate only*" \
    "$(AS=$SERIN patch '{"metadata":{"labels":{"serin.dev/held":"true"}}}' $STRATEGIC '?dryRun=All')"
}

section_writers() {
  ready_for_section
  local ids
  ids=$(pod_ids)
  manifest 2.0 | k apply -f - >/dev/null 2>&1
  check "kubectl apply" "2.0 paused held gated" "$(state)"
  seen
  check "the held template gets no ReplicaSet" 1 "$(replica_sets | jq '.items | length')"
  check "the controller observes the held generation: its status writes pass" true \
    "$(request GET $DEPLOYMENTS/web | jq '.status.observedGeneration == .metadata.generation and (.status.conditions | any(.reason == "DeploymentPaused"))')"
  k set image deployment/web app="$IMAGE:3.0" >/dev/null
  check "kubectl set image while held" "3.0 paused held gated" "$(state)"
  manifest 1.0 | k apply -f - >/dev/null
  check "stable put back stays held" "1.0 paused held gated" "$(state)"
  release >/dev/null
  seen
  check "release of the serving template makes no new Pod" "1.0 gated|$ids" "$(state)|$(pod_ids)"
  k set image deployment/web app="$IMAGE:2.0" >/dev/null
  check "kubectl set image" "2.0 paused held gated" "$(state)"
  reset
  image 2.0 >/dev/null
  check "a patch" "2.0 paused held gated" "$(state)"
  reset
  k set env deployment/web A=b >/dev/null
  check "kubectl set env" "1.0 paused held gated" "$(state)"
  reset
  k rollout restart deployment/web >/dev/null
  check "kubectl rollout restart when idle is held" "1.0 paused held gated" "$(state)"
  check "kubectl rollout restart while held is refused by kubectl" "*can't restart paused deployment*" "$(k rollout restart deployment/web 2>&1)"
  reset

  manifest 2.0 | apply_as one >/dev/null
  check "server-side apply, first manager" "2.0 paused held gated" "$(state)"
  second_manager 1 >/dev/null
  check "server-side apply, second manager" "2.0 paused held gated" "$(state)"
  second_manager 1 "paused: false" >/dev/null
  check "server-side apply with paused: false is paused again" "2.0 paused held gated" "$(state)"
  second_manager 2 "paused: false" >/dev/null
  check "... and again with another template" "2.0 paused held gated" "$(state)"
  reset

  manifest 2.0 | k replace -f - >/dev/null
  check "kubectl replace" "2.0 paused held gated" "$(state)"
  manifest 2.0 | without_labels | k replace -f - >/dev/null
  check "kubectl replace without labels keeps both marks" "2.0 paused held gated" "$(state)"
  manifest 2.0 "paused: false" | k replace -f - >/dev/null
  check "kubectl replace with paused: false is paused again" "2.0 paused held gated" "$(state)"
  manifest 2.0 "paused: false" | k apply -f - >/dev/null 2>&1
  check "kubectl apply with paused: false is paused again" "2.0 paused held gated" "$(state)"
  manifest 2.0 "paused: false" | k apply -f - >/dev/null 2>&1
  check "the same apply once more" "2.0 paused held gated" "$(state)"
  k patch deployment web --type=json --field-manager=Terraform -p '[
    {"op": "replace", "path": "/spec/paused", "value": false},
    {"op": "replace", "path": "/spec/replicas", "value": 2},
    {"op": "add", "path": "/metadata/annotations/tf", "value": "1"}]' >/dev/null
  check "a write of more than paused (Terraform) is paused again" "2.0 paused held gated" "$(state)"
  reset

  manifest 1.0 | without_labels | k replace -f - >/dev/null
  check "idle: kubectl replace without labels keeps the gate" "1.0 gated" "$(state)"
  labels '{"team":"x"}' >/dev/null
  annotations '{"note":"y"}' >/dev/null
  check "idle: labels and annotations are free" "1.0 gated" "$(state)"
  labels '{"team":null}' >/dev/null
  annotations '{"note":null}' >/dev/null
  spec '{"minReadySeconds":1,"revisionHistoryLimit":3}' >/dev/null
  check "idle: the spec outside of the template is free" "1.0 gated" "$(state)"
  reset
  image 2.0 >/dev/null
  manifest 3.0 | k replace --force -f - >/dev/null 2>&1
  check "kubectl replace --force deletes and creates: not held, and the gate is lost" "3.0" "$(state)"
  fresh
}
second_manager() {   # VALUE OF AN ANNOTATION [LINE OF THE SPEC]
  apply_as two <<M
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  ${2:-}
  template: {metadata: {annotations: {two: "$1"}}}
M
}

section_scaling() {
  ready_for_section
  image 2.0 >/dev/null
  k scale deployment web --replicas=3 >/dev/null
  settled 3x1.0
  check "kubectl scale while held adds Pods of stable" "3x1.0" "$(pods)"
  spec '{"replicas":2}' >/dev/null
  settled 2x1.0
  check "spec.replicas while held" "2x1.0|2.0 paused held gated" "$(pods)|$(state)"
  scale 1 >/dev/null
  settled 1x1.0
  check "the scale subresource while held (what an autoscaler writes)" "1x1.0|2.0 paused held gated" "$(pods)|$(state)"
  local pod
  pod=$(a_pod)
  k delete pod "$pod" >/dev/null
  settled 1x1.0
  check "a deleted Pod comes back as stable" "1x1.0" "$(pods)"
  reset
}

section_pauses() {
  ready_for_section
  local ids
  k rollout pause deployment/web >/dev/null
  k set image deployment/web app="$IMAGE:2.0" >/dev/null
  check "a template edit under a person's pause sets nothing" "2.0 paused gated" "$(state)"
  k rollout resume deployment/web >/dev/null
  check "its end becomes a hold" "2.0 paused held gated" "$(state)"
  reset
  ids=$(pod_ids)
  k rollout pause deployment/web >/dev/null
  k rollout resume deployment/web >/dev/null
  check "also without an edit" "1.0 paused held gated" "$(state)"
  release >/dev/null
  seen
  check "... which Serin releases: no new Pod" "1.0 gated|$ids" "$(state)|$(pod_ids)"
  k rollout pause deployment/web >/dev/null
  manifest 2.0 | k replace -f - >/dev/null
  check "a full spec that drops a person's pause becomes a hold" "2.0 paused held gated" "$(state)"
  reset
  spec '{"paused":true,"template":{"metadata":{"annotations":{"x":"1"}}}}' >/dev/null
  check "pause and edit in one write is a person's pause" "1.0 paused gated" "$(state)"
  check "Serin cannot end a person's pause" "*not its own*" "$(AS=$SERIN spec '{"paused":false}')"
  reset
  k rollout pause deployment/web >/dev/null
  spec '{"paused":false,"replicas":3}' >/dev/null
  check "the end of a pause together with a scaling becomes a hold" "1.0 paused held gated" "$(state)"
  reset
}

section_refusals() {
  ready_for_section
  local message
  image 2.0 >/dev/null
  message=$(k rollout resume deployment/web 2>&1)
  check "kubectl rollout resume" "*forbidden*held for canary analysis and cannot be resumed*" "$message"
  check "... names promote, undo and break glass" "*\`serin -n $NS promote web\`*\`serin -n $NS undo web\`*label deployment/web serin.dev/gate- serin.dev/held-*rollout resume deployment/web*" "$message"
  check "a patch of paused alone" "*cannot be resumed*" "$(spec '{"paused":false}')"
  check "removal of held" "*serin.dev/held goes when*" "$(labels '{"serin.dev/held":null}')"
  check "another gate" "*can only be removed*" "$(labels '{"serin.dev/gate":"x"}')"
  patch '{"metadata":{"labels":{"serin.dev/gate":null},"annotations":{"a":"b"}}}' >/dev/null
  check "a gate removed together with an annotation is put back" "2.0 paused held gated" "$(state)"
  image 3.0 '{"serin.dev/gate":null}' >/dev/null
  check "a gate removed together with a template is put back, and held" "3.0 paused held gated" "$(state)"
  check "reverting set by a person" "*set and removed by Serin only*" "$(labels '{"serin.dev/reverting":"true"}')"
  k label deployment/web serin.dev/gate- >/dev/null
  check "break glass: the gate goes in a write of its own" "3.0 paused held" "$(state)"
  k rollout resume deployment/web >/dev/null
  settled 2x3.0
  check "... then resume ships" "2x3.0" "$(pods)"
  reset
  image 2.0 >/dev/null
  k label deployment/web serin.dev/gate- serin.dev/held- >/dev/null
  check "break glass as the message says it" "2.0 paused" "$(state)"
  reset
  check "held set by a person when idle" "*set by the gate only*" "$(labels '{"serin.dev/held":"true"}')"
  patch '{"metadata":{"labels":{"serin.dev/held":"true","serin.dev/reverting":"true"},"annotations":{"z":"1"}}}' >/dev/null
  check "marks in a full manifest when idle are dropped" "1.0 gated" "$(state)"
}

section_mutators() {
  ready_for_section
  if [ "$GATE_BY" = policies ] || knows_mutating_policies; then
    late_policies
  else
    echo "# this API server has no MutatingAdmissionPolicy: none are tried"
  fi
  if [ -n "$HOOK" ]; then
    webhooks
  else
    echo "# without HOOK, no webhooks are tried"
  fi
}
late_policies() {
  local policy
  for policy in zz-late:Never zz-late:IfNeeded aa-late:Never; do
    late_policy ${policy%:*} ${policy#*:}
    labels '{"late":"change"}' >/dev/null
    check "$policy: a policy changes the template of a label edit: held" "1.0 paused held gated" "$(state)"
    reset
    local ids
    ids=$(pod_ids)
    image 2.0 '{"late":"back"}' >/dev/null
    check "$policy: a policy puts the template back: not held" "1.0 gated|$ids" "$(state)|$(pod_ids)"
    labels '{"late":null}' >/dev/null
    request DELETE "$ADMISSION/mutatingadmissionpolicies/${policy%:*}" >/dev/null
    request DELETE "$ADMISSION/mutatingadmissionpolicybindings/${policy%:*}" >/dev/null
    wait_for "" late_edit
  done
}
# late_policy NAME REINVOCATION: a mutating policy before or after serin-hold, which the label `late` switches on.
late_policy() {
  $KUBECTL apply -f - >/dev/null <<M
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: $1, labels: {serin.dev/conformance: "true"}}
spec:
  reinvocationPolicy: $2
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}]}
  matchConditions:
  - {name: here, expression: "request.namespace == '$NS' && 'late' in object.metadata.?labels.orValue({})"}
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        object.metadata.labels['late'] == 'back' ? [JSONPatch{op: "replace", path: "/spec/template", value: oldObject.spec.template}]
        : [JSONPatch{op: "add", path: "/spec/template/metadata/annotations", value: {"late": "1"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: $1, labels: {serin.dev/conformance: "true"}}
spec: {policyName: $1}
M
  wait_for 1 late_edit
}
# late_edit: what the policy makes of a dry run.
late_edit() {
  request PATCH "$DEPLOYMENTS/web?dryRun=All" '{"metadata":{"labels":{"late":"change"}}}' $STRATEGIC | jq -r '.spec.template.metadata.annotations.late // empty'
}

webhooks() {
  (cd "$work" && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 2>/dev/null)
  # shellcheck disable=SC2086
  background "$work/hook.log" $HOOK python3 "$here/hook.py" "$work/cert.pem" "$work/key.pem" 18443
  hook=$!
  $KUBECTL apply -f - >/dev/null <<M
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: gate-conformance, labels: {serin.dev/conformance: "true"}}
webhooks:
- name: hook.conformance.serin.dev
  clientConfig: {url: "https://127.0.0.1:18443/", caBundle: $(base64 -w0 "$work/cert.pem")}
  rules: [{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}]
  objectSelector: {matchExpressions: [{key: hook, operator: Exists}]}
  sideEffects: None
  reinvocationPolicy: IfNeeded
  admissionReviewVersions: [v1]
M
  wait_for 1 hooked_edit
  labels '{"hook":"change"}' >/dev/null
  check "a webhook changes the template of a label edit: held" "1.0 paused held gated" "$(state)"
  reset
  image 2.0 '{"hook":"change"}' >/dev/null
  check "a webhook changes a changed template: held" "2.0 paused held gated" "$(state)"
  reset
  image 2.0 '{"hook":"back"}' >/dev/null
  check "a webhook puts the template back: not held" "1.0 gated" "$(state)"
  labels '{"hook":null}' >/dev/null
  webhook_that_flips
  labels '{"hook":"release"}' >/dev/null
  image 2.0 '{"hook":"release"}' >/dev/null
  check "a webhook that changes the template of a release is refused by the leash" "*ships what was there before*|2.0 paused held gated" "$(release)|$(state)"
  request DELETE "$ADMISSION/mutatingwebhookconfigurations/gate-conformance" >/dev/null
  wait_for "" hooked_edit
  end "$hook"
  hook=
  reset
}
# The policies are looked at again after a webhook, and that one then after them. Serin's webhook changes nothing where the other
# one puts the template back first, and then nobody is called again.
webhook_that_flips() {
  local before result
  before=$(template)
  result=$(image 2.0 '{"hook":"flip"}')
  if [ "$GATE_BY" = webhook ] && [ "$result" = accepted ]; then
    check "a webhook that changes it only when called again is not called again" "1.0 gated|the same" \
      "$(state)|$([ "$before" = "$(template)" ] && echo the same)"
  else
    check "a webhook that changes it only when called again is refused by the net" "*changed without being held*" "$result"
  fi
}
template() { request GET "$DEPLOYMENTS/web" | jq -c .spec.template; }
hooked_edit() {
  request PATCH "$DEPLOYMENTS/web?dryRun=All" '{"metadata":{"labels":{"hook":"change"}}}' $STRATEGIC | jq -r '.spec.template.metadata.annotations.hook // empty'
}

section_bypass() {
  ready_for_section
  image 2.0 '{"serin.dev/bypass":"true"}' >/dev/null
  check "a bypass label that comes with a template: not held" "2.0 gated" "$(state)"
  settled 2x2.0
  check "... and it rolls" "2x2.0" "$(pods)"
  image 3.0 >/dev/null
  check "a bypass label left behind opens nothing" "3.0 paused held gated" "$(state)"
  image 1.0 '{"serin.dev/bypass":"incident-7"}' >/dev/null
  settled 2x1.0
  check "another value while held ends the hold" "1.0 gated" "$(state)"
  reset
  labels '{"serin.dev/bypass":"true"}' >/dev/null
  image 2.0 >/dev/null
  check "a bypass label set before the template is not enough" "2.0 paused held gated" "$(state)"
  reset
  annotations '{"serin.dev/bypass":"true"}' >/dev/null
  image 2.0 >/dev/null
  check "an annotation of that name means nothing" "2.0 paused held gated" "$(state)"
  reset
}
