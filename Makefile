# The usual commands of this project. Plain `go test ./...` needs none of them.

FUZZTIME ?= 10s
SEEDS    ?= 1000
PACKAGES ?= ./reactor ./kernel/native ./tlsio ./sim
MUTANTS  ?= -n 40 -seed 1
SYSTEMS   = darwin freebsd openbsd netbsd windows
STATIC    = go tool -modfile=tools/go.mod staticcheck

.DEFAULT_GOAL = help
.PHONY: help check fmt vet staticcheck arch test race cross fuzz bench bench-plot chaos interop promises mutants cover worlds

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

check: fmt vet staticcheck arch test race ## everything to run before a commit

fmt: ## fail if gofmt would change a file
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt would change: $$files"; exit 1; }

vet: ## run go vet
	go vet ./...

staticcheck: ## run staticcheck, in the version of tools/go.mod
	$(STATIC) ./...

arch: ## test the rules of the house
	go test ./internal/arch

test: ## run all tests
	go test ./...

race: ## run all tests under the race detector
	go test -race ./...

cross: ## vet for every other system
	@for os in $(SYSTEMS); do echo "$$os"; GOOS=$$os go vet ./... || exit 1; done

fuzz: ## run each fuzz target for FUZZTIME, two at a time
	@.ci/fuzz $(FUZZTIME)

bench: ## measure Whorl against other ways to serve
	cd bench && go run .

bench-plot: ## the same, and draw the ratios to bench.svg
	cd bench && go run . -plot ../bench.svg

chaos: ## put servers under loads that hurt, and see what is lost
	cd bench && go run ./chaos

interop: ## run tests with libraries and programs of others
	cd interop && go vet -race ./... && go test -race ./...

worlds: ## run SEEDS seeds of each world of examples/worlds
	WHORL_SEEDS=$(SEEDS) go test -count=1 -run '^TestWorlds$$' ./examples/worlds

promises: ## list the numbered promises that no test cites
	@go run ./internal/promises

mutants: ## plant defects in PACKAGES, drawn by MUTANTS, and list those that no test notices
	@cd tools && go run ./mutants $(MUTANTS) $(PACKAGES)

cover: ## measure how much of the code the tests reach
	go test -coverprofile=cover.out ./...
	@go tool cover -func=cover.out | tail -n 1
