# What the build.sh of hack/controlplane, hack/prometheus and hack/sigstore share:
# programs are built from the Go module proxy alone, once for each state of their
# folder, into a cache that may be deleted at any time,
# ${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/<name>, and the folder that
# holds them, and nothing else, is printed to standard output.
#
# The script sets name, the folder's; defines complete, which says whether a folder
# holds all programs; and sources this. Then begin, run once or several times, and
# keep.
#
# Needs bash, go and the core utilities.
set -euo pipefail
export LC_ALL=C # the key depends on the order of file names

cache=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/$name
[[ $cache == /* ]] || cache=$PWD/$cache
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/$name"

# For the machine at hand, also where the caller compiles for another.
{ read -r GOOS && read -r GOARCH; } < <(go env GOHOSTOS GOHOSTARCH)

say() { printf '%s: %s\n' "$name" "$*" >&2; }

finish() {
  printf '%s\n' "$assets"
  exit
}

# begin LABEL: ends the script if it is built already, and otherwise makes the
# folder $building/assets for the programs.
begin() {
  local files sum
  files=(go.mod go.sum build.sh ../once.sh)
  for file in ./*/*.go; do
    [[ ! -e $file ]] || files+=("$file")
  done
  # cksum is the one checksum that every system has. The outer one sees the files'
  # names as well, which the inner one prints.
  read -r sum _ < <(cksum "${files[@]}" | cksum)
  assets=$cache/$(printf '%s%s-%s-%08x' "${1:+$1-}" "$GOOS" "$GOARCH" "$sum")
  if complete "$assets"; then finish; fi

  # One build at a time where there is flock, as a second one of the same would
  # only slow the first. Without it both build, and the first to be complete stays.
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
  SECONDS=0
}

# run WHAT TOTAL COMMAND...: in the background, telling how many packages are
# compiled, of TOTAL where it is not empty.
run() {
  local what=$1 of=${2:+ of $2} started=$SECONDS next line='%s\n' every=15
  shift 2
  "$@" >"$building/log" 2>&1 &
  build=$!
  if [[ -t 2 ]]; then every=1 line='\r%s\e[K'; fi
  next=$((SECONDS + every))
  while kill -0 "$build" 2>/dev/null; do
    sleep 1
    if ((SECONDS < next)); then continue; fi
    next=$((SECONDS + every))
    # shellcheck disable=SC2059 # the format is one of the two above
    printf "$line" "$name: $what: $(($(grep -vc ' ' "$building/log")))$of packages compiled, $((SECONDS - started)) s" >&2
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

# keep: a rename, so that the folder is there complete or not at all. An incomplete
# one was damaged by someone's cleaning. If another build came first, mv fails or
# puts ours inside its folder, from where it goes.
keep() {
  complete "$assets" || rm -rf -- "$assets"
  mv -- "$building/assets" "$assets" || complete "$assets"
  rm -rf -- "$assets/assets"
  say "built in $SECONDS s: $assets"
  finish
}
