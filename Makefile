# The bodies of the targets are in scripts/; each says what it needs.

.PHONY: build build-all gui run test check bench cover fuzz clean

build: gui # bin/gatewayd, static
	@scripts/build

build-all: gui # dist/gatewayd-linux-{amd64,arm64,armv7}
	@scripts/build-all

gui: # the page that the daemon serves at /, for embedding
	@scripts/gui

run: build # the demo on the simulated concentrator
	@bin/gatewayd demo

test: # go vet, go test -race, the black-box tests
	@scripts/test

check: # gofmt, go vet, golangci-lint, import directions
	@scripts/check

bench: # every benchmark, its figures beside their bars
	@scripts/bench

cover: # coverage of each package, bars included
	@scripts/cover

fuzz: # every fuzz target for FUZZTIME (10s)
	@scripts/fuzz

clean:
	rm -rf bin dist .bin
