# Assay. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

TOOL := go tool -modfile=hack/tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
IMAGE ?= ghcr.io/assay-dev/assay-controller
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# Of all that is in the image: the commit's. https://reproducible-builds.org/specs/source-date-epoch/
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
LDFLAGS := -s -w -X main.version=$(VERSION)
# One set of flags for everything but the race detector, so that dependencies
# are compiled once.
export CGO_ENABLED := 0
export GOFLAGS += -trimpath
# The race detector needs a C compiler.
RACE := $(shell command -v $$(CGO_ENABLED=1 go env CC) >/dev/null 2>&1 && echo -race)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z./-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z./-]+):.*## /\1\t/' | expand -t 20

.PHONY: build
build: build-controller build-assay ## bin/assay-controller and bin/assay (for kubectl: bin/kubectl-assay), static and stripped

.PHONY: build-controller
build-controller:
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/assay-controller .

.PHONY: build-assay
build-assay:
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/assay ./cmd/assay
	@ln -sf assay bin/kubectl-assay

.PHONY: image
image: ## the controller's image for linux/amd64 and linux/arm64 in dist/image, an OCI layout, without Docker; prints its digest
	@go run ./hack/image build -version '$(VERSION)' -revision '$(REVISION)' -epoch '$(SOURCE_DATE_EPOCH)' dist/image

.PHONY: sbom
sbom: image ## the modules that the image's program is built of, in dist/sbom.cdx.json (CycloneDX), read from the program
	@go run ./hack/image program dist/image linux/amd64 dist/assay-controller >/dev/null
	@go tool -modfile=hack/release/go.mod cyclonedx-gomod bin -json -std -noserial -notimestamp -version '$(VERSION)' -output dist/sbom.cdx.json dist/assay-controller

PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
.PHONY: binaries
binaries: ## the command line for PLATFORMS, in dist/release
	@rm -rf dist/release && mkdir -p dist/release
	@for platform in $(PLATFORMS); do \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -ldflags '$(LDFLAGS)' -o "dist/release/assay_$${platform%/*}_$${platform#*/}" ./cmd/assay; \
	done

.PHONY: run
run: build-controller ## the whole system on loopback, with signed and unsigned modules; ONCE=1 exits when the table is complete
	@mkdir -p bin
	@go build -o bin/run ./hack/run
	@./bin/run -controller bin/assay-controller $(if $(ONCE),-once)

.PHONY: controlplane
controlplane: ## etcd, kube-apiserver and kubectl, once; prints their folder
	@hack/controlplane/build.sh

.PHONY: sigstore
sigstore: ## a Sigstore and two releases of Cosign to test against, once; prints their folder
	@hack/sigstore/build.sh

.PHONY: prometheus
prometheus: ## Prometheus and promtool to test the alerts and the dashboard with, once; prints their folder
	@hack/prometheus/build.sh

# Where they cannot be built, only the tests that need them are left out, unless
# ASSAY_INTEROP=require.
.PHONY: try-sigstore
try-sigstore:
	@hack/sigstore/build.sh || { echo "WARNING: no Sigstore to test against, so test/interop will test nothing" >&2; [ "$${ASSAY_INTEROP:-}" != require ]; }

# The fuzz tests come first, so that the test runner's summary is last.
.PHONY: test
test: controlplane prometheus try-sigstore ## all tests, with the race detector where there is a C compiler, and each fuzz test for 300 inputs
	@$(if $(RACE),,echo "no C compiler: testing without the race detector" >&2)
	$(if $(RACE),CGO_ENABLED=1) hack/fuzz.sh 300x $(RACE)
	$(if $(RACE),CGO_ENABLED=1) go test $(RACE) -timeout 30m ./...

.PHONY: test-deploy
test-deploy: controlplane dist/install.yaml ## the install file applied to a control plane, and the controller as its Deployment says, two replicas of it, killed and replaced
	ASSAY_INSTALL=$(CURDIR)/dist/install.yaml go test -count=1 -timeout 20m -v ./test/deploy

.PHONY: fuzz
fuzz: ## each fuzz test for FUZZTIME (default 30s), guided by coverage
	hack/fuzz.sh $(or $(FUZZTIME),30s) -fuzz=.

.PHONY: mutants
mutants: ## break the verdict one line at a time, and see a test fail for each; ONLY=<regular expression> SHARD=1/4 LIST=1 WIDE=1
	@mkdir -p bin
	@go build -o bin/mutants ./hack/mutants
	@./bin/mutants -only '$(ONLY)' -shard $(or $(SHARD),1/1) $(if $(LIST),-list) $(if $(WIDE),-wide)

.PHONY: bench
bench: ## all benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: generate
generate: ## CRD, RBAC and deepcopy from the markers in the code, and the references in docs
	$(TOOL) controller-gen object crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=assay-controller paths=./controllers/... output:rbac:dir=config/rbac
	rm -rf docs/cli && go run ./cmd/assay docs docs/cli
	go run ./hack/apidocs > docs/api-reference.md
	go run ./hack/metricsdoc docs/metrics.md

# Written whole or not at all, and anew each time: it depends on VERSION too.
.PHONY: dist/install.yaml
dist/install.yaml: ## config/default as one file, with the image IMAGE:VERSION, pinned if DIGEST is given
	@mkdir -p dist
	@IMAGE='$(IMAGE)' VERSION='$(VERSION)' DIGEST='$(DIGEST)' hack/install.sh >$@.new
	@mv $@.new $@

.PHONY: man
man: build-assay ## man pages of the command line, in dist/man
	rm -rf dist/man && bin/assay docs dist/man --format man

.PHONY: alerts
alerts: ## dist/alerts.yaml: the alerts as a rule file, for a Prometheus without its operator
	@mkdir -p dist
	go run ./hack/alerts > dist/alerts.yaml

.PHONY: dashboard
dashboard: controlplane prometheus ## docs/dashboard.svg: the panels of the dashboard, drawn from a run
	go test ./test/monitoring -run 'TestDashboard$$' -count=1 -args -picture $(CURDIR)/docs/dashboard.svg

.PHONY: fmt
fmt: ## gofmt
	gofmt -w $$(git ls-files '*.go')

.PHONY: lint
lint: ## golangci-lint, see .golangci.yml
	$(TOOL) golangci-lint run --allow-parallel-runners ./...

.PHONY: verify
verify: ## generated files, module files, formatting, vet and lint are as they should be
	hack/verify.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
