#!/bin/sh
# The guest's first process: mounts what a container needs, runs the payload, ends the machine.
# Its console is ttyAMA0; what the payload finds out goes on the third disk.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# each record of the audit, however many there are
echo 0 >/proc/sys/kernel/printk_ratelimit
ip link set lo up
tar -C /payload -xf /dev/vdb
mount --bind / /box
python3 -B /payload/in_guest.py >/dev/vdc
echo "guest: the payload ended with $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
