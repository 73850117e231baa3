#!/usr/bin/env bash
# Runs gate.sh against the cluster that is simulated in a process of its own (examples/simulated.rs): what a real API server
# was found to do, the simulated one has to do as well. README.md says what is left out.
#
# KUBECTL and HELM are commands; by default those of the test cluster, which are built when they are missing.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 2
# Seconds for all checks together.
limit=${LIMIT:-600}

work=$(mktemp -d)
cluster=
finish() {
  if [ -n "$cluster" ]; then
    kill "$cluster" 2>/dev/null
    wait "$cluster" 2>/dev/null
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# The test cluster's binary is kubectl too, when it is called so.
if [ -z "${KUBECTL:-}" ]; then
  binary=$(tests/cluster/tools.sh) || exit 2
  ln -s "$binary" "$work/kubectl"
  KUBECTL=$work/kubectl
  if [ -z "${HELM:-}" ]; then
    # shellcheck source=../cluster/versions.env
    HELM=$(. tests/cluster/versions.env && echo "$(dirname "$binary")/helm-$HELM")
  fi
fi

cargo build --locked --quiet --example simulated || exit 2
"${CARGO_TARGET_DIR:-target}/debug/examples/simulated" --bare --kubeconfig "$work/kubeconfig" >"$work/log" 2>&1 &
cluster=$!
for _ in $(seq 100); do
  grep -q '^ready ' "$work/log" && break
  kill -0 "$cluster" 2>/dev/null || break
  sleep 0.1
done
grep -q '^ready ' "$work/log" || { cat "$work/log"; echo "the simulated cluster did not come up"; exit 2; }

export KUBECONFIG=$work/kubeconfig
# kubectl keeps what it discovers there; this cluster lives once.
export HOME=$work
KUBECTL="$KUBECTL" HELM="${HELM:+$HELM --kubeconfig $KUBECONFIG}" HOOK='' INSTALLED='' timeout -k 10 "$limit" "$here/gate.sh"
