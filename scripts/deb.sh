#!/usr/bin/env bash
# Builds the Debian package, after building cargo-deb (which takes half a minute) if it is not there. Prints where the
# package is.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.8.0
target=${CARGO_TARGET_DIR:-target}
tools=$target/tools

main() {
    command -v dpkg-deb >/dev/null || die "needs Debian, or one of its kin"
    [ -x "$tools/bin/cargo-deb" ] || build_cargo_deb
    "${CARGO:-cargo}" build --release --locked --bin gatepost >&2
    "$tools/bin/cargo-deb" --no-build --strip --quiet --compress-system --output "$target/debian/"
}

# Unoptimised and with the system's xz, which is quicker than building either.
build_cargo_deb() {
    "${CARGO:-cargo}" install cargo-deb --version "$version" --locked --debug --no-default-features \
        --root "$tools" --target-dir "$tools/build" >&2
}

die() {
    echo "deb.sh: $*" >&2
    exit 1
}

main
