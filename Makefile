# `make check` before every commit, `make test` before every push. CONTRIBUTING.md says what each holds.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

CARGO ?= cargo
CHROMIUM ?= $(firstword $(wildcard /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome))
# The server that the browser tests start a network of.
FBA_BIN ?= $(abspath $(or $(CARGO_TARGET_DIR),target)/debug/fba)
# Folders or files with recorded traces, for `make replay`.
TRACES ?=

# Written by npm with every install, so it is older than the lockfile exactly when an install is due.
WEB_PACKAGES := web/node_modules/.package-lock.json

.PHONY: help check fix test bench faults guide demo replay deny chromium

help: ## this list
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 10

check: $(WEB_PACKAGES) ## format, lints, documentation and types; writes nothing
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p fba-server --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	cd web && npm run --silent check

fix: ## format, and apply what clippy can mend by itself
	$(CARGO) clippy --locked --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

test: chromium $(WEB_PACKAGES) ## every test; installs what it needs
	$(CARGO) test --locked --workspace
	$(CARGO) build --locked --workspace --bin fba
	cd web && CHROMIUM="$(CHROMIUM)" FBA_BIN="$(FBA_BIN)" npm run --silent e2e

bench: ## figures of a whole network on this machine: latency, throughput, the cost of replication
	$(CARGO) build --locked --release -p fba-tests --bins
	$(CARGO) run --locked --release -p fba-tests --bin bench -- latency
	$(CARGO) run --locked --release -p fba-tests --bin bench -- throughput
	$(CARGO) run --locked --release -p fba-tests --bin bench -- replicated

faults: ## servers struck by every kind of fault, at length: half an hour and more
	$(CARGO) build --locked --release -p fba-tests --bin faults
	for fault in kills lost-votes fsync full-disk pauses clock corruption; do \
	  $(CARGO) run --locked --release -p fba-tests --bin faults -- $$fault; \
	done

guide: ## follow docs/operators.md word for word, with network namespaces as machines; needs root
	$(CARGO) build --locked -p fba-server --bin fba
	tests/operators-guide.sh "$(FBA_BIN)"

demo: ## four organisations' servers on this machine, closing ledgers
	$(CARGO) run --locked --release -- demo

replay: ## recorded traces against the core: make replay TRACES=folder
	@[[ -n "$(TRACES)" ]] || { echo "name the traces: make replay TRACES=folder" >&2; exit 64; }
	$(CARGO) run --locked --release -p fba-tests --bin replay -- $(TRACES)

deny: ## licences, sources and advisories of every dependency; needs cargo-deny and the network
	$(CARGO) deny --locked check

# The browser tests need Chromium, which npm cannot bring. Where it cannot be installed, they say SKIPPED.
chromium:
ifeq ($(wildcard $(CHROMIUM)),)
	@if [[ $$(id -u) == 0 ]] && grep -qs '^ID=debian' /etc/os-release; then \
	  echo "installing Chromium by apt (needed for browser tests)"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get -qq -o Acquire::Retries=3 update; \
	  apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else \
	  echo "browser tests need Chromium: install it (Debian: apt install chromium), or set CHROMIUM to its path" >&2; \
	fi
endif

$(WEB_PACKAGES): web/package.json web/package-lock.json web/.npmrc
	@command -v npm >/dev/null || { echo "the dashboard needs Node 20.19 or newer with npm: https://nodejs.org" >&2; exit 69; }
	cd web && CI=1 npm ci --include=dev --prefer-offline --no-audit --no-fund
	@touch $@
