# shellcheck shell=bash
# How the scripts that install tools build a Go program once and keep it. Sourced, with `cache` set to a folder that exists.
#
# What is built goes to $cache/bin/<name>-<version>. Whoever sources this holds the lock of the cache while it builds.
export CGO_ENABLED=0 GOFLAGS=-trimpath

say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*" >&2; }

fail() { echo "tools: $*" >&2; exit 1; }

# lock_cache keeps other scripts from building into the same cache until this one ends.
lock_cache() {
  mkdir -p "$cache/bin"
  exec 9> "$cache/lock"
  flock 9
}

# program builds a Go program at a version, from its module; build tags may follow.
program() {
  local name=$1 version=$2 package=$3 tags=${4:-}
  local file=$cache/bin/$name-$version
  [ -x "$file" ] && return
  say "building $name $version"
  rm -rf "$cache/new" && mkdir "$cache/new"
  (cd / && GOBIN=$cache/new nice go install -tags="$tags" -ldflags='-s -w' "$package@v$version") >&2
  mv "$cache/new/$name" "$file"
}
