#!/usr/bin/env bash
# Builds Prometheus and promtool, which the tests of the alerts and of the
# dashboard need, from the Go module proxy alone, and prints the folder that holds
# them, and nothing else, to standard output.
#
# They are built once for each state of this folder, into a cache that may be
# deleted at any time: ${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/prometheus.
#
# Needs bash, go and the core utilities.
set -euo pipefail
export LC_ALL=C # the key depends on the order of file names

say() { printf 'prometheus: %s\n' "$*" >&2; }
complete() { [[ -x $1/prometheus && -x $1/promtool ]]; }

cache=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/prometheus
[[ $cache == /* ]] || cache=$PWD/$cache
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

# go.mod is the one place that names the version.
while read -r _ module version _; do
  [[ $module != github.com/prometheus/prometheus ]] || break
done <go.mod

# For the machine at hand, also where the caller compiles for another.
{ read -r GOOS && read -r GOARCH; } < <(go env GOHOSTOS GOHOSTARCH)

# cksum is the one checksum that every system has. The outer one sees the files'
# names as well, which the inner one prints.
read -r sum _ < <(cksum go.mod go.sum build.sh | cksum)
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
# Service discovery is left out but for files and HTTP: the SDKs of the clouds are
# half of the program. So are the pages of its web interface, which are not in the
# module.
ldflags="-s -w -X github.com/prometheus/common/version.Version=${version#v}"
flags=(-mod=readonly -buildvcs=false -trimpath -tags=remove_all_sd)

say "building Prometheus and promtool $version for $GOOS/$GOARCH, this once"
# What go's cache lacks. It also downloads the modules, so that the log of the
# build holds packages only.
total=$(go list "${flags[@]}" -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' tool | wc -l)
say "$((total)) packages to compile; the first time takes about three minutes on two cores"

SECONDS=0
go build "${flags[@]}" -ldflags "$ldflags" -v -o "$building/assets/" tool >"$building/log" 2>&1 &
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
  printf "$line" "prometheus: $((compiled)) of $((total)) packages, $SECONDS s" >&2
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
