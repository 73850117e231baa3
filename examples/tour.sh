#!/usr/bin/env bash
# A tour: a Kubernetes of its own on this machine, Serin in it, an application with steady traffic, a good release and a bad one.
# Needs Debian, root, rustup's cargo, Go and Python 3; installs and builds the rest (a quarter of an hour the first time).
#
#   examples/tour.sh           runs the tour and takes everything down again
#   examples/tour.sh --keep    leaves the cluster running, and says how to look around
set -u
cd "$(dirname "$0")/.." || exit 1
export PATH=$HOME/.cargo/bin:$PATH:/usr/local/go/bin
export SERIN_CLUSTER=${SERIN_CLUSTER:-tour}
cluster=tests/cluster/cluster
built=${CARGO_TARGET_DIR:-target}/debug
keep=
case ${1:-} in
'') ;;
--keep) keep=1 ;;
*)
  echo "usage: examples/tour.sh [--keep]" >&2
  exit 2
  ;;
esac

work=$(mktemp -d)
load=
began=$SECONDS
clean_up() {
  trap - EXIT INT TERM
  [ -z "$load" ] || kill "$load" 2>/dev/null
  [ -n "$keep" ] || "$cluster" down >/dev/null 2>&1
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

title() { printf '\n== %s\n' "$*"; }
tell() { printf '%4d s  %s\n' $((SECONDS - began)) "$*"; }
give_up() {
  tell "the tour ends here: $*"
  [ ! -f "$work/log" ] || tail -n 20 "$work/log"
  kubectl -n serin-system logs deployment/serin --tail=20 2>/dev/null
  exit 1
}
kubectl() { "$cluster" kubectl "$@"; }
serin() { "$cluster" exec "$built/serin" --kubeconfig "$kubeconfig" -n shop "$@"; }
# quietly WHAT COMMAND…: shows what it said only if it fails.
quietly() {
  local what=$1
  shift
  tell "$what"
  "$@" >"$work/log" 2>&1 || give_up "$what failed"
}
field() { kubectl -n shop get canary shop -o "jsonpath={$1}" 2>/dev/null; }
pods() { kubectl -n shop get pods -o jsonpath='{range .items[*]}{.metadata.uid} {end}'; }

# follow SECONDS PHASE…: prints each change of the Canary until one of the phases is reached.
follow() {
  local until=$((SECONDS + $1)) line last=
  shift
  while [ $SECONDS -lt $until ]; do
    line=$(field '.status.phase} {.status.canaryWeight}% {.status.message')
    if [ "$line" != "$last" ]; then
      tell "$line"
      last=$line
    fi
    [[ " $* " != *" ${line%% *} "* ]] || return 0
    sleep 0.5
  done
  give_up "none of these came: $*"
}
# ship TAG: what a pipeline does.
ship() {
  kubectl -n shop set image deployment/shop "shop=shop:$1" >/dev/null || give_up "the image could not be set"
  until [ "$(field .status.candidate.images[0])" = "shop:$1" ] || [ "$(field .status.phase)" = Progressing ]; do
    sleep 0.2
    [ $((waited += 1)) -lt 150 ] || give_up "Serin did not see shop:$1"
  done
}
waited=0

install() {
  kubectl kustomize --load-restrictor LoadRestrictionsNone deploy >"$work/serin.yaml" &&
    kubectl apply --server-side -f - <"$work/serin.yaml" &&
    kubectl wait --for=condition=Established crd/canaries.serin.dev --timeout=60s &&
    kubectl -n serin-system rollout status deployment/serin --timeout=120s
}
deploy_application() {
  kubectl apply -f - <examples/tour.yaml && kubectl -n shop rollout status deployment/shop --timeout=60s
}

title "Getting ready"
quietly "installing what is missing" tests/setup cluster
quietly "building Serin and the example application" cargo build --locked --bin serin --example app --example load
app=$(realpath "$built/examples/app")
"$cluster" down >/dev/null 2>&1
quietly "starting a Kubernetes" "$cluster" up --image "serin:0.1.0=$(realpath "$built/serin")" \
  --image "shop:1.0.0=$app" --image "shop:2.0.0=$app" --image "shop:3.0.0-errors20=$app"
kubeconfig=$("$cluster" path)/kubeconfig
quietly "installing Serin from deploy/" install

title "Adoption: a Canary beside a running Deployment"
quietly "deploying the application, version 1.0.0" deploy_application
before=$(pods)
follow 60 Initialized
[ "$(pods)" = "$before" ] || give_up "the adoption touched Pods"
tell "no Pod was touched"
# The gateway's address in the test cluster; the Host header picks the route.
"$cluster" exec "$built/examples/load" --url http://10.96.0.80/ --host shop.example.com --rate 100 --duration 20m >"$work/load" &
load=$!
sleep 10

title "A good release: 2.0.0"
ship 2.0.0
follow 300 Succeeded Failed
[ "$(field .status.phase)" = Succeeded ] || give_up "2.0.0 was not promoted"

title "A bad release: 3.0.0 fails every fifth request"
ship 3.0.0-errors20
follow 300 Succeeded Failed
[ "$(field .status.phase)" = Failed ] || give_up "3.0.0 was not rejected"
tell "a pipeline that waits is told: kubectl rollout status deployment/shop"
kubectl -n shop rollout status deployment/shop --timeout=20s 2>&1 | sed 's/^/        /'

title "The way back: serin undo shop"
serin undo shop 2>&1 | sed 's/^/        /'
follow 60 Initialized

title "What users saw"
kill "$load" 2>/dev/null
wait "$load"
load=
tail -n 1 "$work/load" | jq -r '
  .total.total | "  \(.sent) requests, \(.lost) lost",
  (.byVersion | to_entries[] | "  version \(.key): \(.value.replies) replies, of them \(.value.appErrors) failed by the application itself")'
serin history shop

if [ -n "$keep" ]; then
  title "The cluster goes on"
  echo "  SERIN_CLUSTER=$SERIN_CLUSTER $cluster kubectl -n shop get canary,deployment,pods"
  echo "  SERIN_CLUSTER=$SERIN_CLUSTER $cluster exec $built/serin --kubeconfig $kubeconfig -n shop status shop"
  echo "  SERIN_CLUSTER=$SERIN_CLUSTER $cluster down"
fi
