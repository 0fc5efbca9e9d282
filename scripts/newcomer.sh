#!/bin/bash
# A newcomer's path, timed: from a clone of this repository to the first row that PostgreSQL keeps on a block device of
# ZeroFlow. Needs root, the .NET SDK, and Debian packages that it installs where they are missing.
#   scripts/newcomer.sh [--keep]      --keep leaves everything running and says how to reach it
# With the kernel's NBD client (modprobe nbd) the device is /dev/nbdN; without it, nbdfuse and a loop device stand in.
# The last line reads "first row after N s", and the row is written, the server killed, and the row read again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
keep=0
[ "${1:-}" = --keep ] && keep=1
fail() { echo "newcomer: $*" >&2; exit 1; }
step() { printf 'newcomer: %-50s %4d s\n' "$*" "$SECONDS"; }
[ "$(id -u)" -eq 0 ] || fail "run as root: it mounts a file system"

packages=(libargon2-1 libzstd1 libnbd-bin e2fsprogs fuse3 mount postgresql postgresql-client nbd-client)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  # The cluster that Debian makes is not wanted: this one is on the block device.
  mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/newcomer.conf
  apt-get -o DPkg::Lock::Timeout=300 update -qq > /dev/null 2>&1 || true
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" > /dev/null || fail "could not install ${missing[*]}"
  rm -f /etc/postgresql-common/createcluster.d/newcomer.conf
fi
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
step "tools (${#missing[@]} installed)"

work=$(mktemp -d /var/tmp/zeroflow-newcomer-XXXXXX)
chmod 755 "$work"
mnt=$work/mnt sockets=$work/sockets
mkdir "$mnt" "$work/fuse" "$sockets"
chmod 777 "$sockets"
server= fuse= loop= device=
postgres() { (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp "$@"); }
row() { postgres psql -X -A -t -h "$sockets" -p 5498 -d postgres -c "$1"; }

detach() {
  if mountpoint -q "$mnt"; then umount "$mnt" 2> /dev/null || umount -l "$mnt"; fi
  [ -z "$loop" ] || losetup -d "$loop" 2> /dev/null || true
  [ -z "$device" ] || nbd-client -d "$device" > /dev/null 2>&1 || true
  if [ -n "$fuse" ]; then
    umount "$work/fuse" 2> /dev/null || umount -l "$work/fuse" 2> /dev/null || true
    wait "$fuse" 2> /dev/null || true
  fi
  loop='' fuse='' device=''
}
cleanup() {
  [ ! -f "$mnt/pg/postmaster.pid" ] || postgres "$bin/pg_ctl" -D "$mnt/pg" -m immediate stop > /dev/null 2>&1 || true
  detach
  if [ -n "$server" ]; then
    kill "$server" 2> /dev/null || true
    wait "$server" 2> /dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2> /dev/null || echo "$1"; }
port=$(free_port 10809) admin=$(free_port 10810)
url=nbd://127.0.0.1:$port/disk0

# What scripts/run.sh does: build, and serve a directory. Built first, so that a kill meets the server and not the build.
libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
case $libraries in *libargon2.so.1*) ;; *) fail "libargon2 is missing" ;; esac
dotnet build "$root/src/Host" -c Release -v quiet > "$work/build.log" 2>&1 || { tail -n 5 "$work/build.log" >&2; fail "the build"; }
program=$root/src/Host/bin/Release/net10.0/zeroflow
step "built"
serve() {
  (cd "$work" && exec "$program" serve --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin") > "$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    nbdinfo --size "$url" > /dev/null 2>&1 && return 0
    kill -0 "$server" 2> /dev/null || { tail -n 5 "$work/server.log" >&2; fail "the server ended"; }
    sleep 0.2
  done
  fail "the server does not answer"
}
attach() {
  if modprobe nbd 2> /dev/null && [ -b /dev/nbd0 ]; then
    device=/dev/nbd$(for n in /sys/block/nbd*; do [ "$(cat "$n/size")" = 0 ] && basename "$n" | tr -dc 0-9 && break; done)
    nbd-client -N disk0 127.0.0.1 "$port" "$device" -C 4 > /dev/null
    block=$device
  else
    # It says at length that its server was killed, which is the point.
    nbdfuse -C 4 "$work/fuse" "$url" 2>> "$work/nbdfuse.log" &
    fuse=$!
    for _ in $(seq 100); do [ -e "$work/fuse/nbd" ] && break; sleep 0.1; done
    [ -e "$work/fuse/nbd" ] || fail "nbdfuse"
    loop=$(losetup --show -f --direct-io=on "$work/fuse/nbd") || fail "losetup"
    block=$loop
  fi
}
start_postgres() {
  postgres "$bin/pg_ctl" -D "$mnt/pg" -w -t 120 -l "$sockets/log" -o "-k $sockets -p 5498 -c listen_addresses=''" start > /dev/null ||
    { tail -n 5 "$sockets/log" >&2; fail "PostgreSQL does not start"; }
}

serve
step "serves $url"
attach
step "attached as $block"
mkfs.ext4 -q "$block"
mount -o noatime "$block" "$mnt"
install -d -o postgres -g postgres -m 700 "$mnt/pg"
step "ext4 is mounted"
postgres "$bin/initdb" -k -D "$mnt/pg" -A trust --no-locale -E UTF8 > "$work/initdb.log" 2>&1 || { tail -n 3 "$work/initdb.log" >&2; fail "initdb"; }
start_postgres
step "PostgreSQL runs"
row "create table visits (at timestamptz, who text)" > /dev/null
row "insert into visits values (now(), 'newcomer')" > /dev/null
[ "$(row 'select who from visits')" = newcomer ] || fail "the row is not there"
first=$SECONDS
step "the first row"

if [ "$keep" = 1 ]; then
  trap - EXIT
  echo "newcomer: psql -h $sockets -p 5498 -U postgres; data in $work; server $server; block device $block"
  echo "first row after $first s"
  exit 0
fi

# And is it kept? The server is killed under the database, and everything comes up again.
kill -9 "$server"
wait "$server" 2> /dev/null || true
server=
postgres "$bin/pg_ctl" -D "$mnt/pg" -m immediate stop > /dev/null 2>&1 || true
detach
serve
attach
mount -o noatime "$block" "$mnt"
rm -f "$mnt/pg/postmaster.pid"
start_postgres
[ "$(row 'select who from visits')" = newcomer ] || fail "the row is lost after a kill of the server"
postgres "$bin/pg_ctl" -D "$mnt/pg" -m fast stop > /dev/null
step "the row is there after kill -9 of the server"
echo "first row after $first s"
