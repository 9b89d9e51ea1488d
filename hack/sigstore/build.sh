#!/usr/bin/env bash
# Builds what test/interop needs of Sigstore, from the Go module proxy alone, and
# prints the folder that holds it, and nothing else, to standard output: the
# servers fulcio, rekor-tiles and timestamp-server, and the command line of the
# two releases of Cosign that are in use, cosign2 and cosign3.
#
# It is built once for each state of this folder, into a cache that may be deleted
# at any time: ${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/sigstore.
#
# Needs bash, go and the core utilities.
set -euo pipefail
export LC_ALL=C # the key depends on the order of file names

# The servers' versions are in go.mod. Cosign is built as its release says, with
# the dependencies of that release and not with those that go.mod would select.
cosign2=github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
cosign3=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
rekor=github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix

say() { printf 'sigstore: %s\n' "$*" >&2; }
complete() {
  local name
  for name in fulcio rekor-tiles timestamp-server cosign2 cosign3; do
    [[ -x $1/$name ]] || return 1
  done
}

cache=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/sigstore
[[ $cache == /* ]] || cache=$PWD/$cache
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

# For the machine at hand, also where the caller compiles for another.
{ read -r GOOS && read -r GOARCH; } < <(go env GOHOSTOS GOHOSTARCH)

# cksum is the one checksum that every system has. The outer one sees the files'
# names as well, which the inner one prints.
read -r sum _ < <(cksum go.mod go.sum build.sh ./*/*.go | cksum)
assets=$cache/$(printf '%s-%s-%08x' "$GOOS" "$GOARCH" "$sum")

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
mkdir "$building/assets"

# Neither a go.work nor the caller's GOFLAGS decides what is built.
export GOOS GOARCH CGO_ENABLED=0 GOWORK=off GOFLAGS= GOBIN=$building/assets
flags=(-trimpath -buildvcs=false -ldflags "-s -w" -v)

# run WHAT COMMAND...: in the background, telling how many packages are compiled.
run() {
  local what=$1 started=$SECONDS next line='%s\n' every=15
  shift
  "$@" >"$building/log" 2>&1 &
  build=$!
  if [[ -t 2 ]]; then every=1 line='\r%s\e[K'; fi
  next=$((SECONDS + every))
  while kill -0 "$build" 2>/dev/null; do
    sleep 1
    if ((SECONDS < next)); then continue; fi
    next=$((SECONDS + every))
    # shellcheck disable=SC2059 # the format is one of the two above
    printf "$line" "sigstore: $what: $(($(grep -vc ' ' "$building/log"))) packages compiled, $((SECONDS - started)) s" >&2
  done
  if [[ -t 2 ]]; then printf '\n' >&2; fi
  if wait "$build"; then
    build=
    return
  fi
  build=
  say "building $what failed after $((SECONDS - started)) s:"
  # -v prints bare package paths; whatever holds a space is a message.
  while IFS= read -r message; do
    [[ $message != *[[:space:]]* || $message == "go: downloading "* ]] || printf '%s\n' "$message" >&2
  done <"$building/log"
  exit 1
}

say "building Fulcio, Rekor, the timestamp authority and two releases of Cosign for $GOOS/$GOARCH, this once"
say "the first time takes about ten minutes on two cores"
SECONDS=0
run servers go build -mod=readonly "${flags[@]}" -o "$GOBIN/" ./... "$rekor"
mv -- "$GOBIN/posix" "$GOBIN/rekor-tiles"
for version in "$cosign2" "$cosign3"; do
  run "cosign ${version##*@}" go install "${flags[@]}" "$version"
  major=${version##*@v}
  mv -- "$GOBIN/cosign" "$GOBIN/cosign${major%%.*}"
done

# A rename, so that the folder is there complete or not at all. An incomplete one
# was damaged by someone's cleaning. If another build came first, mv fails or puts
# ours inside its folder, from where it goes.
complete "$assets" || rm -rf -- "$assets"
mv -- "$building/assets" "$assets" || complete "$assets"
rm -rf -- "$assets/assets"
say "built in $SECONDS s: $assets"
finish
