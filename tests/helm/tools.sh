#!/usr/bin/env bash
# Builds what the tests of the charts need, and nothing that is there already: Helm 4, Helm 3 and kubeconform.
# Prints a line `NAME=PATH` for each, for `eval`.
#
# What is built goes to ${SERIN_CACHE:-~/.cache/serin}/bin, as tests/cluster/tools.sh has it. Needs Go, and neither root nor a cluster.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${SERIN_CACHE:-$HOME/.cache/serin}
# shellcheck source=../cluster/versions.env
source "$here/../cluster/versions.env"
# shellcheck source=versions.env
source "$here/versions.env"
# shellcheck source=../go-program.sh
source "$here/../go-program.sh"

lock_cache
command -v go > /dev/null || fail "Go is missing; the version that is wanted stands in tests/cluster/go.mod"
program helm "$HELM" helm.sh/helm/v4/cmd/helm
program helm "$HELM3" helm.sh/helm/v3/cmd/helm
program kubeconform "$KUBECONFORM" github.com/yannh/kubeconform/cmd/kubeconform
printf '%s=%q\n' helm4 "$cache/bin/helm-$HELM" helm3 "$cache/bin/helm-$HELM3" kubeconform "$cache/bin/kubeconform-$KUBECONFORM"
