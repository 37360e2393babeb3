#!/usr/bin/env bash
# Installs what cargo needs to build Gatepost and does not fetch by itself, on Debian and Ubuntu: only what is missing.
# Elsewhere, or without root and sudo, it says what is missing.
#
#   scripts/build-deps.sh          for TLS by the system's OpenSSL
#   scripts/build-deps.sh aws-lc   for TLS by AWS-LC too (the feature of that name), whose sources the build compiles
set -euo pipefail

main() {
    local missing=()
    # The linker, and the compiler of the few C sources among the crates.
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    # The crate `openssl` builds on the system's library, which pkg-config finds.
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    has_openssl || missing+=(libssl-dev)
    [ "${1-}" != aws-lc ] || for_aws_lc
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "to build Gatepost, install what Debian calls: ${missing[*]}"
    become_root "$@"
    echo "installing, to build Gatepost: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

for_aws_lc() {
    # Its own build system, and its C++ half, which is TLS.
    command -v cmake >/dev/null || missing+=(cmake)
    command -v c++ >/dev/null || missing+=(g++)
    # bindgen reads its headers with libclang, and asks clang where the system's are.
    command -v clang >/dev/null || missing+=(clang)
    has_libclang || missing+=(libclang-dev)
}

has_libclang() {
    [ -n "${LIBCLANG_PATH-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null
}

has_openssl() {
    [ -n "${OPENSSL_DIR-}" ] || pkg-config --exists openssl 2>/dev/null
}

become_root() {
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null || die "to build Gatepost, install as root: apt-get install ${missing[*]}"
    exec sudo -- "$(realpath "$0")" "$@"
}

die() {
    echo "build-deps.sh: $*" >&2
    exit 1
}

main "$@"
