# AgentSight's menu: everything that a newcomer types. `make` alone shows it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-docker test-kernels soak bench bench-content bench-hooks bench-store fuzz build deps test-deps lint fmt snapshots scenario-recordings jaeger python-sdk schemathesis clean
.PHONY: static package test-package test-phoenix otelcol

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET_DIR)

# how to see that it is there | Debian package | what it is for
define BUILD_NEEDS
command -v cc|gcc|links Rust programs, compiles SQLite
test -e /usr/include/stdio.h|libc6-dev|C headers
command -v clang|clang|compiles the eBPF programs
command -v llvm-strip|llvm|makes the eBPF objects small
test -e /usr/include/bpf/bpf_helpers.h|libbpf-dev|headers of the eBPF programs
command -v python3|python3|the sample agent of `make demo`
endef
define TEST_NEEDS
command -v strace|strace|the independent witness that traces are compared with
command -v node|nodejs|a traced program
if docker compose version; then :; else command -v docker-compose; fi|docker-compose|checks docker-compose.yml
command -v npm|npm|a traced program, and fetches Grafana's grammar of TraceQL
command -v prometheus|prometheus|answers the dashboards' questions
command -v curl|curl|a command of the pages, and a client over TLS
command -v openssl|openssl|a certificate for a test
command -v ip|iproute2|a network of its own for a test
command -v git|git|a traced program
command -v sudo|sudo|tests of starting by sudo and without root
command -v setpriv|util-linux|tests of what a user without rights sees
PATH=$$PATH:/usr/sbin command -v bpftool|bpftool|a test that looks into the kernel's maps
python3 -c "import venv, ensurepip"|python3-venv|a home for the OpenTelemetry SDK that tests send with
endef
define KERNEL_TEST_NEEDS
command -v qemu-system-x86_64|qemu-system-x86|emulates the machine that old kernels run on
command -v cpio|cpio|packs its file system
command -v strip|binutils|makes what is packed small
test -x /usr/bin/python3|python3|a program that is traced there
PATH=$$PATH:/usr/sbin command -v ip|iproute2|gives the emulated machine its loopback
endef
define DOCKER_TEST_NEEDS
command -v dockerd|docker.io|the engine whose container is traced
command -v docker|docker.io|its client
command -v unshare|util-linux|keeps the engine's mounts apart
PATH=$$PATH:/usr/sbin command -v debootstrap|debootstrap|what the image is built upon
endef
define PACKAGE_TEST_NEEDS
PATH=$$PATH:/usr/sbin command -v debootstrap|debootstrap|makes the clean Debian
command -v dpkg-deb|dpkg|reads the .deb
command -v rpm|rpm|reads the .rpm
command -v qemu-system-x86_64|qemu-system-x86|emulates the machine that systemd runs
command -v cpio|cpio|packs its file system
endef
define LINT_NEEDS
command -v clang-format|clang-format|checks the style of the eBPF programs
endef
export BUILD_NEEDS TEST_NEEDS KERNEL_TEST_NEEDS DOCKER_TEST_NEEDS PACKAGE_TEST_NEEDS LINT_NEEDS

help: ## Show this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Trace a small sample agent and show its process tree
	@$(TARGET_DIR)/release/agentsight run --tree -- python3 examples/sample_agent.py

# Cargo starts each test binary through a "runner"; ours is sudo where we are not root, because the kernel shows its events to root only.
define AS_ROOT
export AGENTSIGHT_BIN=$(TARGET_DIR)/debug/agentsight; \
if [[ $$(id -u) != 0 ]]; then \
    echo "The tests trace real programs, which takes root: they run by sudo."; sudo -v; \
    triple=$$(rustc -vV | sed -n 's/^host: //p'); \
    export "CARGO_TARGET_$$(tr 'a-z-' 'A-Z_' <<<"$$triple")_RUNNER=$(CURDIR)/tests/as-root.sh"; \
fi; \
$(CARGO)
endef
TEST_AS_ROOT = $(AS_ROOT) test

test: test-deps jaeger otelcol python-sdk schemathesis ## Run all tests; those that trace need root, so this asks for sudo
	@$(CARGO) build --workspace --bin agentsight
	@$(TEST_AS_ROOT) --workspace
	@echo "NOT RUN: the tests of a real Docker Engine (\`make test-docker\`), of the packages (\`make test-package\`), and of Phoenix (\`make test-phoenix\`)."
	@[[ -n "$${TEMPO_BINARY:-}$${TEMPO_PORT:-}" ]] || echo "NOT RUN: the questions to a live Tempo (TEMPO_BINARY names its program); they were asked of what one had said before."

test-docker: test-deps ## Build AgentSight's image and trace containers of a real Docker Engine; installs docker.io where there is none
	@tests/install-missing.sh <<<"$$DOCKER_TEST_NEEDS"
	@$(MAKE) --no-print-directory static PROFILE=dev
	@$(CARGO) build --workspace --bin agentsight
	@$(TEST_AS_ROOT) --package agentsight-tests --test docker

# The debug build, because what it does is not the question here. Its files are made first: the test only looks.
test-package: test-deps ## Install the .deb in a clean Debian, trace, remove it; boot it with systemd; installs debootstrap and QEMU where there are none
	@tests/install-missing.sh <<<"$$PACKAGE_TEST_NEEDS"
	@$(MAKE) --no-print-directory package PROFILE=dev
	@$(CARGO) build --workspace --bin agentsight
	@$(TEST_AS_ROOT) --package agentsight-tests --test package --test systemd

test-phoenix: test-deps ## Send to Phoenix, a backend that others wrote for agents; installs it from PyPI (3 minutes, once)
	@tests/backends/phoenix/build.sh
	@$(CARGO) build --workspace --bin agentsight
	@$(TEST_AS_ROOT) --package agentsight-tests --test phoenix

soak: test-deps ## Half an hour of the daemon under churn: memory, descriptors and maps must stay flat (MINUTES=2 for less)
	@$(CARGO) build --workspace --bin agentsight
	@$(TEST_AS_ROOT) --package agentsight-tests --test soak -- --ignored --nocapture

# cargo says which files the tests are in.
test-kernels: deps ## Trace on Debian's kernels from 5.10 to the newest, in emulated machines (20 minutes; KERNELS="5.10 newest" chooses)
	@tests/install-missing.sh <<<"$$KERNEL_TEST_NEEDS"
	@$(CARGO) build --workspace --bin agentsight
	@tests=$$($(CARGO) test --workspace --no-run --test loading --test verifier --test full_ring --test lifecycle --test event_classes \
	    --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); \
	tests/kernels/run.sh $(TARGET_DIR)/debug/agentsight $$tests

define BENCH_NEEDS
command -v strace|strace|a tool to compare with
PATH=$$PATH:/usr/sbin command -v bpftrace|bpftrace|a tool to compare with
command -v perf|linux-perf|a tool to compare with
PATH=$$PATH:/usr/sbin command -v bpftool|bpftool|reads the kernel's account of run times
command -v redis-benchmark|redis-tools|a program that is measured
command -v redis-server|redis-server|a program that is measured
python3 -c "import venv, ensurepip"|python3-venv|a home for the model that is measured
endef
export BENCH_NEEDS

bench: build ## Measure what tracing costs, beside strace, perf trace and bpftrace (50 minutes; QUICK=1 for 4 minutes, ONLY=a,d for some)
	@tests/install-missing.sh <<<"$$BENCH_NEEDS"
	@export AGENTSIGHT_FLOOR=$$($(CARGO) bench --package agentsight-ebpf --bench hooks --no-run \
	    --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p') \
	    AGENTSIGHT_ZSTD=$$($(CARGO) metadata --locked --format-version 1 --filter-platform "$$(rustc -vV | sed -n 's/^host: //p')" | \
	    grep -o '[^"]*/zstd-sys-[^/"]*/Cargo.toml' | sort -u | xargs dirname); \
	$(subst debug/agentsight,release/agentsight,$(AS_ROOT)) test --package agentsight-tests --test cost

bench-store: deps ## Measure ingest and questions with a million spans in the store (minutes, and 3 GB of disk)
	@$(CARGO) bench --package agentsight --bench store

bench-hooks: deps ## Measure what the hooks on system calls add to a call, on this machine (2 minutes)
	@$(AS_ROOT) bench --package agentsight-ebpf --bench hooks

bench-content: build ## Measure what capturing contents costs, on and off, and how much of a GiB is lost (5 minutes; PAIRS=3 for less)
	@$(AS_ROOT) bench --package agentsight-ebpf --bench hooks -- contents
	@$(subst debug/agentsight,release/agentsight,$(AS_ROOT)) test --package agentsight-tests --test content_cost

fuzz: deps ## Feed the pipeline arbitrary bytes of the kernel's for a while (MINUTES=10)
	@AGENTSIGHT_FUZZ_MINUTES=$(or $(MINUTES),10) $(CARGO) test --package agentsight --test fuzz -- --ignored --nocapture

build: deps ## Build the program: target/release/agentsight
	@$(CARGO) build --release --package agentsight --bin agentsight

# With a target named, the flags are for the program alone, not for build scripts.
PROFILE ?= release
STATIC_TARGET := x86_64-unknown-linux-gnu
static: deps ## Build the program as one static file, for images and packages: target/package/agentsight
	@RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --locked --profile $(PROFILE) --target $(STATIC_TARGET) \
	    --package agentsight --bin agentsight
	@mkdir -p $(CURDIR)/target/package
	@install -m 755 $(TARGET_DIR)/$(STATIC_TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/agentsight $(CURDIR)/target/package/agentsight
	@$(if $(filter dev,$(PROFILE)),strip --strip-debug $(CURDIR)/target/package/agentsight)

package: static ## Make the packages: target/package/*.tar.gz, *.deb, *.rpm and SHA256SUMS
	@PROFILE=$(PROFILE) packaging/make.sh $(CURDIR)/target/package

deps: ## Install what building needs and this machine lacks (by apt)
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing. Install it from https://rustup.rs, then run this again." >&2; exit 1; }
	@tests/install-missing.sh <<<"$$BUILD_NEEDS"

test-deps: deps ## Install what the tests need besides
	@tests/install-missing.sh <<<"$$TEST_NEEDS"

lint: deps ## Check format and lints, of Rust and of C
	@tests/install-missing.sh <<<"$$LINT_NEEDS"
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@git ls-files -z '*.bpf.c' '*.h' | xargs -0 --no-run-if-empty clang-format --dry-run -Werror

fmt: ## Format Rust and C
	@tests/install-missing.sh <<<"$$LINT_NEEDS"
	@$(CARGO) fmt --all
	@git ls-files -z '*.bpf.c' '*.h' | xargs -0 --no-run-if-empty clang-format -i

snapshots: ## Rewrite the expected texts of the tests that need no root; read the diff before you commit it
	@UPDATE_EXPECT=1 $(CARGO) test --workspace --lib
	@UPDATE_EXPECT=1 $(CARGO) test --package agentsight-tests --test recordings

scenario-recordings: test-deps ## Record every scenario anew, live; asks for sudo
	@$(CARGO) build --workspace --bin agentsight
	@export SCENARIO_RECORDINGS=$(CURDIR)/tests/scenarios/recordings; $(TEST_AS_ROOT) --package agentsight-tests --test scenarios

jaeger: ## Build the Jaeger that the tests send to (about 10 minutes, once)
	@tests/backends/jaeger/build.sh

otelcol: ## Build the OpenTelemetry Collector that the tests send through (about 5 minutes, once)
	@tests/backends/otelcol/build.sh

python-sdk: ## Install the OpenTelemetry SDK that the tests send with (once)
	@tests/backends/python-sdk/build.sh

schemathesis: ## Install the fuzzer of the API's document that the tests use (once)
	@tests/backends/schemathesis/build.sh

clean: ## Remove what was built here; the cache of test backends stays
	@$(CARGO) clean
