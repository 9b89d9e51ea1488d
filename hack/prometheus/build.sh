#!/usr/bin/env bash
# Builds Prometheus and promtool, which the tests of the alerts and of the
# dashboard need, as hack/once.sh says.
name=prometheus
complete() { [[ -x $1/prometheus && -x $1/promtool ]]; }
# shellcheck source=hack/once.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../once.sh"

# go.mod is the one place that names the version.
while read -r _ module version _; do
  [[ $module != github.com/prometheus/prometheus ]] || break
done <go.mod
begin "$version"

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
run programs "$((total))" go build "${flags[@]}" -ldflags "$ldflags" -v -o "$building/assets/" tool
keep
