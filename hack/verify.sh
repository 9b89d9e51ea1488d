#!/usr/bin/env bash
# Checks that everything generated is up to date, that the module files are
# tidy, that the CRD breaks nobody, and that the code is formatted, vetted and
# linted. Fails on a tree that
# generating changes.
set -euo pipefail
cd "$(dirname "$0")/.."

fail=0
step() { printf '==> %s\n' "$1" >&2; }
complain() { printf 'verify: %s\n' "$1" >&2; fail=1; }

# What the tree looked like before, so that local work does not count.
state() { git status --porcelain; git diff | cksum; }

step "generated files"
before=$(state)
make --no-print-directory generate >&2
[ "$before" = "$(state)" ] || { git --no-pager diff --stat >&2; complain "generated files were not up to date: commit what 'make generate' made"; }

for module in . hack/tools hack/controlplane hack/prometheus hack/sigstore hack/release; do
	step "go mod tidy: $module"
	(cd "$module" && go mod tidy -diff >&2) || complain "$module: run go mod tidy"
	(cd "$module" && go mod verify >/dev/null) || complain "$module: a module is not what go.sum says"
done

step "CRD against the last release"
go run ./hack/crdcompat || complain "the CRD breaks what the last release accepted"

step "actionlint"
go tool -modfile=hack/release/go.mod actionlint .github/workflows/*.yaml docs/ci/github-*.yaml || complain "actionlint"

step "gofmt"
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
[ -z "$unformatted" ] || complain "not formatted: $unformatted"

step "go vet"
go vet ./... || complain "go vet"

step "golangci-lint"
make --no-print-directory lint || complain "golangci-lint"

exit "$fail"
