# Recipes for people and for continuous integration; `make` alone lists them.
# The longer ones are shell scripts in scripts/, and every step says what it is and how long it took.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PATH := $(PATH):$(HOME)/.cargo/bin

STEP := scripts/step
DEB_DIR := $(CURDIR)/target/deb
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
DEB := $(DEB_DIR)/swarm-agent_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb
# folders too: a file that went away is a change
DEB_SOURCES := Cargo.toml Cargo.lock build.rs README.md CHANGELOG.md $(shell find src systemd packaging docs \( -type f -o -type d \)) \
	$(shell find debian -type f -o -type l | grep -Ev '^debian/(swarm-agent/|\.debhelper/|files$$|.*\.(substvars|debhelper|log)$$|debhelper-build-stamp$$)')

# integration tests at once: they mostly wait for servers and for leases to end
INTEGRATION_THREADS ?= 6
# machines booted at once; each takes about 45 MB, and the waiting is mostly theirs
export SWARM_E2E_THREADS ?= 4
# releases on which make test-full runs the tests in machines once more
FULL_SUITES ?= trixie sid
# the package that the machines install
export SWARM_E2E_PACKAGE := $(DEB)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what is missing on this host to build, test and boot machines (apt, as root)
	@scripts/setup all

.PHONY: setup-build
setup-build:
	@scripts/setup build

.PHONY: check
check: setup-build ## formatting, lints, unit tests, units, catalog, polkit rule, scripts: seconds after the first time
	@$(STEP) --begin
	@$(MAKE) check-steps
	@$(STEP) --end

.PHONY: check-steps
check-steps:
	@$(STEP) 'formatting' cargo fmt --all --check
	@$(STEP) 'lints' cargo clippy --workspace --all-targets --locked -- -D warnings
	@$(STEP) 'unit tests' cargo test --workspace --lib --bins --locked -- --quiet
	@$(STEP) 'units: systemd-analyze' scripts/check-units
	@$(STEP) 'catalog: journalctl' scripts/check-catalog
	@$(STEP) 'polkit rule' duk packaging/polkit/test/polkit.js packaging/polkit/50-swarm-agent.rules packaging/polkit/test/decide.js packaging/polkit/test/cases.js
	@$(STEP) 'polkit rule for containerd' duk packaging/polkit/test/polkit.js packaging/polkit/60-swarm-agent-containerd.rules packaging/polkit/test/decide.js packaging/polkit/test/containerd.js
	@$(STEP) 'shell scripts' shellcheck .ci/run scripts/* debian/swarm-agent.prerm debian/swarm-agent.postrm

.PHONY: test
test: setup ## everything: check, integration tests, the package, and real machines
	@$(STEP) --begin
	@$(MAKE) check-steps
	@$(STEP) 'integration tests' cargo test --package swarm-agent --tests --locked -- --quiet --test-threads=$(INTEGRATION_THREADS)
	@$(MAKE) deb
	@$(STEP) 'lintian' lintian --fail-on error,warning --tag-display-limit 0 $(DEB_DIR)/swarm-agent.changes
	@$(STEP) 'image of the machines' cargo run --quiet --locked --package e2e --bin machines -- image
	@$(STEP) 'booted machines' cargo test --package e2e --tests --locked -- --test-threads=$(SWARM_E2E_THREADS)
	@$(STEP) --end

.PHONY: test-full
test-full: test ## the same, then machines of the newer Debian releases, an hour of random faults, and long property tests
	@$(STEP) --begin
	@SWARM_E2E_SOAK=3600 $(STEP) 'an hour of random faults' \
		cargo test --package e2e --test node --locked -- --nocapture soak::
	@for suite in $(FULL_SUITES); do \
		SWARM_E2E_SUITE=$$suite $(STEP) "booted machines: $$suite" \
			cargo test --package e2e --test node --locked -- --test-threads=$(SWARM_E2E_THREADS) || exit; \
	done
	@PROPTEST_CASES=20000 $(STEP) 'property tests, 20,000 cases each' cargo test --package swarm-agent --lib --locked -- --quiet
	@$(STEP) --end

# the baseline of the benchmark, without debug information as the package's program is
export BENCH_BASELINE := $(CURDIR)/target/bench/baseline

.PHONY: bench
bench: setup deb ## memory, CPU, start, reaction to the engine's death, beside a baseline, and each backend: 22 min, or BENCH_SHORT=1
	@$(STEP) --begin
	@$(STEP) 'building the baseline' cargo build --release --locked --package baseline
	@mkdir -p $(dir $(BENCH_BASELINE))
	@strip -o $(BENCH_BASELINE) $(CARGO_TARGET_DIR)/release/baseline
	@$(STEP) 'image of the machines' cargo run --quiet --locked --package e2e --bin machines -- image
	@$(STEP) 'benchmark' cargo run --quiet --locked --package bench
	@$(STEP) --end

.PHONY: order
order: setup deb ## packaging/hot.ld anew: which code the linker keeps together, from a run of the agent; see DEVELOPERS.md
	@scripts/order $(DEB) $(CARGO_TARGET_DIR)/release/swarm-agent

.PHONY: deb
deb: $(DEB) ## the Debian package, in target/deb

$(DEB): $(DEB_SOURCES)
	@$(STEP) 'building the package' scripts/build-deb $(DEB_DIR)
	@touch $@

.PHONY: demo
demo: setup deb ## a Docker host with the agent, in a machine of its own
	@scripts/demo up $(DEB)

.PHONY: demo-shell
demo-shell: ## a shell in the demo's machine
	@scripts/demo shell

.PHONY: demo-clean
demo-clean: ## remove the demo's machine
	@scripts/demo clean

.PHONY: clean
clean: ## remove what was built (the images of the machines stay)
	rm -rf target debian/swarm-agent debian/.debhelper debian/files debian/*.substvars debian/*.debhelper* debian/debhelper-build-stamp
