# `make help` says what there is.

CARGO ?= cargo
# DEMO_ONCE=1: end after the transcript.
DEMO_ONCE ?=
# NO_INSTALL=1: `make test` does not install what is missing, and fails where it is needed.
NO_INSTALL ?=

# cargo-nextest if it is there: each test in its own process, and one summary.
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
ifeq ($(NEXTEST),yes)
RUN_TESTS = $(CARGO) nextest run --no-fail-fast
else
RUN_TESTS = $(CARGO) test --no-fail-fast
endif

.PHONY: help demo test test-deps test-nginx test-gatepost lint clean

help: ## This list.
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Builds Gatepost and runs it in front of sample mail servers, until Ctrl-C (DEMO_ONCE=1: until the transcript ends).
	@$(CARGO) build --bin gatepost --example mailserver --example demo
	@exec "$${CARGO_TARGET_DIR:-target}/debug/examples/demo" $(if $(DEMO_ONCE),--once)

test: test-deps ## Runs every test, after installing what is missing (Debian): units, wire tests against nginx and Gatepost, real servers and clients, the demo.
	$(MAKE) test-nginx
	$(MAKE) test-gatepost

test-deps:
	$(if $(NO_INSTALL),-scripts/test-deps.sh --check,scripts/test-deps.sh)

# The tests that say what nginx does, against Debian's nginx itself.
test-nginx:
	SUBJECT=nginx $(RUN_TESTS) --test wire --test config

# Everything, against Gatepost. The summary of this run is the last thing to be seen.
test-gatepost:
	$(CARGO) test --workspace --doc --quiet
	$(RUN_TESTS) --workspace

lint: ## Formatting, clippy, documentation, and shellcheck if it is there.
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; else echo "shellcheck is not there: not run"; fi

clean: ## Removes what was built.
	$(CARGO) clean
