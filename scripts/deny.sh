#!/usr/bin/env bash
# Checks the crates that Gatepost is built from against deny.toml, after building cargo-deny (a few minutes) if it is not
# there. Without the database of advisories, which is fetched with git, the rest is checked.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
database=https://github.com/RustSec/advisory-db
tools=${CARGO_TARGET_DIR:-target}/tools

main() {
    deny=$(command -v cargo-deny || echo "$tools/bin/cargo-deny")
    [ -x "$deny" ] || build_cargo_deny
    "$deny" check licenses bans sources
    if git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
        "$deny" check advisories
    else
        echo "advisories are not checked: $database cannot be reached"
    fi
}

build_cargo_deny() {
    "${CARGO:-cargo}" install cargo-deny --version "$version" --locked --debug --root "$tools" \
        --target-dir "$tools/build"
}

main
