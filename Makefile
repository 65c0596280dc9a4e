# Everything that is done to this project is a target here. All of them need
# only Go, git and make; what else a target needs it installs itself when it is
# run as root on Debian, and says so when it may not.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test test-core test-live test-kernels check bench bench-peers bench-router bench-core eval gen demo release clean

# A clone that belongs to another user must build too.
export GOFLAGS ?= -buildvcs=false

FUZZTIME ?= 30s                        # make check: time for each fuzz target
COUNT    ?= 1                          # make bench: runs of each benchmark
BENCH    ?= .                          # make bench: which benchmarks
TRUTH    ?= ../shared/data/truth.json  # make eval: captures and what is true of them
KERNELS  ?= amd64                      # make test-kernels: of those that scripts/kernels lists
SEEDS    ?= 1 2 3                      # make eval: seeds of the disturbed runs

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

build: ## build the programs into bin/
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

test: ## run every test, also with the race detector and on emulated routers
	@scripts/test

test-core: ## run what is about the provider's core, verbosely: real agents, crashes, power cuts (root)
	@scripts/need pg_ctlcluster=postgresql mkfs.ext4=e2fsprogs
	@go test -v -count=1 -timeout 20m ./wire/... ./core/... ./agent/uplink/... ./agent/report/... ./agent/desired/... ./lab/provider ./cmd/cordon-core

test-live: ## run what needs a real kernel, verbosely: namespaces, eBPF, nftables (root)
	@scripts/live

test-kernels: ## run it on Debian's kernels in qemu, too (root; KERNELS="amd64 arm64")
	@scripts/kernels $(KERNELS)

check: ## run staticcheck, govulncheck and every fuzz target (FUZZTIME=30s)
	@scripts/check $(FUZZTIME)

bench: ## run the benchmarks (COUNT=1 BENCH=.); the output is kept in bin/bench.txt
	@mkdir -p bin
	@go test -run '^$$' -bench '$(strip $(BENCH))' -benchmem -count $(COUNT) ./... | tee bin/bench.txt

bench-peers: build ## compare speed and memory with ndpiReader, softflowd and tshark
	@scripts/need ndpiReader=libndpi-bin softflowd=softflowd tshark=tshark
	@bin/cordon-lab bench-peers

bench-router: build ## measure what the agent costs on a router, beside softflowd and ndpiReader (root)
	@scripts/need ip=iproute2 nft=nftables ethtool=ethtool softflowd=softflowd ndpiReader=libndpi-bin
	@bin/cordon-lab bench-router

bench-core: build ## measure what core takes of 18,000 routers, on SQLite and PostgreSQL (CORE="--part routers")
	@scripts/need pg_ctlcluster=postgresql
	@bin/cordon-lab bench-core $(CORE)
	@bin/cordon-lab bench-core --database postgres $(CORE)

eval: build ## judge the captures of TRUTH, as they are and disturbed (SEEDS="1 2 3")
	@scripts/eval $(TRUTH) $(SEEDS)

gen: ## write all generated files anew: tables, dependency list, golden files
	@scripts/need npm=npm clang-14=clang-14 llvm-strip-14=llvm-14
	@go generate ./...
	@scripts/golden

demo: build ## make up an infected home and judge it
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	bin/cordon-lab synth --seed 1 --scenario infection -o "$$dir/home.pcap"; \
	bin/cordon-agent replay "$$dir/home.pcap"

release: ## build the agent for every router, with packages, into bin/release/
	@scripts/release

clean: ## remove what was built
	@rm -rf bin
