# redlane. `make demo` shows it, `make test` proves it; both install what they need.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
STORE   ?= tape

.DEFAULT_GOAL := help
.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: build
build: ## bin/redlane, one static binary
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: demo
demo: build $(if $(filter clickhouse,$(STORE)),clickhouse) ## the whole loop on this machine, in a minute (STORE=clickhouse keeps the recording there)
	@bin/redlane demo --store $(STORE)

.PHONY: test
test: deps clickhouse vet ## every test, race detector on; then the promises about memory, which it would blur
	@CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GO) test -race -vet=off -timeout 15m ./... # vet has been; no second's wait at the end of each process
	@$(GO) test -vet=off -run 'Alloc|IdleMemory|CostsNothing' ./internal/... ./lanes ./injector ./mesh/... ./recorder/... ./replayer ./traffic

.PHONY: check
check: fmt vet lint test ## all that a change must pass

.PHONY: fmt
fmt: ## fails when a file is not gofmt'ed
	@files=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$files" || { echo "gofmt needed: $$files"; exit 1; }

.PHONY: vet
vet:
	@$(GO) vet ./...

.PHONY: lint
lint: .lab/bin/golangci-lint ## the linters of .golangci.yml
	@.lab/bin/golangci-lint run ./...

.lab/bin/golangci-lint: tools/go.mod
	@mkdir -p .lab/bin
	@cd tools && $(GO) build -o ../.lab/bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: deps
deps: ## the programs that the tests drive: nginx, redis, wrk, ab, curl, openssl, chromium, a C compiler for the race detector
	@scripts/deps.sh nginx redis-server redis-cli wrk ab curl tshark openssl chromium gcc

.PHONY: clickhouse
clickhouse: ## a local ClickHouse (libchdb) under .lab
	@scripts/deps.sh npm
	@scripts/install-clickhouse.sh

.PHONY: bench-replay
bench-replay: build ## CPU per request against wrk and vegeta, rates and lag of the replayer (BENCH=quick: 3 minutes; ONLY=closed,open; DRIVER=epoll; WRITE=1 keeps the result)
	@scripts/deps.sh nginx wrk
	@$(GO) build -o bin/bench-replay ./bench/replay
	@bin/bench-replay $(if $(filter quick,$(BENCH)),-quick) $(if $(DRIVER),-engine $(DRIVER)) $(if $(WRITE),-write) $(if $(ONLY),-only $(ONLY))

.PHONY: replay-timing
replay-timing: ## ten minutes of 10,000 sessions at 1x: |sent - due| of every request, order in every session. Wants an idle machine
	@REDLANE_TIMING=$(or $(TIMING),10m) $(GO) test -count=1 -timeout 60m -run OrderAndTimingOfManySessions -v ./cmd/redlane

.PHONY: bench-fleet
bench-fleet: build ## what 1,000 modelled workers cost the controller; 64 real ones, one killed (KILL=1). Wants an idle machine
	@$(GO) build -o bin/bench-fleet ./bench/fleet
	@ulimit -n 8192; bin/bench-fleet $(if $(filter quick,$(BENCH)),-seconds 10) $(if $(KILL),-kill bin/redlane)

.PHONY: bench-record
bench-record: build clickhouse ## cost of recording, speed and size of the tape, packet capture, ClickHouse (BENCH=quick; ONLY=tap,tape; WRITE=1 keeps the result)
	@scripts/deps.sh nginx wrk
	@$(GO) build -o bin/bench-record ./bench/record
	@bin/bench-record $(if $(filter quick,$(BENCH)),-quick) $(if $(WRITE),-write) $(if $(ONLY),-only $(ONLY))

.PHONY: chaos-record
chaos-record: clickhouse ## a million exchanges while recorder, ClickHouse or both are killed 30 times: each stored once, 2 minutes and more
	@REDLANE_CHAOS=1000000 $(GO) test -count=1 -timeout 20m -run ExactlyOnceWhateverDies -v ./recorder/clickhouse

.PHONY: bench-inject
bench-inject: build ## faults: cost and precision, 50 proxies, guards, orphans, beside Toxiproxy (BENCH=quick; ONLY=apply,abort; DRIVER=epoll; WRITE=1 keeps the result)
	@scripts/deps.sh nginx wrk
	@$(GO) build -o bin/bench-inject ./bench/inject
	@cd tools && $(GO) build -o ../bin/toxiproxy-server github.com/Shopify/toxiproxy/v2/cmd/server
	@bin/bench-inject $(if $(filter quick,$(BENCH)),-quick) $(if $(DRIVER),-engine $(DRIVER)) $(if $(WRITE),-write) $(if $(ONLY),-only $(ONLY))

.PHONY: orphan-test
orphan-test: ## controller killed, network cut, proxy killed, a hundred times each: no fault after 3 s. Root, for the network; 4 minutes
	@REDLANE_ORPHANS=$(or $(TIMES),100) $(GO) test -count=1 -timeout 30m -run TestOrphan -v ./cmd/redlane

.PHONY: bench-restart
bench-restart: deps ## a hundred restarts and reloads under load, on every engine, with TLS and without
	@cd bench/restart && $(GO) test -count=1 -timeout 30m -times 100

.PHONY: bench-proxy
bench-proxy: build ## CPU per request against HAProxy and nginx, about 12 minutes (BENCH=quick: 3; DRIVER=epoll; PROFILE=full takes a profile instead; WRITE=1 keeps the result)
	@scripts/deps.sh nginx haproxy wrk
	@$(GO) build -o bin/bench-proxy ./bench/proxy
	@bin/bench-proxy $(if $(filter quick,$(BENCH)),-quick) $(if $(DRIVER),-engine $(DRIVER)) $(if $(WRITE),-write) $(if $(ONLY),-only $(ONLY)) $(if $(PROFILE),-profile $(PROFILE) -profile-conns $(or $(PROFILE_CONNS),64))

.PHONY: bench-hostile
bench-hostile: deps ## p99 of good requests among 24 clients that mean harm, against a control and HAProxy, 80 s
	@scripts/deps.sh haproxy
	@$(GO) test -run '^$$' -bench Hostile -benchtime 1x ./cmd/redlane

.PHONY: fuzz
fuzz: ## every fuzz target for a minute
	@scripts/fuzz.sh 60s

.PHONY: clean
clean:
	@rm -rf bin out
