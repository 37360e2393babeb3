#!/usr/bin/env bash
# Runs packaging/test.sh where systemd is in charge: boots it in a copy of this system.
#
#   packaging/systemd-test.sh PACKAGE.deb MAILSERVER
#
# The copy is an overlay in memory with processes, a network and a control group of its own, so nothing of this system
# changes. Needs root, systemd and overlayfs. Where that is not to be had, as in most containers, it says so and ends well.
set -euo pipefail

mode=${1:?}
limit=300 # seconds for all of it

main() {
    here=$(dirname "$(realpath "$0")")
    package=$(realpath "$1") mailserver=$(realpath "$2")
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -x /lib/systemd/systemd ] || skip "there is no systemd"
    command -v ip >/dev/null || skip "there is no program ip"
    grep -qw overlay /proc/filesystems || skip "there is no overlayfs"
    unshare --mount --pid --fork true 2>/dev/null || skip "there may be no namespaces here"
    groups=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET) || skip "there is no cgroup2"
    group=$groups/gatepost-test.$$
    mkdir "$group" 2>/dev/null || skip "there may be no control group here"
    work=$(mktemp -d)
    mkdir "$work/copy" "$work/out"
    trap clean_up EXIT
    # Wherever they are, below /tmp for example, the copy has them.
    cp "$here/test.sh" "$package" "$mailserver" "$work/out"
    echo "systemd: boots"
    # The subshell alone moves to the group.
    (
        echo $BASHPID >"$group/cgroup.procs"
        exec timeout --kill-after=5 $limit unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child \
            --propagation private "$0" --boot "$work" /out/test.sh "/out/${package##*/}" "/out/${mailserver##*/}"
    ) </dev/null >"$work/out/console" 2>&1 || true
    cat "$work/out/log" 2>/dev/null || true
    if [ "$(cat "$work/out/status" 2>/dev/null)" != 0 ]; then
        tail -n 40 "$work/out/console" >&2
        fail "see above"
    fi
    echo "systemd: all is well"
}

# In the namespaces: makes the copy, and becomes systemd there.
boot() {
    local work=$1 copy=$1/copy
    shift
    mount -t tmpfs tmpfs "$copy"
    mkdir "$copy/changes" "$copy/scratch" "$copy/root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$copy/changes,workdir=$copy/scratch" "$copy/root"
    cd "$copy/root"
    mkdir out
    mount --bind "$work/out" out
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    make_devices
    ip link set lo up
    make_units "$@"
    pivot_root . mnt
    umount --lazy /mnt
    exec env -i container=gatepost-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=0
}

make_devices() {
    local device
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        touch dev/$device
        mount --bind /dev/$device dev/$device
    done
    mkdir dev/shm dev/pts
    ln -s /proc/self/fd dev/fd
    ln -s pts/ptmx dev/ptmx
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
}

# One service that runs the test and ends it all. What would change the kernel's settings is masked.
make_units() {
    local unit units=etc/systemd/system
    for unit in systemd-{sysctl,modules-load,remount-fs,update-utmp}.service; do
        ln -sf /dev/null "$units/$unit"
    done
    # Debian's switch against services that start when they are installed.
    rm -f usr/sbin/policy-rc.d
    cat >$units/test.service <<UNIT
[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
StandardOutput=append:/out/log
StandardError=append:/out/log
ExecStart=/bin/sh -c '"\$\$@"; echo \$\$? >/out/status' sh $*
ExecStopPost=systemctl --no-block exit 0
UNIT
    printf '[Unit]\nRequires=test.service\n' >$units/test.target
}

clean_up() {
    # Empty groups of the services that ran.
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    rm -rf "$work"
}

skip() {
    echo "systemd: not tested, $1"
    exit 0
}

fail() {
    echo "systemd: FAILED: $*" >&2
    exit 1
}

if [ "$mode" = --boot ]; then
    shift
    boot "$@"
else
    main "$@"
fi
