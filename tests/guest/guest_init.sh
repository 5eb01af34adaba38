#!/bin/sh
# The guest's first process: mounts what an engine needs, runs the payload, ends the machine.
# Its console is ttyS0; what the payload finds out goes to ttyS1.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# a child can only be limited in what its parent hands down, and who hands down holds no process
mkdir /sys/fs/cgroup/init
echo $$ >/sys/fs/cgroup/init/cgroup.procs
for controller in cpu memory pids; do echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control; done
modprobe overlay
# each record of the audit, however many there are
echo 0 >/proc/sys/kernel/printk_ratelimit
ip link set lo up
mkdir -p /payload /var/lib/docker
mount -t ext4 /dev/vdc /var/lib/docker
tar -C /payload -xf /dev/vdb
stty -F /dev/ttyS1 raw -echo
python3 -B /payload/in_guest.py >/dev/ttyS1
echo "guest: the payload ended with $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
