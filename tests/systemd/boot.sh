#!/bin/bash
# systemd as the first process of namespaces of its own, over this host's files: what it writes goes
# to a disk of its own. Run in new mount, pid, uts, ipc and cgroup namespaces, with the directory of
# that disk.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
disk=$1
new=$disk/root

mount --make-rprivate /
mkdir -p "$disk"/{root,upper,work,docker,live}
groups=$(awk '{ n = split($0, part, " - "); split(part[1], f, " "); split(part[2], g, " ")
  if (g[1] == "cgroup") { sub(/.*\//, "", f[5]); o = g[3]; sub(/^rw,?/, "", o); print "v1", f[5], o }
  if (g[1] == "cgroup2") { sub(/.*\//, "", f[5]); print "v2", f[5], "-" } }' /proc/self/mountinfo)

mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$new"
mount -t proc proc "$new/proc"
mount -t sysfs sysfs "$new/sys"
mount -t tmpfs -o mode=0755 tmpfs "$new/dev"
mount -t tmpfs -o mode=0755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
mkdir "$new"/dev/{pts,shm,mqueue}
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$new/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"
ln -s pts/ptmx "$new/dev/ptmx"
ln -s /proc/self/fd "$new/dev/fd"
ln -s fd/0 "$new/dev/stdin"
ln -s fd/1 "$new/dev/stdout"
ln -s fd/2 "$new/dev/stderr"
for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "kmsg 1 11" "loop-control 10 237"; do
  read -r name major minor <<<"$node"
  mknod -m 0666 "$new/dev/$name" c "$major" "$minor"
done
chmod 0600 "$new/dev/loop-control" "$new/dev/kmsg"
# the kernel makes a node for each loop device in the host's /dev alone
for number in {0..255}; do mknod -m 0660 "$new/dev/loop$number" b 7 "$number"; done

mount -t tmpfs -o mode=0755 tmpfs "$new/sys/fs/cgroup"
if [[ $groups == "v2 cgroup -" ]]; then
  mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
else
  while read -r kind name options; do
    mkdir "$new/sys/fs/cgroup/$name"
    if [[ $kind == v2 ]]; then
      mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup/$name"
    else
      mount -t cgroup -o "$options" cgroup "$new/sys/fs/cgroup/$name"
    fi
  done <<<"$groups"
fi
# as every container's systemd finds them: it then leaves the kernel's settings and devices alone
mount -o bind,remount,ro "$new/sys"
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o bind,remount,ro "$new/proc/sys"

# an engine's store cannot lie on an overlay
for place in docker:/var/lib/docker live:/var/lib/hakoiri-live; do
  mkdir -p "$new${place#*:}"
  mount --bind "$disk/${place%%:*}" "$new${place#*:}"
done
: >"$new/etc/fstab"
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$new/etc/machine-id"
units=$new/etc/systemd/system
rm -rf "$new/etc/hakoiri" "$new/var/lib/hakoiri" "$new/var/lib/hakoiri-proxy" "$new/var/log/hakoiri"
mkdir -p "$new/etc/docker"
cp "$disk/daemon.json" "$new/etc/docker/daemon.json"
# nothing of this host's own services; the devices and the clock are not ours
for unit in systemd-udevd systemd-udev-trigger systemd-udev-settle systemd-timesyncd systemd-pstore \
  systemd-modules-load systemd-sysctl systemd-random-seed systemd-hwdb-update systemd-logind; do
  ln -sfn /dev/null "$units/$unit.service"
done
ln -sfn /dev/null "$units/timers.target"
cat >"$units/hakoiri-test.target" <<UNIT
[Unit]
Requires=basic.target
After=basic.target
AllowIsolate=yes
UNIT

mkdir -p "$new/old"
cd "$new"
pivot_root . old
umount --lazy /old
# as systemd has it on a machine of its own; in a container it leaves that to whoever starts it
mount --make-rshared /
exec env -i container=hakoiri-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=hakoiri-test.target --log-target=journal --show-status=no
