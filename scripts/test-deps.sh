#!/usr/bin/env bash
# Installs what the tests run beside Gatepost, on Debian and Ubuntu: only what is missing, and nothing is started.
#
#   scripts/test-deps.sh           install
#   scripts/test-deps.sh --check   only say what is missing; status 1 if something is
#
# Needs root, or sudo. The system's own services keep the state they had: the tests start private instances, with
# their own configuration, directories and ports.
set -euo pipefail

# package            what the tests use it for
packages=(
    nginx             # the reference: the wire tests run against it too
    libnginx-mod-mail # nginx's mail proxy
    dovecot-imapd     # mail server behind the proxy: IMAP
    dovecot-pop3d     #   POP3
    dovecot-lmtpd     #   takes the messages that Postfix delivers
    dovecot-submissiond # submission
    postfix           # mail server behind the proxy: SMTP with XCLIENT and PROXY protocol
    openssl           # makes the certificates; and s_client
    gnutls-bin        # clients in front: gnutls-cli
    curl
    isync             #   mbsync
    fetchmail
    swaks
    libnet-ssleay-perl #  TLS for it
    mutt
    python3           #   imaplib, poplib, smtplib
    libsasl2-modules  #   PLAIN, LOGIN and CRAM-MD5 for mbsync and mutt
    bsdutils          # script: a terminal for mutt
    dpkg-dev          # which libraries the Debian package depends on
    logrotate         # the package's test
    man-db            #   the manual page
    procps            #   pgrep
)

policy=/usr/sbin/policy-rc.d

main() {
    local missing
    mapfile -t missing < <(missing_packages)
    if [ "${#missing[@]}" = 0 ]; then
        return 0
    fi
    if [ "${1-}" = --check ]; then
        echo "missing for the tests: ${missing[*]}"
        return 1
    fi
    command -v apt-get >/dev/null || die "needs apt-get; on this system, install by hand: ${missing[*]}"
    become_root "$@"
    echo "installing for the tests: ${missing[*]}"
    hold_services
    preseed_postfix
    install "${missing[@]}"
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

become_root() {
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null || die "needs root to install packages, and there is no sudo: run it as root"
    exec sudo -- "$(realpath "$0")" "$@"
}

# Debian starts a service when its package is installed, unless this script answers 101, "forbidden by policy".
hold_services() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
}

# Postfix asks what kind of site this is: leave the system's instance without a configuration.
preseed_postfix() {
    command -v debconf-set-selections >/dev/null || return 0
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
    # A fresh image has no package lists, an old one lists of packages that are gone.
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "$@"
}

die() {
    echo "test-deps.sh: $*" >&2
    exit 1
}

main "$@"
