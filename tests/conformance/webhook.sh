#!/usr/bin/env bash
# Serin's own webhook, which holds where the API server has no MutatingAdmissionPolicy: gate.sh with it, and then what only a
# webhook can get wrong. It makes a cluster of its own and takes it down again.
#
#   tests/conformance/webhook.sh [--kubernetes VERSION]
#
# SERIN_BINARY names a Serin that is built already, with examples/app beside it; by default both are built.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 2
# Seconds for gate.sh.
limit=${LIMIT:-600}
export SERIN_CLUSTER=webhook
cluster=tests/cluster/cluster

# --- outside of the cluster's network: the cluster itself --------------------------------------------------------------

outside() {
  [ $# = 0 ] || [[ $# = 2 && $1 = --kubernetes ]] || { echo "usage: $0 [--kubernetes VERSION]" >&2; exit 2; }
  [ $# = 0 ] || SERIN_CLUSTER=webhook-older
  local serin=${SERIN_BINARY:-} app
  if [ -z "$serin" ]; then
    cargo build --locked --quiet --bin serin --example app || exit 2
    serin=${CARGO_TARGET_DIR:-target}/debug/serin
  fi
  app=$(dirname "$serin")/examples/app
  SERIN_PROGRAM=$(realpath "$serin")
  export SERIN_PROGRAM
  trap take_down EXIT
  trap 'exit 1' INT TERM HUP
  $cluster down >/dev/null 2>&1
  $cluster up --bare --image "serin:0.1.0=$serin" --image "app:1.0=$app" --image "app:2.0=$app" --image "app:3.0=$app" "$@" || {
    tail -n 20 "$($cluster path)/kube-apiserver.log"
    exit 2
  }
  # In the background: a trap waits for what runs in the foreground.
  $cluster exec "$here/webhook.sh" inside &
  checks=$!
  wait $checks
}
take_down() {
  local status=$?
  trap - EXIT
  [ -z "${checks:-}" ] || kill $checks 2>/dev/null
  $cluster down >/dev/null 2>&1
  exit $status
}

# --- in it: the checks ---------------------------------------------------------------------------------------------------

inside() {
  NS=webhook-conformance KUBECTL=kubectl IMAGE=app HELM=
  # shellcheck source=harness.sh
  . "$here/harness.sh"
  # shellcheck source=requests.sh
  . "$here/requests.sh"
  work=$(mktemp -d)
  trap finish EXIT
  trap 'exit 1' INT TERM HUP
  open_door
  install || { echo "not ok 1 Serin is installed"; echo "0 passed, 1 failed"; exit 1; }
  gate
  adopted
  controller_away
  one_of_two_dies
  rolled_out_anew
  certificate_rotates
  bundle_is_put_back
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
finish() {
  [ "$failed" = 0 ] || kubectl -n serin-system logs deployment/serin --tail=40 2>&1 | sed 's/^/# /'
  [ -z "${proxy:-}" ] || end "$proxy"
  rm -rf "$work"
}

install() {
  kubectl apply --server-side -f crds >/dev/null &&
    kubectl wait --for=condition=Established crd/canaries.serin.dev --timeout=30s >/dev/null &&
    kubectl kustomize --load-restrictor LoadRestrictionsNone deploy/older >"$work/serin.yaml" &&
    kubectl apply --server-side -f "$work/serin.yaml" >/dev/null &&
    kubectl -n serin-system rollout status deployment/serin --timeout=120s
}

# gate: all that gate.sh checks. Its sum becomes a part of this one.
gate() {
  local sum
  KUBECTL=kubectl INSTALLED=1 GATE_BY=webhook HOOK=env HELM=helm NS=gate-conformance \
    timeout -k 10 "$limit" "$here/gate.sh" 2>&1 | sed -u 's/^[0-9]* passed, [0-9]* failed$/# gate.sh: &/' | tee "$work/gate.log"
  sum=$(sed -n 's/^# gate.sh: //p' "$work/gate.log")
  [ -n "$sum" ] || { echo "not ok 1 gate.sh comes to its end"; sum="0 passed, 1 failed"; }
  read -r passed _ failed _ <<<"$sum"
}

# adopted: web stands beside a Canary whose gate Serin armed, and which it leaves alone from then on.
adopted() {
  title "a Canary in $NS"
  kubectl create namespace "$NS" >/dev/null
  wait_for true has_service_account
  write_down
  create
  settled 2x1.0
  request POST "$CANARIES" "$(canary web | jq '.spec.suspend = false')" >/dev/null
  wait_for True gated
  check "Serin arms the gate of a new Canary" True "$(gated)"
  request PATCH "$CANARIES/web" '{"spec":{"suspend":true}}' $MERGE >/dev/null
  GATE=$(request GET "$CANARIES/web" | jq -r .metadata.uid)
  check "... on its Deployment" "1.0 gated|held" "$(state)|$(would)"
}
gated() { request GET "$CANARIES/web" | jq -r '.status.conditions[]? | select(.type == "Gated") | .status'; }

title() { echo "# $1"; }
# would: what becomes of another template, as a dry run tells: `held`, `unheld`, or why it is refused.
would() {
  request PATCH "$DEPLOYMENTS/web?dryRun=All" "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"try\":\"$RANDOM\"}}}}}" $STRATEGIC |
    jq -r 'if .kind != "Deployment" then "refused: " + .message
      elif .spec.paused and .metadata.labels["serin.dev/held"] == "true" then "held" else "unheld" end'
}
now() { date +%s%3N; }
# try_for SECONDS PAUSE [COMMAND]: tries again and again, until the command succeeds. `tries` says how many were held, refused and
# neither, `late` after how many milliseconds the last of these came that was not held.
try_for() {
  local until=$((SECONDS + $1)) began result said held=0 refused=0 unheld=0
  began=$(now)
  late=0
  while [ $SECONDS -lt $until ]; do
    result=$(would)
    case $result in
    held) held=$((held + 1)) ;;
    unheld) unheld=$((unheld + 1)) ;;
    *)
      [ "$result" = "${said:-}" ] || echo "# $result"
      said=$result
      refused=$((refused + 1))
      ;;
    esac
    [ "$result" = held ] || late=$(($(now) - began))
    sleep "$2"
    [ -z "${3:-}" ] || ! "$3" || break
  done
  tries="held $held refused $refused unheld $unheld"
  echo "# $tries"
}

# controllers N: so many replicas, all of them ready.
controllers() {
  kubectl -n serin-system scale deployment/serin --replicas="$1" >/dev/null
  wait_for "$1 $1" replicas_ready
  [ "$1" = 0 ] || wait_for held would
}
replicas_ready() {
  request GET "/api/v1/namespaces/serin-system/pods?labelSelector=app.kubernetes.io%2Fname%3Dserin" |
    jq -r '"\(.items | length) \([.items[] | select(any(.status.conditions[]?; .type == "Ready" and .status == "True"))] | length)"'
}

away="*failed calling webhook*hold.serin.dev*"
controller_away() {
  title "without a controller"
  image 2.0 >/dev/null
  controllers 0
  check "held: another template is refused" "$away|2.0 paused held gated" "$(image 3.0)|$(state)"
  check "held: also to kubectl" "$away|2.0 paused held gated" "$(k set image deployment/web app=app:3.0 2>&1)|$(state)"
  what_passes 1.0 "2.0 paused held gated"
  requests_without_controller
  check "held: it cannot be resumed" "$away|2.0 paused held gated" "$(k rollout resume deployment/web 2>&1)|$(state)"
  k label deployment/web serin.dev/gate- serin.dev/held- >/dev/null
  check "break glass" "2.0 paused" "$(state)"
  k rollout resume deployment/web >/dev/null
  settled 2x2.0
  check "... ships" "2.0|2x2.0" "$(state)|$(pods)"
  idle_without_controller
  controllers 1
  image 1.0 >/dev/null
  check "with the controller back, a template is held" "1.0 paused held gated" "$(state)"
  reset
  undone_without_controller
}
# What `serin undo` does where no template of an armed Deployment can be written.
undone_without_controller() {
  local ids
  ids=$(pod_ids)
  image 3.0 >/dev/null
  controllers 0
  check "serin undo breaks the glass first" "*breaking the glass first*it runs what it ran*" "$("$SERIN_PROGRAM" -n "$NS" undo web 2>&1)"
  check "... and stable is as before, in the same Pods" "1.0|$ids" "$(state)|$(pod_ids)"
  arm
  controllers 1
}
idle_without_controller() {
  local before
  arm
  before=$(generation)
  check "idle: another template is refused, and nothing changes" "$away|2.0 gated|$before" "$(image 1.0)|$(state)|$(generation)"
  check "idle: also with other changes" "$away|$before" "$(spec '{"replicas":5,"template":{"metadata":{"annotations":{"a":"b"}}}}')|$(generation)"
  what_passes 2.0 "2.0 gated"
}
# what_passes VERSION STATE: writes that have nothing to do with the template; the version goes on running, and the state is the same.
what_passes() {
  k scale deployment/web --replicas=3 >/dev/null
  settled "3x$1"
  check "kubectl scale works" "3x$1|$2" "$(pods)|$(state)"
  check "the scale subresource works" accepted "$(scale 1)"
  settled "1x$1"
  check "spec.replicas works" accepted "$(spec '{"replicas":2}')"
  settled "2x$1"
  check "the status works" accepted "$(patch '{"status":{"conditions":[{"type":"Conformance","status":"True"}]}}' $STRATEGIC /status)"
  check "labels and annotations work" "accepted accepted" "$(labels '{"team":"x"}') $(annotations '{"note":"y"}')"
  check "... and take nothing away" "$2|2x$1" "$(state)|$(pods)"
}
requests_without_controller() {
  check "a verb is refused" "*failed calling webhook*stamp.serin.dev*" "$(ask web abort)"
  check "other writes of a Canary work" accepted "$(request PATCH "$CANARIES/web" '{"metadata":{"labels":{"a":"b"}}}' $MERGE | outcome)"
  check "a new Canary too" accepted "$(add_canary other)"
  request DELETE "$CANARIES/other" >/dev/null
}

# The API server may have all its connections to one of them: each is killed in turn.
one_of_two_dies() {
  title "one of two replicas killed"
  local pod
  controllers 2
  for pod in $(kubectl -n serin-system get pods -l app.kubernetes.io/name=serin -o jsonpath='{.items[*].metadata.name}'); do
    check "$(role "$pod") is killed" killed "$(kill_controller "$pod")"
    try_for 10 0.1
    check "nothing passes unheld" "held [1-9]* unheld 0" "$tries"
    check "every template is held again within 5 s: after $late ms" 1 "$((late <= 5000))"
    wait_for "2 2" replicas_ready
  done
  held_in_earnest
}
held_in_earnest() {
  image 2.0 >/dev/null
  check "... in earnest" "2.0 paused held gated" "$(state)"
  reset
}
role() { [ "$(kubectl -n serin-system get lease serin -o jsonpath='{.spec.holderIdentity}')" = "$1" ] && echo "the leader" || echo "the one that stands by"; }
# kill_controller POD: its process, at once.
kill_controller() {
  local process
  for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2>/dev/null)" = serin ] || continue
    tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qx "POD_NAME=$1" || continue
    kill -KILL "${process#/proc/}" && echo killed
  done
}

rolled_out_anew() {
  title "both replicas replaced by new ones"
  kubectl -n serin-system rollout restart deployment/serin >/dev/null
  try_for 60 0.1 rolled_out
  check "nothing passes unheld" "held [1-9]* unheld 0" "$tries"
  check "and nothing is refused" "held * refused 0 unheld *" "$tries"
}
rolled_out() { kubectl -n serin-system rollout status deployment/serin --watch=false | grep -q 'successfully rolled out' && [ "$(replicas_ready)" = "2 2" ]; }

certificate_rotates() {
  title "certificates that live for a minute"
  local before
  address=$(kubectl -n serin-system get service serin-webhook -o jsonpath='{.spec.clusterIP}')
  before=$(bundle)
  certificate_life SERIN_WEBHOOK_CERTIFICATE_LIFE=60s
  : >"$work/certificates"
  try_for 240 0.8 rotated_twice
  check "the served certificate changes twice: $(sort -u "$work/certificates" | wc -l) were seen" 1 "$(rotated_twice && echo 1)"
  check "every template is held meanwhile" "held [1-9]* refused 0 unheld 0" "$tries"
  check "the API server is told another caBundle" changed "$([ "$before" = "$(bundle)" ] || echo changed)"
  held_in_earnest
}
# certificate_life SETTING: of the controller, and it runs so.
certificate_life() {
  kubectl -n serin-system set env deployment/serin "$1" >/dev/null
  kubectl -n serin-system rollout status deployment/serin --timeout=60s >/dev/null
  wait_for "2 2" replicas_ready
  wait_for held would
}
# rotated_twice: whether three certificates were served since.
rotated_twice() {
  timeout 2 openssl s_client -connect "$address:443" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint 2>/dev/null >>"$work/certificates"
  [ "$(sort -u "$work/certificates" | wc -l)" -ge 3 ]
}
# bundle: what the API server trusts the webhooks by.
bundle() { request GET "$ADMISSION/mutatingwebhookconfigurations/serin-gate" | jq -c '[.webhooks[].clientConfig.caBundle // ""]'; }

# With certificates that live as long as they do by default, for their life says how often Serin looks.
bundle_is_put_back() {
  title "a caBundle that somebody takes away"
  local gone
  certificate_life SERIN_WEBHOOK_CERTIFICATE_LIFE-
  kubectl patch mutatingwebhookconfiguration serin-gate --type=json -p '[
    {"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"},
    {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]' >/dev/null
  gone=$(now)
  check "it is gone" '*""*' "$(bundle)"
  try_for 40 0.2 bundle_there
  check "Serin puts it back within 30 s: after $(($(now) - gone)) ms" 1 "$(($(now) - gone <= 31000))"
  check "nothing passes unheld meanwhile" "held * unheld 0" "$tries"
  wait_for held would
  image 2.0 >/dev/null
  check "a template is held again" "2.0 paused held gated" "$(state)"
}
bundle_there() { [[ $(bundle) != *'""'* ]]; }

if [ "${1:-}" = inside ]; then inside; else outside "$@"; fi
