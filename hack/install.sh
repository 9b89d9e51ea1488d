#!/usr/bin/env bash
# Prints config/default as one file, with the image of a version:
#
#     IMAGE=registry.example.com/assay-controller VERSION=v1.2.3 hack/install.sh
#
# DIGEST=sha256:… pins the image as well. The same values give the same bytes.
# Needs bash and go.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

: "${IMAGE:?expected the image, without a tag}" "${VERSION:?expected the version, which is its tag}"
[[ $VERSION =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] || { echo "VERSION: expected the tag of an image, found \"$VERSION\"" >&2; exit 1; }
[[ -z ${DIGEST:-} || $DIGEST =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "DIGEST: expected sha256: and 64 hexadecimal digits, found \"$DIGEST\"" >&2; exit 1; }

# kustomize takes the image from a file alone, and other files by relative paths.
mkdir -p dist
overlay=$(mktemp -d dist/.overlay-XXXXXX)
trap 'rm -rf -- "$overlay"' EXIT
cat >"$overlay/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../config/default]
images:
- name: ghcr.io/assay-dev/assay-controller
  newName: $IMAGE
  newTag: $VERSION
${DIGEST:+  digest: $DIGEST}
YAML
printf '# Assay %s: kubectl apply --server-side -f install.yaml\n' "$VERSION"
go tool -modfile=hack/tools/go.mod kustomize build "$overlay"
