#!/usr/bin/env bash
# Builds the development and test control plane (etcd, kube-apiserver and, for a
# person at a terminal, kubectl) from the Go module proxy alone, and prints the
# folder that holds it, and nothing else, to standard output:
#
#     export KUBEBUILDER_ASSETS="$(hack/controlplane/build.sh)"
#
# It is built once for each state of this folder, into a cache that may be deleted
# at any time: ${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/controlplane.
# A KUBEBUILDER_ASSETS that is already set and complete wins.
#
# Needs bash, go and the core utilities.
set -euo pipefail
export LC_ALL=C # the key depends on the order of file names

say() { printf 'controlplane: %s\n' "$*" >&2; }
complete() { [[ -x $1/etcd && -x $1/kube-apiserver ]]; }

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  if complete "$KUBEBUILDER_ASSETS"; then
    printf '%s\n' "$KUBEBUILDER_ASSETS"
    exit
  fi
  say "KUBEBUILDER_ASSETS holds no etcd and kube-apiserver, so it is not used: $KUBEBUILDER_ASSETS"
fi

cache=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/controlplane
[[ $cache == /* ]] || cache=$PWD/$cache
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

# go.mod is the one place that names the version.
while read -r module version _; do
  [[ $module != k8s.io/kubernetes ]] || break
done <go.mod
IFS=. read -r major minor _ <<<"${version#v}"

# For the machine at hand, also where the caller compiles for another.
{ read -r GOOS && read -r GOARCH; } < <(go env GOHOSTOS GOHOSTARCH)

# cksum is the one checksum that every system has. The outer one sees the files'
# names as well, which the inner one prints.
read -r sum _ < <(cksum go.mod go.sum build.sh ./*/*.go | cksum)
assets=$cache/$(printf '%s-%s-%s-%08x' "$version" "$GOOS" "$GOARCH" "$sum")

finish() {
  printf '%s\n' "$assets"
  exit
}
if complete "$assets"; then finish; fi

# One build at a time where there is flock, as a second one of the same would only
# slow the first. Without it both build, and the first to be complete stays.
mkdir -p "$cache"
if command -v flock >/dev/null; then
  exec 9>"$cache/.lock"
  if ! flock -n 9; then
    say "waiting for another build that is under way"
    flock 9
  fi
  if complete "$assets"; then finish; fi
  rm -rf -- "$cache"/.building-* # of a build that was killed: we hold the lock
fi

building=$(mktemp -d "$cache/.building-XXXXXX")
trap 'kill ${build:+"$build"} 2>/dev/null || true; rm -rf -- "$building"' EXIT

# Neither a go.work nor a -mod in the caller's GOFLAGS decides what is built.
export GOOS GOARCH CGO_ENABLED=0 GOWORK=off
flags=(-mod=readonly -buildvcs=false -trimpath)
# Without a version, clients cannot parse what /version answers.
ldflags="-s -w"
ldflags+=" -X k8s.io/component-base/version.gitVersion=$version"
ldflags+=" -X k8s.io/component-base/version.gitMajor=$major"
ldflags+=" -X k8s.io/component-base/version.gitMinor=$minor"

say "building kube-apiserver $version, etcd and kubectl for $GOOS/$GOARCH, this once"
# What go's cache lacks. It also downloads the modules, so that the log of the
# build holds packages only.
total=$(go list "${flags[@]}" -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' ./... | wc -l)
say "$((total)) packages to compile; the first time takes about five minutes on two cores"

SECONDS=0
go build "${flags[@]}" -ldflags "$ldflags" -v -o "$building/assets/" ./... >"$building/log" 2>&1 &
build=$!

every=15 line='%s\n'
if [[ -t 2 ]]; then every=1 line='\r%s\e[K'; fi
next=$every
while kill -0 "$build" 2>/dev/null; do
  sleep 1
  if ((SECONDS < next)); then continue; fi
  next=$((SECONDS + every))
  compiled=$(wc -l <"$building/log")
  # shellcheck disable=SC2059 # the format is one of the two above
  printf "$line" "controlplane: $((compiled)) of $((total)) packages, $SECONDS s" >&2
done
if [[ -t 2 ]]; then printf '\n' >&2; fi

if ! wait "$build"; then
  say "go build failed after $SECONDS s:"
  # -v prints bare package paths; whatever holds a space is a message.
  while IFS= read -r message; do
    [[ $message != *[[:space:]]* ]] || printf '%s\n' "$message" >&2
  done <"$building/log"
  exit 1
fi

# A rename, so that the folder is there complete or not at all. An incomplete one
# was damaged by someone's cleaning. If another build came first, mv fails or puts
# ours inside its folder, from where it goes.
complete "$assets" || rm -rf -- "$assets"
mv -- "$building/assets" "$assets" || complete "$assets"
rm -rf -- "$assets/assets"
say "built in $SECONDS s: $assets"
finish
