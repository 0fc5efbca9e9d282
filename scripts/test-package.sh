#!/bin/bash
# The life of the Debian package in a clean root: checks of its parts, installation, a server as the units describe it with
# data written from outside, an upgrade under a socket that stays open, removal, purge. Needs root; about five minutes.
#   scripts/test-package.sh [OLD.deb NEW.deb]     without arguments, the packages of two versions are built first
# At first there is no systemd in the root: the unit's own command is run as its user, with its sockets and NOTIFY_SOCKET. At
# the end the root is booted as a container (systemd-nspawn), and the units themselves are what runs.
# Ends with "package: N checks passed", and otherwise with the check that failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

checks=0
ok() { checks=$((checks + 1)); echo "ok $checks: $* ($SECONDS s)"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "needs root, for chroot"
missing=()
for tool in mmdebstrap dpkg-deb lintian systemd-analyze python3 nbdinfo qemu-io runuser; do
  command -v "$tool" > /dev/null || missing+=("$tool")
done
[ ${#missing[@]} -eq 0 ] || fail "not installed: ${missing[*]} (apt-get install mmdebstrap lintian systemd systemd-container python3-libnbd libnbd-bin qemu-utils)"

work=$(mktemp -d /var/tmp/zeroflow-package-XXXXXX)
root=$work/root
holder=
cleanup() {
  [ -z "$holder" ] || kill "$holder" 2> /dev/null || true
  [ -z "$holder" ] || wait "$holder" 2> /dev/null || true
  for mount in proc dev; do mountpoint -q "$root/$mount" && umount -l "$root/$mount"; done
  rm -rf "$work"
}
trap cleanup EXIT

if [ $# -eq 2 ]; then
  old=$1 new=$2
else
  scripts/build-deb.sh --fast --version 0.0.1 --output "$work" > "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "build-deb"; }
  scripts/build-deb.sh --fast --version 0.0.2 --output "$work" >> "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "build-deb"; }
  old=$work/zeroflow_0.0.1_amd64.deb new=$work/zeroflow_0.0.2_amd64.deb
  [ "$(uname -m)" = x86_64 ] || fail "only the package for amd64 is tried out here"
fi

# -- What the package says about itself.
findings=$(lintian --allow-root --fail-on none "$new" 2>&1 | grep -E '^[EW]:' || true)
[ -z "$findings" ] || fail "lintian: $findings"
ok "lintian finds no error and no warning"

dpkg-deb -x "$new" "$work/unpacked"
units=$work/unpacked/lib/systemd/system
findings=$(systemd-analyze verify --man=no --recursive-errors=no --root="$work/unpacked" "$units"/* 2>&1 |
  grep -v 'Failed to \(load\|create\)\|not executable' || true)
[ -z "$findings" ] || fail "systemd-analyze verify: $findings"
ok "systemd-analyze verify accepts the units"
exposure=$(systemd-analyze security --offline=true --root="$work/unpacked" zeroflow.service 2>/dev/null |
  sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/\1/p')
[ -n "$exposure" ] || fail "systemd-analyze security gave no figure"
[ "$(echo "$exposure < 2.0" | awk '{print ($1 < $3)}')" = 1 ] || fail "exposure of the unit is $exposure"
ok "systemd-analyze security: exposure $exposure of 10"

# -- A root without .NET, and without anything else that the package does not ask for.
# The sources of this machine, and the way that it reaches them.
mmdebstrap --quiet --variant=minbase --mode=root bookworm "$root" < <(
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null || true
  sed 's/^$/\n/' /etc/apt/sources.list.d/*.sources 2> /dev/null || true
) > "$work/debootstrap.log" 2>&1 || { tail -n 5 "$work/debootstrap.log" >&2; fail "mmdebstrap"; }
cp /etc/resolv.conf "$root/etc/resolv.conf" 2> /dev/null || true
cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2> /dev/null || true
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
# The sockets are bound outside; inside, their paths must lead to them as well.
mkdir -p "$root$work"
ln -s / "$root$root"
cp "$old" "$root/tmp/old.deb"
cp "$new" "$root/tmp/new.deb"
inside apt-get -qq update > "$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log" >&2; fail "apt-get update"; }
# Without what is gone after a boot, and without what apt and dpkg keep for themselves.
files() { find "$root" -xdev \( -path "$root/proc" -o -path "$root/run" -o -path "$root/dev" -o -path "$root/var/lib/dpkg" -o -path "$root/var/cache" \
  -o -path "$root/var/log" -o -path "$root/tmp" -o -path "$root/var/lib/apt" -o -path "$root/var/lib/systemd" \) -prune -o -printf '%P\n' | sort; }
# The dependencies first, so that what the package itself leaves behind can be told.
inside apt-get -qq install -y --no-install-recommends adduser ca-certificates libargon2-1 libssl3 libzstd1 > "$work/apt.log" 2>&1 ||
  { tail -n 5 "$work/apt.log" >&2; fail "the dependencies"; }
files > "$work/before"
ok "a clean root"

# -- Install.
inside apt-get -qq install -y --no-install-recommends /tmp/old.deb > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "install"; }
inside zeroflow version | grep -q '^zeroflow 0\.0\.1 ' || fail "version: $(inside zeroflow version 2>&1)"
[ "$(inside stat -c '%U %a' /var/lib/zeroflow)" = "zeroflow 700" ] || fail "/var/lib/zeroflow: $(inside stat -c '%U %a' /var/lib/zeroflow)"
[ "$(inside stat -c '%U %G %a' /etc/zeroflow)" = "root zeroflow 750" ] || fail "/etc/zeroflow"
[ -L "$root/etc/systemd/system/sockets.target.wants/zeroflow.socket" ] || fail "zeroflow.socket is not enabled"
[ -L "$root/etc/systemd/system/multi-user.target.wants/zeroflow.service" ] || fail "zeroflow.service is not enabled"
inside sh -c 'COMP_LINE="zeroflow sna" && zeroflow "[suggest:12]" "zeroflow sna"' | grep -qx snapshot || fail "completion"
ok "installs with its user, directories, enabled units and completion"

# -- The service, as its unit says. The sockets are held outside of it, as systemd does.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
user=$(inside id -u zeroflow) group=$(inside id -g zeroflow)
exec_start=$(sed -n 's/^ExecStart=//p' "$root/lib/systemd/system/zeroflow.service")
# The port of the admin address is taken on this machine, perhaps: the environment comes before the file.
mkdir -p "$root/run/zeroflow"
start() {
  rm -f "$root/run/zeroflow/admin.socket" "$work/notify"
  python3 - "$work/notify" "$work/notified" << 'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
with open(sys.argv[2], "w") as out:
    while True:
        text = s.recv(4096).decode()
        out.write(text + "\n")
        out.flush()
        if "STOPPING=1" in text:
            break
PY
  listener=$!
  while [ ! -S "$work/notify" ]; do sleep 0.1; done
  chmod 666 "$work/notify"
  mv "$work/notify" "$root/run/zeroflow/notify"
  # shellcheck disable=SC2086
  python3 tests/scripts/hold-sockets.py 0 "nbd=127.0.0.1:$port" "admin=$root/run/zeroflow/admin.socket" -- \
    /usr/sbin/chroot "--userspec=$user:$group" "$root" /usr/bin/env -C /var/lib/zeroflow -i PATH=/usr/bin:/bin \
    NOTIFY_SOCKET=/run/zeroflow/notify ZEROFLOW__ADMIN__LISTEN=127.0.0.1:0 \
    /bin/sh -c 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=nbd:admin exec "$@"' - $exec_start > "$work/server.log" 2>&1 &
  holder=$!
  for _ in $(seq 600); do
    grep -q '^READY=1' "$work/notified" 2> /dev/null && return 0
    kill -0 "$holder" 2> /dev/null || { tail -n 20 "$work/server.log" >&2; fail "the service ended at its start"; }
    sleep 0.1
  done
  fail "the service was not ready within a minute: $(tail -n 5 "$work/server.log")"
}
stop() {
  kill "$holder"
  local status=0
  wait "$holder" || status=$?
  holder=
  [ "$status" = 0 ] || { tail -n 5 "$work/server.log" >&2; fail "the service ended with $status"; }
  wait "$listener" || true
  grep -q '^STOPPING=1' "$work/notified" || fail "the stop was not announced"
}
url=nbd://127.0.0.1:$port/disk0
start
[ "$(nbdinfo --size "$url")" = 10737418240 ] || fail "nbdinfo"
qemu-io -f raw -c 'write -P 7 1M 1M' -c flush "$url" > /dev/null || fail "write"
inside zeroflow export ls --admin unix:/run/zeroflow/admin.socket | grep -q disk0 || fail "commands over the admin socket"
stop
[ "$(inside stat -c '%U %a' /var/lib/zeroflow/zeroflow-data/passphrase)" = "zeroflow 600" ] || fail "the mode of the passphrase"
ok "the service starts on the embedded default, says READY, serves, and stops"

# -- Upgrade, with a configuration that the operator changed.
sed -i 's/127.0.0.1:10810/127.0.0.1:10811/' "$root/etc/zeroflow/zeroflow.json"
inside apt-get -qq install -y --no-install-recommends /tmp/new.deb > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "upgrade"; }
inside zeroflow version | grep -q '^zeroflow 0\.0\.2 ' || fail "the version after the upgrade"
grep -q 10811 "$root/etc/zeroflow/zeroflow.json" || fail "the upgrade lost the operator's configuration"
start
qemu-io -r -f raw -c 'read -P 7 1M 1M' "$url" | grep -q 'read 1048576' || fail "the data after the upgrade"
stop
ok "an upgrade keeps the configuration and the data"

# -- Remove, and install again.
inside apt-get -qq remove -y zeroflow > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "remove"; }
[ ! -e "$root/usr/bin/zeroflow" ] || fail "the program is still there"
[ -e "$root/etc/zeroflow/zeroflow.json" ] || fail "removing deleted the configuration"
[ -d "$root/var/lib/zeroflow/zeroflow-data/store" ] || fail "removing deleted the data"
ok "removing keeps configuration and data"
inside apt-get -qq install -y --no-install-recommends /tmp/new.deb > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "reinstall"; }
start
qemu-io -r -f raw -c 'read -P 7 1M 1M' "$url" > /dev/null || fail "the data after a new installation"
stop
ok "a new installation serves the old data"

# -- Purge.
inside apt-get -qq purge -y zeroflow > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "purge"; }
grep -q 'ZEROFLOW_PURGE_DATA=yes' "$work/apt.log" || fail "purging does not say what it keeps"
left=$(comm -13 "$work/before" <(files) | grep -v '^var/lib/zeroflow' || true)
# passwd and friends keep the user to whom the data belongs; adduser makes backups of them.
left=$(echo "$left" | grep -vE '^(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?)?$' || true)
[ -z "$left" ] || fail "left behind: $left"
[ ! -e "$root/run/zeroflow" ] || fail "left behind: /run/zeroflow"
[ -d "$root/var/lib/zeroflow/zeroflow-data/store" ] || fail "purging deleted the data"
inside getent passwd zeroflow > /dev/null || fail "the user is gone, and its data is not"
ok "purging leaves nothing but the data and its user"

inside apt-get -qq install -y --no-install-recommends /tmp/new.deb > "$work/apt.log" 2>&1 || fail "install for the last time"
inside env ZEROFLOW_PURGE_DATA=yes apt-get -qq purge -y zeroflow > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "purge with the data"; }
left=$(comm -13 "$work/before" <(files) | grep -vE '^(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?)?$' || true)
[ -z "$left" ] || fail "left behind: $left"
! inside getent passwd zeroflow > /dev/null || fail "the user is left behind"
ok "purging with ZEROFLOW_PURGE_DATA=yes leaves nothing at all"

# -- Under systemd: the root is booted as a container, so that the units are what runs, hardening and all.
if command -v systemd-nspawn > /dev/null; then
  inside apt-get -qq install -y --no-install-recommends systemd-sysv libnbd-bin qemu-utils > "$work/apt.log" 2>&1 ||
    { tail -n 5 "$work/apt.log" >&2; fail "systemd in the root"; }
  rm -f "$root/usr/sbin/policy-rc.d"
  inside apt-get -qq install -y --no-install-recommends /tmp/old.deb > "$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log" >&2; fail "install"; }
  install -m 755 tests/package/booted.sh "$root/booted.sh"
  # In the container /tmp is a file system of its own.
  mv "$root/tmp/new.deb" "$root/new.deb"
  install -d "$root/etc/systemd/system/multi-user.target.wants"
  printf '[Unit]\nAfter=zeroflow.service\n[Service]\nType=oneshot\nExecStart=/booted.sh\nExecStopPost=/bin/systemctl --no-block poweroff\n' \
    > "$root/etc/systemd/system/booted.service"
  ln -s ../booted.service "$root/etc/systemd/system/multi-user.target.wants/booted.service"
  for mount in proc dev; do umount -l "$root/$mount"; done
  timeout 400 systemd-nspawn --register=no --keep-unit --private-network -q -b -D "$root" > "$work/console" 2>&1 || true
  [ -e "$root/booted.log" ] || { tail -n 20 "$work/console" >&2; fail "the container did not boot"; }
  grep -q '^booted: done$' "$root/booted.log" || { tail -n 30 "$root/booted.log" >&2; fail "under systemd"; }
  while read -r line; do ok "under systemd: ${line#ok }"; done < <(grep '^ok ' "$root/booted.log")
else
  echo "skipped: what runs under systemd, because there is no systemd-nspawn (package systemd-container)"
fi

echo "package: $checks checks passed"
