#!/usr/bin/env bash
# Builds what test/interop needs of Sigstore, as hack/once.sh says: the servers
# fulcio, rekor-tiles and timestamp-server, and the command line of the two
# releases of Cosign that are in use, cosign2 and cosign3.
name=sigstore
complete() {
  local program
  for program in fulcio rekor-tiles timestamp-server cosign2 cosign3; do
    [[ -x $1/$program ]] || return 1
  done
}
# shellcheck source=hack/once.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../once.sh"
begin ""

# The servers' versions are in go.mod. Cosign is built as its release says, with
# the dependencies of that release and not with those that go.mod would select.
cosign2=github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
cosign3=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
rekor=github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix
flags=(-trimpath -buildvcs=false -ldflags "-s -w" -v)

say "building Fulcio, Rekor, the timestamp authority and two releases of Cosign for $GOOS/$GOARCH, this once"
say "the first time takes about ten minutes on two cores"
run servers "" go build -mod=readonly "${flags[@]}" -o "$GOBIN/" ./... "$rekor"
mv -- "$GOBIN/posix" "$GOBIN/rekor-tiles"
for version in "$cosign2" "$cosign3"; do
  run "cosign ${version##*@}" "" go install "${flags[@]}" "$version"
  major=${version##*@v}
  mv -- "$GOBIN/cosign" "$GOBIN/cosign${major%%.*}"
done
keep
