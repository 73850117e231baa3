#!/usr/bin/env bash
# Builds what the tests of the charts need, and nothing that is there already: Helm 4, Helm 3, kubeconform, and the schemas of
# the objects that the charts render. Prints a line `NAME=PATH` for each, for `eval`.
#
# What is built goes to ${SERIN_CACHE:-~/.cache/serin}, as tests/cluster/tools.sh has it. Needs Go and Python, and root only
# where a Debian package is missing; no cluster.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${SERIN_CACHE:-$HOME/.cache/serin}
# shellcheck source=../cluster/versions.env
source "$root/tests/cluster/versions.env"
# shellcheck source=versions.env
source "$here/versions.env"
# shellcheck source=../go-program.sh
source "$root/tests/go-program.sh"

# packages installs the Debian packages of programs that are missing.
packages() {
  local missing=()
  command -v jq > /dev/null || missing+=(jq)
  python3 -c 'import yaml' 2> /dev/null || missing+=(python3 python3-yaml)
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } > "$cache/apt.log" 2>&1 ||
    fail "cannot install ${missing[*]}: see $cache/apt.log"
}

# module prints the folder of a Go module's source, which stays outside the checkout.
module() {
  (cd / && go mod download -json "$1@v$2" | jq -er .Dir) || fail "cannot fetch the module $1 $2"
}

# make_schemas makes the schemas of Kubernetes' own kinds and of all definitions that the charts use, ours among them.
make_schemas() {
  local gateway operator
  say "making the schemas of Kubernetes $kubernetes"
  gateway=$(module sigs.k8s.io/gateway-api "$GATEWAY_API")
  operator=$(module github.com/prometheus-operator/prometheus-operator "$PROMETHEUS_OPERATOR")
  rm -rf "$cache/new" && mkdir "$cache/new"
  python3 "$here/schemas.py" "$cache/new" "$(module k8s.io/kubernetes "$kubernetes")/api/openapi-spec/swagger.json" \
    "$root"/crds/*.yaml "$gateway"/config/crd/standard/gateway.networking.k8s.io_*.yaml \
    "$operator"/example/prometheus-operator-crd/*_{servicemonitors,prometheusrules}.yaml
  mv "$cache/new" "$schemas"
}

# complete says whether nothing is left to do. It asks for no lock, which whoever builds the test cluster may hold for minutes.
complete() {
  [ -x "$helm4" ] && [ -x "$helm3" ] && [ -x "$kubeconform" ] && [ -d "$schemas" ] && python3 -c 'import yaml' 2> /dev/null
}

helm4=$cache/bin/helm-$HELM
helm3=$cache/bin/helm-$HELM3
kubeconform=$cache/bin/kubeconform-$KUBECONFORM
kubernetes=$(sed -n 's|^\tk8s.io/kubernetes v||p' "$root/tests/cluster/go.mod")
hash=$(cat "$here/schemas.py" "$root"/crds/*.yaml | sha256sum | cut -c1-12)
schemas=$cache/schemas-$kubernetes-$GATEWAY_API-$PROMETHEUS_OPERATOR-$hash

if ! complete; then
  lock_cache
  command -v go > /dev/null || fail "Go is missing; the version that is wanted stands in tests/cluster/go.mod"
  packages
  program helm "$HELM" helm.sh/helm/v4/cmd/helm
  program helm "$HELM3" helm.sh/helm/v3/cmd/helm
  program kubeconform "$KUBECONFORM" github.com/yannh/kubeconform/cmd/kubeconform
  [ -d "$schemas" ] || make_schemas
fi
printf '%s=%q\n' helm4 "$helm4" helm3 "$helm3" kubeconform "$kubeconform" schemas "$schemas"
