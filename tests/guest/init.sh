#!/bin/bash
# The first process of the guest. Runs the job that the kernel's command line names (job=NAME), says how it ended, and
# switches the guest off. The network is the user-mode one: this machine's loopback is 10.0.2.2.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/shm /dev/pts
mount -t devpts devpts /dev/pts
for directory in /dev/shm /run /tmp; do
  mount -t tmpfs tmpfs $directory
  chmod 1777 $directory
done
modprobe nbd
ip link set lo up
if [ -d /sys/class/net/vec0 ]; then
  ip addr add 10.0.2.15/24 dev vec0
  ip link set vec0 up
  ip route add default via 10.0.2.2
fi

job=$(sed -n 's/.*\bjob=\([^ ]*\).*/\1/p' /proc/cmdline)
bash "/jobs/$job"
echo "GUEST END $?"
sync
busybox poweroff -f
