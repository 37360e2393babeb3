#!/usr/bin/env bash
# Installs the package, runs what it installed, takes it away again, and looks for what is left.
#
#   packaging/test.sh PACKAGE.deb MAILSERVER
#
# MAILSERVER is the program of examples/mailserver. Needs root on Debian, curl, python3, logrotate, man and pgrep. It changes the system that it
# runs on for some seconds, so it refuses to where there is a Gatepost already. systemd does not have to run: where it
# does not, the program is started by hand.
set -euo pipefail

deb=${1:?} mailserver=${2:?}
program=/usr/sbin/gatepost conf=/etc/gatepost/gatepost.conf users=/etc/gatepost/users
log=/var/log/gatepost/error.log pid_file=/run/gatepost.pid
work=$(mktemp -d)
imap= # the port where it listens

main() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    command -v dpkg >/dev/null || skip "needs Debian"
    refuse_to_replace
    trap clean_up EXIT
    traces >"$work/before"
    step installs
    step the configuration is good as installed
    step the unit is good
    step manual and completion work
    step starts and lets users in
    step reloads
    step gives way to another binary and goes on
    step comes back when it is killed
    step opens logs anew after they are rotated
    step keeps what was changed when it is installed again
    step stops when it is removed
    step leaves nothing when it is purged
    echo "package: all is well"
}

refuse_to_replace() {
    local place
    for place in $program ${conf%/*} ${log%/*}; do
        [ ! -e "$place" ] || fail "there is a Gatepost on this system: $place"
    done
}

# A step is the function of that name.
step() {
    local words="$*"
    echo "package: $words"
    "${words// /_}"
}

installs() {
    install_package
    ! systemd_runs || same "$(systemctl is-active gatepost)" active
    same "$(stat -c '%U:%G %a' $users)" "root:root 600"
    same "$(stat -c '%U:%G %a' $log)" "gatepost:adm 640"
    same "$(stat -c '%U:%G %a' ${log%/*})" "root:adm 755"
    same "$(getent passwd gatepost | cut -d: -f6,7)" "/nonexistent:/usr/sbin/nologin"
    [ -L /etc/systemd/system/multi-user.target.wants/gatepost.service ] || fail "the unit is not enabled"
}

the_configuration_is_good_as_installed() {
    same "$($program -t 2>&1)" "gatepost: the configuration file $conf syntax is ok
gatepost: configuration file $conf test is successful"
    # One mistake is found, so the test is one.
    ! $program -t -q -g 'nonsense;' 2>/dev/null || fail "-t takes nonsense"
}

the_unit_is_good() {
    if ! command -v systemd-analyze >/dev/null; then
        echo "package: no systemd-analyze, the unit is not looked at"
        return
    fi
    same "$(systemd-analyze verify --man=no gatepost.service \
        /usr/share/doc/gatepost/examples/gatepost.socket 2>&1 | grep gatepost || true)" ""
}

manual_and_completion_work() {
    # Small systems leave manuals out when they install, so this is the package's.
    dpkg-deb --fsys-tarfile "$deb" | tar -x --to-stdout ./usr/share/man/man8/gatepost.8.gz >"$work/gatepost.8.gz"
    same "$(man --warnings --local-file "$work/gatepost.8.gz" 2>&1 >/dev/null)" ""
    same "$(complete_words gatepost -s re)" "reload reopen"
    same "$(complete_words gatepost passwd --al)" "--algorithm"
}

# What bash offers for the last of these words.
complete_words() {
    # shellcheck source=/dev/null
    source /usr/share/bash-completion/completions/gatepost
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _gatepost gatepost "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}" | sort | paste -s -d ' '
}

starts_and_lets_users_in() {
    coproc mail { exec "$mailserver" --until-eof; }
    local listening pop3 smtp
    read -r _ listening _ <&"${mail[0]}"
    echo wonderland | $program passwd alice "${listening#imap=}" >>$users
    read -r imap pop3 smtp < <(free_ports)
    sed -i "s/:143;/:$imap;/; s/:110;/:$pop3;/; s/:587;/:$smtp;/; s/error.log notice;/error.log info;/" $conf
    if systemd_runs; then systemctl restart gatepost || fail "systemctl restart"; else $program; fi
    logs_in
    same "$(owners | grep -c "^$(id -u gatepost)$")" 1
}

reloads() {
    local first=$imap
    read -r imap _ < <(free_ports)
    sed -i "s/listen 127.0.0.1:$first;/&\n        listen 127.0.0.1:$imap;/" $conf
    $program -s reload
    logs_in
    cp $conf "$work/good"
    echo 'nonsense;' >>$conf
    ! $program -s reload 2>/dev/null || fail "-s reload takes nonsense"
    if systemd_runs; then
        ! systemctl reload gatepost 2>/dev/null || fail "systemctl reload takes nonsense"
        journalctl --unit gatepost | grep -q 'unknown directive "nonsense"' || fail "the journal does not say why"
        cp "$work/good" $conf
        systemctl reload gatepost || fail "systemctl reload"
    fi
    cp "$work/good" $conf
    logs_in
}

gives_way_to_another_binary_and_goes_on() {
    local old
    old=$(cat $pid_file)
    kill -USR2 "$old"
    await other_pid_than "$old"
    await worker_of "$(cat $pid_file)"
    kill -QUIT "$(cat $pid_file.oldbin)"
    await ended "$old"
    logs_in
    if systemd_runs; then
        same "$(systemctl show --property ActiveState,MainPID gatepost)" "MainPID=$(cat $pid_file)"$'\n'ActiveState=active
        systemctl reload gatepost || fail "systemctl reload after the upgrade"
    fi
}

comes_back_when_it_is_killed() {
    local master worker
    master=$(cat $pid_file)
    worker=$(pgrep -P "$master")
    kill -KILL "$worker"
    await ended "$worker"
    logs_in
    if systemd_runs; then
        kill -KILL "$master"
        await other_pid_than "$master"
        await logs_in_quietly
    fi
}

other_pid_than() {
    local pid
    pid=$(cat $pid_file 2>/dev/null) && [ -n "$pid" ] && [ "$pid" != "$1" ]
}

worker_of() {
    [ "$(pgrep -P "$1" -u gatepost | wc -l)" = 1 ]
}

ended() {
    [ ! -e "/proc/$1/exe" ]
}

# Until that is so.
await() {
    local _
    for _ in {1..100}; do
        ! "$@" || return 0
        sleep 0.1
    done
    fail "in vain: $*"
}

opens_logs_anew_after_they_are_rotated() {
    logrotate --force --state "$work/logrotate" /etc/logrotate.d/gatepost
    [ -s $log.1 ] || fail "nothing was rotated"
    same "$(stat -c '%U:%G %a' $log)" "gatepost:adm 640"
    # The signal is on its way: a login before it arrives is logged where it was.
    for _ in {1..100}; do
        logs_in
        [ ! -s $log ] || return 0
    done
    fail "nothing is written to the new log"
}

keeps_what_was_changed_when_it_is_installed_again() {
    local before
    before=$(md5sum $conf $users)
    install_package
    same "$(md5sum $conf $users)" "$before"
    logs_in
}

stops_when_it_is_removed() {
    quietly dpkg --remove gatepost
    same "$(owners)" ""
    [ ! -e $pid_file ] || fail "$pid_file is still there"
    same "$(ls -A /etc/gatepost)" "gatepost.conf"$'\n'users
}

leaves_nothing_when_it_is_purged() {
    quietly dpkg --purge gatepost
    same "$(traces | comm -13 "$work/before" -)" ""
    same "$(owners)" ""
}

install_package() {
    quietly dpkg --install "$deb"
}

# Of a log in, what counts is that the mail server's folders are seen.
logs_in() {
    said=$(list_folders 2>&1) || fail "$said"
    [[ $said == *INBOX* ]] || fail "no INBOX: $said"
}

logs_in_quietly() {
    list_folders >/dev/null 2>&1
}

list_folders() {
    curl --silent --show-error --max-time 20 --user alice:wonderland "imap://127.0.0.1:$imap/"
}

systemd_runs() {
    [ -d /run/systemd/system ]
}

free_ports() {
    python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(socket.getsockname()[1] for socket in sockets))'
}

# The user ids of the processes that run the installed program.
owners() {
    local process
    for process in /proc/[0-9]*; do
        if [[ $(readlink "$process/exe") == "$program"* ]]; then
            awk '/^Uid:/ { print $3 }' "$process/status"
        fi
    done 2>/dev/null || true
}

# Everything on this system that is called after Gatepost, sorted.
traces() {
    {
        find /etc /run /usr /var/lib/dpkg/info /var/lib/systemd /var/log -name '*gatepost*' 2>/dev/null || true
        getent passwd gatepost || true
        getent group gatepost || true
    } | sort
}

clean_up() {
    dpkg --purge gatepost >/dev/null 2>&1 </dev/null || true
    rm -rf "$work"
}

# Shows what a command says only if it fails.
quietly() {
    "$@" >"$work/said" 2>&1 </dev/null || {
        cat "$work/said" >&2
        fail "$*"
    }
}

same() {
    [ "$1" = "$2" ] || fail "this: $1"$'\n'"should be: $2"
}

skip() {
    echo "package: not tested, $1"
    exit 0
}

fail() {
    echo "package: FAILED: $*" >&2
    [ ! -e $log ] || tail -n 20 $log >&2
    ! systemd_runs || journalctl --no-pager --lines 20 --unit gatepost >&2
    exit 1
}

main
