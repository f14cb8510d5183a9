# The bodies of the targets are in scripts/; each says what it needs.

.PHONY: build build-all gui run deb image test test-deb test-image check bench cover fuzz clean

build: gui # bin/gatewayd, static
	@scripts/build

build-all: gui # dist/gatewayd-linux-{amd64,arm64,armv7}
	@scripts/build-all

deb: gui # dist/gatewayd_*_{amd64,arm64,armhf}.deb
	@scripts/deb/build

image: gui # dist/gatewayd-*.img.xz, a card for a Raspberry Pi
	@scripts/image/build

gui: # the page that the daemon serves at /, for embedding
	@scripts/gui

run: build # the demo on the simulated concentrator
	@bin/gatewayd demo

test: # go vet, go test -race, the black-box tests
	@scripts/test

test-deb: gui # the packages: twice the same bytes, chroots, a machine with systemd
	@scripts/deb/test

test-image: gui # the card: twice the same bytes, booted, updated, without power
	@scripts/image/test

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
