#!/usr/bin/env bash
# Builds the development and test control plane (etcd, kube-apiserver and, for a
# person at a terminal, kubectl) as hack/once.sh says:
#
#     export KUBEBUILDER_ASSETS="$(hack/controlplane/build.sh)"
#
# A KUBEBUILDER_ASSETS that is already set and complete wins.
name=controlplane
complete() { [[ -x $1/etcd && -x $1/kube-apiserver ]]; }
# shellcheck source=hack/once.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../once.sh"

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  if complete "$KUBEBUILDER_ASSETS"; then
    printf '%s\n' "$KUBEBUILDER_ASSETS"
    exit
  fi
  say "KUBEBUILDER_ASSETS holds no etcd and kube-apiserver, so it is not used: $KUBEBUILDER_ASSETS"
fi

# go.mod is the one place that names the version.
while read -r module version _; do
  [[ $module != k8s.io/kubernetes ]] || break
done <go.mod
IFS=. read -r major minor _ <<<"${version#v}"
begin "$version"

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
run programs "$((total))" go build "${flags[@]}" -ldflags "$ldflags" -v -o "$building/assets/" ./...
keep
