#!/bin/sh
# Runs one systemd in namespaces of its own, and ends it when standard input closes: whatever way the test dies,
# nothing stays behind. Prints the pid of unshare(1). Arguments: directory of the namespace, a unique name, and `unified`
# for the control groups of today (version 2) on a machine that has the old ones mounted, or `native` for what it has.
#
# systemd gets a control group of its own, so that namespaces side by side cannot see each other's units.
set -eu
directory=$1
name=$2
hierarchy=$3
own_mount=

own_group() { # hierarchy as in /proc/self/cgroup ("0::" or "N:name=systemd:") -> path
    sed -n "s/^$1//p" /proc/self/cgroup | sed 's,/$,,'
}
groups=
enter() { # mount point, own path below it
    group=$1$2/$name
    mkdir "$group"
    echo $$ >"$group/cgroup.procs"
    groups="$groups $group"
}
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    enter /sys/fs/cgroup "$(own_group 0::)"
elif [ "$hierarchy" = unified ]; then
    # The kernel has it, it is only not mounted. It is for as long as we need it, so that nothing stays mounted.
    own_mount=$(mktemp -d)
    mount -t cgroup2 cgroup2 "$own_mount"
    enter "$own_mount" "$(own_group 0::)"
    umount "$own_mount"
else
    [ ! -e /sys/fs/cgroup/unified/cgroup.procs ] || enter /sys/fs/cgroup/unified "$(own_group 0::)"
    [ ! -e /sys/fs/cgroup/systemd/cgroup.procs ] || enter /sys/fs/cgroup/systemd "$(own_group '[0-9]*:name=systemd:')"
fi

unshare --pid --mount --ipc --uts --cgroup --fork --kill-child --mount-proc \
    sh "$directory/init.sh" "$directory" "$hierarchy" </dev/null >"$directory/systemd.log" 2>&1 &
unshare=$!
echo "$unshare"

read -r _ || true
kill -KILL "$unshare" 2>/dev/null || true
wait "$unshare" 2>/dev/null || true

[ -z "$own_mount" ] || mount -t cgroup2 cgroup2 "$own_mount"
# The kernel takes a moment to empty the groups of a namespace that was killed. This shell leaves its own first.
for group in $groups; do
    echo $$ >"${group%/*}/cgroup.procs"
    tries=0
    while [ -d "$group" ] && [ $tries -lt 50 ]; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
        tries=$((tries + 1))
    done
done
[ -z "$own_mount" ] || { umount "$own_mount" && rmdir "$own_mount"; }
