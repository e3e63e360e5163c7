.DEFAULT_GOAL := help
.PHONY: help run build image image-load test chart soak e2e demo demo-down bench bench-scale testimage testapi lint generate verify fuzz conformance vulncheck licenses clean
.DELETE_ON_ERROR:

GO       ?= go
BIN      := bin
DATA     ?= larder-data
FUZZTIME ?= 20s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
MODULE   := github.com/larder-dev/larder
LDFLAGS  := -s -w -X $(MODULE)/internal/version.linked=$(VERSION)
TOOL     := $(GO) tool -modfile=go.tools.mod
CRDS     := helm/larder/files/crds
HELMDOCS := --chart-search-root helm --log-level warning
# The time of everything in the images: that of the commit, unless the environment says another.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

help: ## Print what make can do.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Start larder serve with the example policies; DATA=folder, CONFIG=file, LISTEN=host:port for others than the default ones.
	@exec $(BIN)/larder serve --data $(DATA) $(if $(CONFIG),--config $(CONFIG)) $(if $(LISTEN),--listen $(LISTEN)) --manifests docs/examples/repositories

build: ## Build the static binaries bin/larder and bin/larder-proxy.
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

test: ## Run every test, with the race detector; the rules of the cache on the file system and on S3.
	cd hack/bench && $(GO) test ./...
	cd tests/crash/powercut && $(GO) test ./...
	cd hack/licenses && $(GO) test ./...
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...
	LARDER_TEST_DRIVER=s3 CGO_ENABLED=1 $(GO) test -race -timeout 30m ./internal/cache

chart: ## Check the chart: lint, golden files, a dry run at a real API server. UPDATE=1 writes the golden files anew.
	$(GO) test ./tests/chart $(if $(UPDATE),-update)

soak: ## The long part, of every package with a test that knows LARDER_SOAK: crashes, power cuts, churn, sweeps in every order, replicas that come and go (about 90 minutes).
	@folders=$$(grep -rl LARDER_SOAK --include='*_test.go' . | xargs -n1 dirname | sort -u) && \
	LARDER_SOAK=1 CGO_ENABLED=1 $(GO) test -race -count=1 -v -p 1 -timeout 4h $$folders

e2e: ## Run the tests on a real cluster of one node, with real pulls. Needs root and Linux; the first run builds Kubernetes.
	LARDER_E2E=1 $(GO) test -count=1 -v -timeout 30m ./tests/e2e

demo: ## Run a cluster of one node with Larder to play with, until Ctrl-C. Needs root and Linux; the first run builds Kubernetes.
	@$(GO) run ./hack/demo

demo-down: ## Remove what is left of a demo that was killed.
	@$(GO) run ./hack/demo -down

bench: ## Measure Larder beside its peers; writes docs/benchmarks.md (about 15 minutes, wants an idle machine).
	cd hack/bench && $(GO) run . -out ../../docs/benchmarks.md

bench-scale: ## Measure larder controller and registry with 10,000 pods; writes its section of docs/benchmarks.md (about 20 minutes, the same).
	cd hack/bench && $(GO) run . scale -out ../../docs/benchmarks.md

testimage: ## Build the real test image, a Debian root file system, where it is missing. Needs root; the tests do it too.
	$(GO) run ./hack/testimage

testapi: ## Build etcd, kube-apiserver and kubectl for the tests where they are missing (minutes, once). The tests do it too.
	$(GO) run ./hack/testapi

lint: ## Run the linters of .golangci.yml.
	$(TOOL) golangci-lint run

generate: ## Write the generated code, the CRDs and the chart's README anew.
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=$(CRDS)
	$(TOOL) helm-docs $(HELMDOCS)

verify: ## Fail where generated files, go.mod or the formatting are stale.
	$(GO) mod tidy -diff
	$(TOOL) golangci-lint fmt --diff
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(TOOL) controller-gen object paths=./api/... output:object:dir="$$fresh/api" && \
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir="$$fresh/crds" && \
	diff -u api/v1alpha1/zz_generated.deepcopy.go "$$fresh/api/zz_generated.deepcopy.go" && \
	diff -ru $(CRDS) "$$fresh/crds" && \
	$(TOOL) helm-docs $(HELMDOCS) --dry-run | diff -u helm/larder/README.md - || { echo 'run make generate'; exit 1; }
	cd hack/licenses && $(GO) run . -verify

fuzz: ## Fuzz every parser, FUZZTIME (20s) each.
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -r -n1 dirname | sort -u | while read -r folder; do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$$folder"/*_test.go); do \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$folder" || exit 1; \
		done; \
	done

conformance: ## Run the OCI conformance suite's own binary against larder serve: CONFORMANCE=path.
	@CONFORMANCE='$(abspath $(CONFORMANCE))' && export CONFORMANCE && \
	if [ -z "$$CONFORMANCE" ]; then $(GO) test -count=1 -v -run '^TestSuite$$' ./tests/conformance | grep -v '^[=-]'; exit 1; fi; \
	$(GO) test -count=1 -v -timeout 20m -run '^TestSuite$$' ./tests/conformance

image: ## Build the images for amd64 and arm64 as OCI layouts in bin/image, with SBOMs; prints their digests.
	$(GO) run ./hack/image -version '$(VERSION)' -epoch $(SOURCE_DATE_EPOCH) -ldflags '$(LDFLAGS)'

image-load: ## Put the built images in a registry (IMAGE_REGISTRY=host:port/prefix) or a containerd (CONTAINERD=socket).
	$(GO) run ./hack/image load -registry '$(IMAGE_REGISTRY)' -containerd '$(CONTAINERD)' $(if $(IMAGE_PLAIN_HTTP),-plain-http)

vulncheck: ## Look for known vulnerabilities in what the binaries call; says so where the database cannot be reached.
	$(GO) run ./hack/vulncheck $(TOOL) govulncheck

licenses: ## Write docs/licenses.csv anew, and fail where a licence is not allowed.
	cd hack/licenses && $(GO) run .

clean: ## Remove what was built. The images stay.
	rm -rf $(BIN)
