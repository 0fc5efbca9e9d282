#!/bin/bash
# Boots a machine with the Debian package and the units of docs/guides/postgresql-zfs.md, section 6, three times: a pool on an
# export, PostgreSQL on it, all in order at boot and the other way round at shutdown. The machine is the guest of
# scripts/build-guest.sh with systemd in it, on a disk of its own. Needs root; about ten minutes and 4 GB.
#   scripts/test-boot.sh [PACKAGE.deb]     without an argument the package is built first
# Ends with "boot: N checks passed", and otherwise with the check that failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
guide=docs/guides/postgresql-zfs.md

checks=0
ok() { checks=$((checks + 1)); echo "ok $checks: $* ($SECONDS s)"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "needs root, for chroot"
guest=${ZEROFLOW_GUEST:-${HOME:-/root}/.cache/zeroflow-guest}
scripts/build-guest.sh

work=$(mktemp -d /var/tmp/zeroflow-boot-XXXXXX)
root=$work/root
kernel=
cleanup() {
  [ -z "$kernel" ] || kill -9 "$kernel" 2> /dev/null || true
  [ -z "$kernel" ] || wait "$kernel" 2> /dev/null || true
  for mount in proc dev; do ! mountpoint -q "$root/$mount" || umount -l "$root/$mount"; done
  rm -rf "$work"
}
trap cleanup EXIT

if [ $# -eq 1 ]; then
  package=$1
else
  scripts/build-deb.sh --fast --output "$work" > "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "build-deb"; }
  package=$(echo "$work"/zeroflow_*_amd64.deb)
fi

# -- The guest's root, with systemd and the package.
cp -a "$guest/root" "$root"
rm -rf "$root"/jobs/* "$root/guest-init"
cp "$package" "$root/zeroflow.deb"
cp /etc/resolv.conf "$root/etc/resolv.conf" 2> /dev/null || true
cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2> /dev/null || true
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" > "$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log" >&2; fail "$*"; }; }
inside apt-get -qq update
inside apt-get -qq install -y --no-install-recommends systemd-sysv dbus udev /zeroflow.deb
rm "$root/usr/sbin/policy-rc.d" "$root/zeroflow.deb"
for mount in proc dev; do umount -l "$root/$mount"; done
mkdir -p "$root/var/log/journal"
echo boot > "$root/etc/hostname"
echo '/dev/ubda / ext4 defaults 0 1' > "$root/etc/fstab"
# Budgets for the memory of this machine.
cat > "$root/etc/zeroflow/zeroflow.json" <<'CONFIG'
{
  "Exports": [ "pg:20G" ],
  "Admin": { "Listen": "127.0.0.1:10810" },
  "Tuning": { "MemoryCacheBytes": "64M", "DirtyMemoryBytes": "64M", "MapBytes": "64M", "DiskCacheBytes": "256M", "WalBytes": "512M" }
}
CONFIG

# -- The commands of the page, as they stand: sections 3 to 6.
section() { # NUMBER: its blocks of commands
  awk -v number="$1" '/^## /{ in_it = index($0, "## " number ".") == 1 } /^```/ && code { code = 0; next } in_it && code { print } in_it && /^```sh/ { code = 1 }' "$guide"
}
{
  echo 'set -eux'
  for number in 3 4 5 6; do section $number; done
} > "$root/guide.sh"
grep -q zeroflow-pool "$root/guide.sh" && grep -q 'zpool create' "$root/guide.sh" || fail "$guide has no such sections any more"
install -m 755 tests/guest/boot.sh "$root/boot.sh"
cat > "$root/etc/systemd/system/boot-test.service" <<'UNIT'
[Unit]
After=multi-user.target zeroflow.service
[Service]
Type=oneshot
ExecStart=/boot.sh
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=file:/dev/console
UNIT
mkdir -p "$root/etc/systemd/system/boot-test.timer.d" "$root/etc/systemd/system/timers.target.wants"
cat > "$root/etc/systemd/system/boot-test.timer" <<'UNIT'
[Timer]
OnBootSec=1
UNIT
ln -sf ../boot-test.timer "$root/etc/systemd/system/timers.target.wants/boot-test.timer"
mke2fs -q -t ext4 -d "$root" "$work/disk" 4G > "$work/mke2fs.log" 2>&1 || { cat "$work/mke2fs.log" >&2; fail "mke2fs"; }
rm -rf "$root"

# -- Three boots.
boot() { # NUMBER
  timeout 900 "$guest/linux" mem=2048M ubd0="$work/disk" root=/dev/ubda rootfstype=ext4 rw init=/sbin/init systemd.show_status=no \
    con0=fd:0,fd:1 con=null uml_dir="$work/" umid="boot$1" quiet < /dev/null > "$work/console$1" 2>&1 &
  kernel=$!
  wait "$kernel" || true
  kernel=
  while read -r line; do ok "boot $1: ${line#BOOT ok }"; done < <(grep -a -o 'BOOT ok .*' "$work/console$1" | tr -d '\r')
  grep -a -q 'BOOT end' "$work/console$1" || { tail -n 40 "$work/console$1" >&2; fail "boot $1"; }
}
for number in 1 2 3; do boot $number; done
echo "boot: $checks checks passed"
