# shellcheck shell=bash
# The sections about what follows a hold, and about tools and moments that end it. A state reads as in harness.sh: the version in the template, then its marks.

section_promotion() {
  ready_for_section
  local before
  image 2.0 >/dev/null
  before=$(version)
  annotations '{"touch":"1"}' >/dev/null
  check "a release with a stale resourceVersion" "*the object has been modified*|2.0 paused held gated" "$(release "$before")|$(state)"
  check "a release with another template" "*ships what was there before*|2.0 paused held gated" "$(
    AS=$SERIN patch "[
      {\"op\": \"remove\", \"path\": \"/metadata/labels/serin.dev~1held\"},
      {\"op\": \"replace\", \"path\": \"/spec/paused\", \"value\": false},
      {\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"$IMAGE:3.0\"}]" $JSON_PATCH)|$(state)"
  spec '{"minReadySeconds":5,"replicas":3,"strategy":{"rollingUpdate":{"maxSurge":1}}}' >/dev/null
  settled 3x1.0
  release >/dev/null
  check "a release" "2.0 gated" "$(state)"
  wait_for "*1x2.0" pods
  image 3.0 >/dev/null
  check "a template during promotion is held" "3.0 paused held gated" "$(state)"
  seen
  sleep 6
  check "held in mid roll, only the two validated revisions run" "3x1.0 1x2.0" "$(pods)"
  scale 5 >/dev/null
  seen
  wait_for true scaled_to 5
  echo "# scaled from 3 to 5 in mid roll: $(pods)"
  revert 1.0 >/dev/null
  check "Serin puts stable back, held and reverting" "1.0 paused held reverting gated" "$(state)"
  release >/dev/null
  check "reverting: released" "1.0 reverting gated" "$(state)"
  check "reverting: a person's template is refused" "*putting the stable revision back*|1.0 reverting gated" "$(image 3.0)|$(state)"
  manifest 3.0 | apply_as argocd-controller >/dev/null
  check "reverting: a GitOps writer gets the old template, and Serin a mark" "1.0 reverting contested gated" "$(state)"
  spec '{"minReadySeconds":0,"replicas":2}' >/dev/null
  settled 2x1.0
  check "reverting: only stable runs at the end" "2x1.0" "$(pods)"
  check "reverting: the mark is not a person's to remove" "*set and removed by Serin only*" "$(labels '{"serin.dev/reverting":null}')"
  AS=$SERIN labels '{"serin.dev/reverting":null,"serin.dev/contested":null}' >/dev/null
  manifest 3.0 | apply_as argocd-controller >/dev/null
  check "after reverting it is held like any" "3.0 paused held gated" "$(state)"
  reset
}
scaled_to() { replica_sets | jq --argjson n "$1" '[.items[].spec.replicas] | add >= $n'; }

section_verdict() {
  ready_for_section
  local ids
  image 2.0 >/dev/null
  seen
  verdict False ProgressDeadlineExceeded "serin: canary rejected" >/dev/null
  check "kubectl rollout status fails at once" "*exceeded its progress deadline*|1" "$(timeout 5 $KUBECTL -n $NS rollout status deployment/web 2>&1; echo "|$?")"
  scale 3 >/dev/null
  settled 3x1.0
  scale 2 >/dev/null
  settled 2x1.0
  check "the Deployment controller leaves the verdict alone" "False ProgressDeadlineExceeded" "$(progress)"
  image 3.0 >/dev/null
  seen
  check "... also after the next template" "False ProgressDeadlineExceeded" "$(progress)"
  verdict Unknown DeploymentPaused "serin: analysing" >/dev/null
  timeout 2 $KUBECTL -n $NS rollout status deployment/web >/dev/null 2>&1
  check "taken back by Serin: rollout status waits" "124 Unknown DeploymentPaused" "$? $(progress)"
  verdict False ProgressDeadlineExceeded "serin: canary rejected" >/dev/null
  image 1.0 >/dev/null
  ids=$(pod_ids)
  release >/dev/null
  seen
  wait_for "True *" progress
  check "release of stable after a verdict: reset, no new Pod" "True NewReplicaSetAvailable|$ids" "$(progress)|$(pod_ids)"
  check "... and rollout status succeeds" 0 "$(timeout 20 $KUBECTL -n $NS rollout status deployment/web >/dev/null 2>&1; echo $?)"
  image 2.0 >/dev/null
  seen
  verdict False ProgressDeadlineExceeded "serin: canary rejected" >/dev/null
  release >/dev/null
  settled 2x2.0
  wait_for "True *" progress
  check "release of a candidate after a verdict: reset" "True NewReplicaSetAvailable" "$(progress)"
  reset
}

section_zero() {
  ready_for_section
  local name
  for name in $(replica_sets | jq -r '.items[] | select(.spec.replicas == 0) | .metadata.name'); do delete_replica_set "$name" >/dev/null; done
  leave_newer_revision
  image 2.0 >/dev/null
  check "candidate equals an old revision, nothing deleted: THE CANDIDATE RUNS" "2x2.0" "$(to_zero_and_back)"
  reset
  image 2.0 >/dev/null
  AS=$SERIN delete_replica_set "$(replica_set 2.0)" >/dev/null
  check "the candidate's own ReplicaSet deleted: stable comes back" "2x1.0" "$(to_zero_and_back)"
  reset
  leave_newer_revision
  image 3.0 >/dev/null
  check "candidate is new, nothing deleted: THE NEWEST OLD REVISION RUNS" "2x2.0" "$(to_zero_and_back)"
  reset
  image 3.0 >/dev/null
  AS=$SERIN delete_replica_set "$(replica_set 2.0)" >/dev/null
  check "ReplicaSets newer than stable's deleted: stable comes back" "2x1.0" "$(to_zero_and_back)"
  reset
  spec '{"revisionHistoryLimit":0}' >/dev/null
  image 3.0 >/dev/null
  check "revisionHistoryLimit 0: NOTHING RUNS, no ReplicaSet is left" "|0" "$(to_zero_and_back)|$(replica_sets | jq '.items | length')"
  reset
  image 3.0 >/dev/null
  scale 0 >/dev/null
  wait_for "" pods
  image 1.0 >/dev/null
  release >/dev/null
  scale 2 >/dev/null
  settled 2x1.0
  check "stable put back and released at zero, then scaled" "2x1.0|1.0 gated" "$(pods)|$(state)"
  reset
}
# leave_newer_revision: a ReplicaSet of 2.0 without Pods that is newer than the one of 1.0, which serves.
leave_newer_revision() {
  labels '{"serin.dev/bypass":null}' >/dev/null
  image 2.0 '{"serin.dev/bypass":"x"}' >/dev/null
  settled 2x2.0
  reset
}
to_zero_and_back() {
  scale 0 >/dev/null
  wait_for "" pods
  calm
  scale 2 >/dev/null
  calm
  pods
}
# calm: the Deployment controller has seen web, and every ReplicaSet has the Pods that it wants. The controller scales before it
# says what it has seen; the rest of a second is for what comes late all the same.
calm() {
  wait_for true at_rest
  sleep 0.5
  wait_for true at_rest
}
at_rest() {
  look "$DEPLOYMENTS/web" "$REPLICA_SETS" | jq -rs '(.[0] | .status.observedGeneration == .metadata.generation)
    and ([.[1].items[] | .status.observedGeneration == .metadata.generation and (.status.replicas // 0) == .spec.replicas] | all)'
}

section_undo() {
  ready_for_section
  image 2.0 >/dev/null
  release >/dev/null
  settled 2x2.0
  k rollout undo deployment/web >/dev/null 2>&1
  check "is held, the gate kept" "1.0 paused held gated" "$(state)"
  reset
  image 2.0 >/dev/null
  check "undo while held is refused by kubectl" "*cannot rollback a paused deployment*" "$(k rollout undo deployment/web 2>&1)"
  reset
  annotations '{"old-note":"1"}' >/dev/null
  seen
  wait_for true noted
  annotations '{"old-note":null}' >/dev/null
  image 2.0 '{"serin.dev/bypass":"u"}' >/dev/null
  settled 2x2.0
  k rollout undo deployment/web >/dev/null 2>&1
  check "undo brings old annotations back, labels stay: why the marks are labels" "1|u|1.0 paused held gated" \
    "$(request GET $DEPLOYMENTS/web | jq -r '"\(.metadata.annotations["old-note"])|\(.metadata.labels["serin.dev/bypass"])"')|$(state)"
  annotations '{"old-note":null}' >/dev/null
  reset
}
noted() { replica_sets | jq 'any(.items[]; .metadata.annotations["old-note"] == "1")'; }

section_deletion() {
  ready_for_section
  image 2.0 >/dev/null
  patch '{"metadata":{"finalizers":["conformance.serin.dev/x"]}}' $MERGE >/dev/null
  k delete deployment web --wait=false >/dev/null
  check "finalizers go while it is being deleted and held" "accepted" "$(patch '{"metadata":{"finalizers":null}}' $MERGE)"
  wait_for no web_exists
  fresh
  image 2.0 >/dev/null
  k delete deployment web --cascade=foreground --timeout=30s >/dev/null
  check "foreground deletion while held" "no" "$(web_exists)"
}

section_helm() {
  [ -n "$HELM" ] || { echo "# without HELM, none of these"; return; }
  local chart=$work/chart ids
  remove
  mkdir -p "$chart/templates"
  printf 'apiVersion: v2\nname: web\nversion: 1.0.0\n' >"$chart/Chart.yaml"
  printf 'tag: "1.0"\nextra: ""\n' >"$chart/values.yaml"
  manifest '{{ .Values.tag }}' '{{ .Values.extra }}' >"$chart/templates/web.yaml"
  helm install web "$chart"
  settled 2x1.0
  arm
  ids=$(pod_ids)
  helm upgrade web "$chart" --set tag=2.0
  check "upgrade" "2.0 paused held gated" "$(state)"
  helm upgrade web "$chart" --set tag=3.0
  check "upgrade while held" "3.0 paused held gated" "$(state)"
  helm upgrade web "$chart" --set tag=3.0,extra='paused: false' --force-conflicts
  check "upgrade with paused: false" "3.0 paused held gated" "$(state)"
  helm rollback web 1
  check "rollback: held at stable" "1.0 paused held gated" "$(state)"
  release >/dev/null
  seen
  check "... released: no new Pod" "1.0 gated|$ids" "$(state)|$(pod_ids)"
  helm upgrade web "$chart" --set tag=2.0 --server-side=false
  check "upgrade, client side" "2.0 paused held gated" "$(state)"
  helm uninstall web
  check "uninstall while held" "no" "$(web_exists)"
}
helm() { command $HELM -n $NS "$@" >/dev/null 2>&1; }
