#!/usr/bin/env bash
# Installs what cargo needs to build Gatepost and does not fetch by itself, on Debian and Ubuntu: only what is missing.
# Elsewhere, or without root and sudo, it says what is missing.
set -euo pipefail

main() {
    local missing=()
    # The linker, and the compiler of the few C sources among the crates.
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    # The crate `openssl` builds on the system's library, which pkg-config finds.
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    has_openssl || missing+=(libssl-dev)
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "to build Gatepost, install what Debian calls: ${missing[*]}"
    become_root "${missing[@]}"
    echo "installing, to build Gatepost: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

has_openssl() {
    [ -n "${OPENSSL_DIR-}" ] || pkg-config --exists openssl 2>/dev/null
}

become_root() {
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null || die "to build Gatepost, install as root: apt-get install $*"
    exec sudo -- "$(realpath "$0")"
}

die() {
    echo "build-deps.sh: $*" >&2
    exit 1
}

main
