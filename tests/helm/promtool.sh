#!/usr/bin/env bash
# Builds promtool and kustomize, unless they are there, and prints the folder that holds them as promtool-VERSION and
# kustomize-VERSION. It is the cache of the test cluster's programs: ${SERIN_CACHE:-~/.cache/serin}/bin.
#
# promtool comes from the module and version of the cluster's Prometheus, so that rules are judged by what evaluates them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${SERIN_CACHE:-$HOME/.cache/serin}
# shellcheck source=../cluster/versions.env
source "$here/../cluster/versions.env"
KUSTOMIZE=5.8.0
export CGO_ENABLED=0 GOFLAGS=-trimpath

# program NAME VERSION PACKAGE [TAGS]: builds a Go program at a version, from its module. A folder of its own for each build
# and a rename at the end: another script may be filling the same cache.
program() {
  local name=$1 version=$2 package=$3 tags=${4:-} new
  local file=$cache/bin/$name-$version
  [ ! -x "$file" ] || return 0
  echo "building $name $version" >&2
  new=$(mktemp -d "$cache/new.XXXXXX")
  (cd / && GOBIN=$new nice go install -tags="$tags" -ldflags='-s -w' "$package@v$version") >&2
  mv "$new/$name" "$file"
  rmdir "$new"
}

mkdir -p "$cache/bin"
exec 8>"$cache/promtool.lock"
flock 8
program kustomize "$KUSTOMIZE" sigs.k8s.io/kustomize/kustomize/v5
program promtool "$PROMETHEUS" github.com/prometheus/prometheus/cmd/promtool remove_all_sd
echo "$cache/bin"
