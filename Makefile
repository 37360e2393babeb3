# `make help` says what there is.

CARGO ?= cargo
# DEMO_ONCE=1: end after the transcript.
DEMO_ONCE ?=
# NO_INSTALL=1: nothing is installed; what needs something that is missing fails.
NO_INSTALL ?=

# cargo-nextest if it is there: each test in its own process, and one summary.
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
ifeq ($(NEXTEST),yes)
RUN_TESTS = $(CARGO) nextest run --no-fail-fast
else
RUN_TESTS = $(CARGO) test --no-fail-fast
endif

# In a directory of its own, so that the one build does not make the other's crates anew.
AWS_LC = --features aws-lc --target-dir "$${CARGO_TARGET_DIR:-target}/aws-lc"

.PHONY: build-deps-aws-lc help demo test test-deps test-nginx test-package test-aws-lc test-gatepost bench soak fuzz deny deb build-aws-lc lint build-deps clean

help: ## This list.
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: build-deps ## Builds Gatepost and runs it in front of sample mail servers, until Ctrl-C (DEMO_ONCE=1: until the transcript ends).
	@$(CARGO) build --bin gatepost --example mailserver --example demo
	@exec "$${CARGO_TARGET_DIR:-target}/debug/examples/demo" $(if $(DEMO_ONCE),--once)

test: build-deps test-deps ## Runs every test, after installing what is missing (Debian): units, wire tests against nginx and Gatepost, real servers and clients, the demo, the package, TLS on AWS-LC.
	$(MAKE) test-nginx
	$(MAKE) test-package
	$(MAKE) test-aws-lc
	$(MAKE) test-gatepost

test-deps:
	$(if $(NO_INSTALL),-scripts/test-deps.sh --check,scripts/test-deps.sh)

# The tests that say what nginx does, against Debian's nginx itself.
test-nginx:
	SUBJECT=nginx $(RUN_TESTS) --test wire --test security --test config

# The Debian package, where it can be installed: as root on Debian. Once more with systemd, where that can be booted.
test-package: build-deps
	@if [ "$$(id -u)" = 0 ] && command -v dpkg-deb >/dev/null; then \
		$(CARGO) build --example mailserver && \
		package=$$(scripts/deb.sh) && \
		packaging/test.sh "$$package" "$${CARGO_TARGET_DIR:-target}/debug/examples/mailserver" && \
		packaging/systemd-test.sh "$$package" "$${CARGO_TARGET_DIR:-target}/debug/examples/mailserver"; \
	else echo "the package is not tested: that needs root, on Debian"; fi

# What depends on the library that TLS comes from, built on AWS-LC.
test-aws-lc: build-deps-aws-lc
	$(CARGO) clippy $(AWS_LC) --bin gatepost -- -D warnings
	$(RUN_TESTS) $(AWS_LC) --bin gatepost --test config
	$(RUN_TESTS) $(AWS_LC) --test wire --test security --test real -- tls:: security:: memory::

# Everything, against Gatepost. The summary of this run is the last thing to be seen.
test-gatepost:
	$(CARGO) test --workspace --doc --quiet
	$(RUN_TESTS) --workspace --all-targets

soak: build-deps ## Gatepost under everything at once: all protocols, TLS, failing servers, reloads, deaths; every byte checked (SOAK_SECONDS=600).
	$(CARGO) build --release --bin gatepost --example soak
	@exec "$${CARGO_TARGET_DIR:-target}/release/examples/soak"

fuzz: build-deps ## Fuzzes every parser and machine, a minute each (FUZZ_SECONDS=60).
	@scripts/fuzz.sh

deny: ## Checks the crates that Gatepost is built from: licences, versions, sources, advisories. Builds cargo-deny if it is missing.
	@scripts/deny.sh

deb: build-deps ## Builds the Debian package in target/debian/, and cargo-deb if it is missing.
	@scripts/deb.sh

build-aws-lc: build-deps-aws-lc ## Builds Gatepost on AWS-LC instead of the system's OpenSSL: target/aws-lc/release/gatepost.
	$(CARGO) build --release $(AWS_LC)

bench: build-deps ## Compares Gatepost's CPU time and memory with nginx's, in ten minutes (QUICK=1: one; docs/performance.md has more).
	$(CARGO) build --release --bin gatepost
	$(CARGO) build --release --example bench
	@exec "$${CARGO_TARGET_DIR:-target}/release/examples/bench"

lint: build-deps ## Formatting, clippy, documentation, and shellcheck if it is there.
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml -- --check
	RUSTFLAGS="--cfg fuzzing" $(CARGO) clippy --manifest-path fuzz/Cargo.toml --no-default-features --locked --target-dir "$${CARGO_TARGET_DIR:-target}/fuzz" --bins -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh packaging/*.sh packaging/debian/p* packaging/completion/*.bash .ci/run; else echo "shellcheck is not there: not run"; fi

# What the build needs besides cargo: a C compiler and OpenSSL's headers.
build-deps:
	@$(if $(NO_INSTALL),:,scripts/build-deps.sh)

# What AWS-LC needs, besides.
build-deps-aws-lc:
	@$(if $(NO_INSTALL),:,scripts/build-deps.sh aws-lc)

clean: ## Removes what was built.
	$(CARGO) clean
