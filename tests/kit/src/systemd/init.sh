#!/bin/sh
# Process 1 of the namespaces: makes a private /run, /var/lib and /var/log, and private control groups, then becomes
# systemd, which finds no unit but those of the test. Arguments: directory of the namespace; `unified` or `native`, as in
# guardian.sh.
set -eu
directory=$1
hierarchy=$2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /run/dbus /run/systemd/system

# What systemd has to say goes to a file. The machine's own console is slow, and would hold systemd up at every line.
: >"$directory/console.log"
mount --bind "$directory/console.log" /dev/console

# Mounted anew inside the cgroup namespace, a hierarchy shows only our own part of it.
if [ "$hierarchy" = unified ] || [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    [ ! -e /sys/fs/cgroup/unified/cgroup.procs ] && unified= || unified=yes
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    if [ -n "$unified" ]; then
        mkdir /sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    fi
fi

systemd=/lib/systemd/systemd
[ -x "$systemd" ] || systemd=/usr/lib/systemd/systemd
exec env -i container=dixmgr-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SYSTEMD_UNIT_PATH="/run/systemd/system:$directory/units" \
    SYSTEMD_GENERATOR_PATH=/nonexistent SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent \
    "$systemd" --system --unit=basic.target --log-target=console --show-status=no
