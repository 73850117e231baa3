#!/usr/bin/env bash
# Proves on a real cluster what Serin relies on: the gate, the requests, the rights. README.md says how to run it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
KUBECTL=${KUBECTL:-kubectl}
HELM=${HELM:-}
HOOK=${HOOK:-}
IMAGE=${IMAGE:-app}
INSTALLED=${INSTALLED:-}
GATE_BY=${GATE_BY:-policies}
ONLY=${ONLY:-}
GATE=7d1f0c5e-0000-4000-8000-000000000001

case $GATE_BY in
policies) deploy=$root/deploy ;;
webhook) deploy=$root/deploy/older ;;
*) echo "GATE_BY is policies or webhook, not $GATE_BY" >&2; exit 2 ;;
esac
# It is Serin who answers the webhook.
[ "$GATE_BY" = policies ] || [ -n "$INSTALLED" ] || { echo "GATE_BY=webhook needs INSTALLED=1" >&2; exit 2; }

# shellcheck source=harness.sh
. "$here/harness.sh"
# shellcheck source=rights.sh
. "$here/rights.sh"
# shellcheck source=requests.sh
. "$here/requests.sh"
# shellcheck source=hold.sh
. "$here/hold.sh"
# shellcheck source=release.sh
. "$here/release.sh"
# shellcheck source=leash.sh
. "$here/leash.sh"

# Everything but the controller: it would find no Canary behind the gates of this script, and take them off.
install() {
  if ! $KUBECTL get crd canaries.serin.dev >/dev/null 2>&1; then
    $KUBECTL apply --server-side -f "$root/crds" >/dev/null || exit 2
    $KUBECTL wait --for=condition=Established crd/canaries.serin.dev --timeout=30s >/dev/null || exit 2
  fi
  $KUBECTL apply --server-side --force-conflicts -f "$root/deploy/namespace.yaml" -f "$root/deploy/gate.yaml" \
    -f "$root/deploy/requests.yaml" -f "$root/deploy/rbac.yaml" >/dev/null || exit 2
}

# With the controller there, the gate has to name a living Canary of the target; a suspended one keeps it, and does nothing.
own_canary() {
  [ "$(add_canary web)" = accepted ] || exit 2
  GATE=$(k get canary web -o jsonpath='{.metadata.uid}')
}

start() {
  work=$(mktemp -d)
  trap finish EXIT
  open_door
  [ -n "$INSTALLED" ] || install
  $KUBECTL delete namespace $NS --ignore-not-found >/dev/null
  $KUBECTL create namespace $NS >/dev/null || exit 2
  write_down
  wait_for true has_service_account
  [ -z "$INSTALLED" ] || own_canary
}

finish() {
  k delete deployments,canaries --all --wait=false >/dev/null 2>&1
  $KUBECTL delete namespace $NS --wait=false >/dev/null 2>&1
  local kinds=validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingwebhookconfigurations,clusterrolebindings
  ! knows_mutating_policies || kinds=mutatingadmissionpolicies,mutatingadmissionpolicybindings,$kinds
  $KUBECTL delete $kinds -l serin.dev/conformance >/dev/null 2>&1
  [ -z "${hook:-}" ] || end "$hook"
  end "$proxy"
  rm -rf "$work"
}

# section NAME TITLE: unless ONLY names others.
section() {
  [[ -z $ONLY || " $ONLY " == *" $1 "* ]] || return
  local began=$SECONDS
  echo "# $1: $2"
  "section_$1"
  echo "# $1 took $((SECONDS - began)) s"
}

start
section manifests "what deploy/ holds is taken by the API server"
section rights "Serin's account and people may do what they have to, and no more"
section requests "verbs by annotation"
section creation "not armed, created, armed"
section writers "writers of a template"
section scaling "scaling and status while held"
section pauses "a person's pause"
section refusals "what the guard refuses"
section mutators "policies and webhooks that come later"
section bypass "bypass"
section promotion "release, promotion, revert"
section verdict "the verdict on the Deployment"
section zero "to zero and back while held (1.0 serves; 2.0 is a newer ReplicaSet without Pods)"
section undo "kubectl rollout undo when idle"
section leash "what Serin's own account cannot do"
section deletion "deleting"
section helm "Helm"
section net "without the hold or the stamp nothing passes"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
