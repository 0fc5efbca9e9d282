#!/bin/bash
# Runs the test programs of other NBD projects against a ZeroFlow server of its own: nbd-tester-client of the nbd project,
# the parallel clients of libnbd's test suite, and fio's verifying jobs. Needs root for the Debian packages; the sources of
# both projects come from Debian and are built in a cache. What cannot be had is skipped, and says so.
#   scripts/test-peers.sh       Environment: ZEROFLOW_PEERS, the cache (default: ~/.cache/zeroflow-peers);
#                               ZEROFLOW_BINARY, a server that is published already
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

cache=${ZEROFLOW_PEERS:-${HOME:-/root}/.cache/zeroflow-peers}
work=$(mktemp -d)
mkdir -p "$cache"
log=$cache/build.log
: > "$log"
passed=0 failed=0 skipped=0 server=

cleanup() {
  [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

skip() { echo "skipped $1: $2"; skipped=$((skipped + 1)); }
# run NAME COMMAND...: what the command says is shown when it fails.
run() {
  local name=$1 began=$SECONDS
  shift
  if timeout --kill-after=10 300 "$@" > "$work/said" 2>&1; then
    echo "passed $name ($((SECONDS - began)) s)"
    passed=$((passed + 1))
  else
    echo "FAILED $name (status $?)"
    tail -n 5 "$work/said" | cut -c1-400
    failed=$((failed + 1))
  fi
}

scripts/install-test-tools.sh
packages=(gcc make pkg-config libc6-dev dpkg-dev xz-utils libglib2.0-dev libgnutls28-dev libnbd-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "${missing[@]}" >> "$log" 2>&1 || echo "test-peers: could not install ${missing[*]}; see $log"
fi

# A package index of its own, with sources. Mirrors drop older sources, so that a newer release may have to do.
apt=$cache/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
  grep -oE '^(URIs:|deb) .*' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
for suite in bookworm trixie sid; do
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} $suite main"
done > "$apt/sources.list"
printf '%s\n' "Dir::Etc::SourceList \"$apt/sources.list\";" 'Dir::Etc::SourceParts "/dev/null";' \
  "Dir::State::Lists \"$apt/lists\";" "Dir::Cache \"$apt/cache\";" 'APT::Sandbox::User "root";' > "$apt/apt.conf"
export_apt() { APT_CONFIG=$apt/apt.conf "$@"; }

# source_of PACKAGE: unpacks its upstream source as $cache/PACKAGE.
source_of() {
  local package=$1 version archive
  [ -e "$cache/$package/configure" ] && return 0
  [ -n "$(ls -A "$apt/lists" 2>/dev/null | grep -v partial)" ] || export_apt apt-get -qq update >> "$log" 2>&1
  for version in $(export_apt apt-cache showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p'); do
    # A patch or signature that a mirror lacks does not matter: the tests are upstream's.
    (cd "$apt" && rm -f "$package"_*.orig.tar.* && export_apt apt-get -qq source --download-only "$package=$version") >> "$log" 2>&1
    archive=$(ls "$apt/$package"_*.orig.tar.[gx]z 2>/dev/null | head -n 1)
    [ -n "$archive" ] || continue
    mkdir -p "$cache/$package"
    tar -C "$cache/$package" --strip-components=1 -xf "$archive" && [ -e "$cache/$package/configure" ] && return 0
  done
  return 1
}

tester=$cache/nbd/tests/run/nbd-tester-client
if [ ! -x "$tester" ] && source_of nbd; then
  # It insists on a tool for manual pages that nobody needs here.
  mkdir -p "$cache/bin"
  printf '#!/bin/sh\nexit 0\n' > "$cache/bin/docbook2man"
  chmod +x "$cache/bin/docbook2man"
  (cd "$cache/nbd" && PATH=$cache/bin:$PATH && ./configure --without-libnl && make cliserv.o &&
    make -C tests/run nbd-tester-client) >> "$log" 2>&1
fi

parallel=(aio-parallel synch-parallel aio-parallel-load)
if source_of libnbd; then
  for program in "${parallel[@]}"; do
    [ -x "$cache/$program" ] && continue
    printf '#define HAVE_STDBOOL_H 1\n' > "$cache/config.h"
    gcc -O2 -I"$cache" -I"$cache/libnbd/tests" -I"$cache/libnbd/common/include" -o "$cache/$program" \
      "$cache/libnbd/tests/$program.c" -lnbd -lpthread >> "$log" 2>&1
  done
fi

binary=${ZEROFLOW_BINARY:-}
if [ -z "$binary" ]; then
  dotnet publish src/Host -c Release -o "$work/bin" -v quiet || exit 1
  binary=$work/bin/zeroflow
fi

free_port() { python3 -c 'import random, socket
while True:
    port = random.randrange(12000, 31000)
    with socket.socket() as s:
        try: s.bind(("127.0.0.1", port))
        except OSError: continue
    print(port)
    break'; }

# serve EXPORT...: a fresh store with these exports, on $port.
serve() {
  if [ -n "$server" ]; then
    kill "$server"
    wait "$server"
  fi
  local exports=() export
  for export in "$@"; do exports+=(--export "$export"); done
  rm -rf "$work/store" "$work/data"
  mkdir "$work/store" "$work/data"
  port=$(free_port)
  local admin
  admin=$(free_port)
  ZEROFLOW_PASSPHRASE=peers "$binary" serve --store "file://$work/store" --data "$work/data" \
    --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin" "${exports[@]}" > "$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$admin/readyz" > /dev/null && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.2
  done
  cat "$work/server.log"
  exit 1
}

if [ -x "$tester" ]; then
  data=$cache/nbd/tests/run
  serve read:50M write:50M small:50M:published huge:50M:published
  run "nbd-tester-client: handshake" "$tester" -h -N read 127.0.0.1 "$port"
  run "nbd-tester-client: reads" "$tester" -N read 127.0.0.1 "$port"
  run "nbd-tester-client: oversized requests" "$tester" -o -N read 127.0.0.1 "$port"
  run "nbd-tester-client: writes" "$tester" -w -N write 127.0.0.1 "$port"
  run "nbd-tester-client: writes and flushes" "$tester" -w -f -N write 127.0.0.1 "$port"
  run "nbd-tester-client: integrity" "$tester" -i -t "$data/integrity-test.tr" -N small 127.0.0.1 "$port"
  run "nbd-tester-client: integrity, huge requests" "$tester" -i -t "$data/integrityhuge-test.tr" -N huge 127.0.0.1 "$port"
else
  skip nbd-tester-client "its source cannot be had or built; see $log"
fi

# They want the Unix socket of a server with one export, which holds nbdkit's pattern.
for program in "${parallel[@]}"; do
  if [ ! -x "$cache/$program" ]; then
    skip "libnbd: $program" "its source cannot be had or built; see $log"
    continue
  fi
  size=64M
  [ "$program" = synch-parallel ] && size=8M
  serve "disk:$size"
  nbdkit -U - pattern "size=$size" --run "nbdcopy \"\$uri\" nbd://127.0.0.1:$port/disk" >> "$log" 2>&1
  python3 - "$work/socket" "$port" <<'PYTHON' &
import socket, sys, threading
def pipe(a, b):
    try:
        while data := a.recv(1 << 18): b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
here = socket.socket(socket.AF_UNIX)
here.bind(sys.argv[1])
here.listen(64)
while True:
    near, _ = here.accept()
    far = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for pair in ((near, far), (far, near)): threading.Thread(target=pipe, args=pair, daemon=True).start()
PYTHON
  bridge=$!
  for _ in $(seq 50); do [ -S "$work/socket" ] && break; sleep 0.1; done
  run "libnbd: $program" "$cache/$program" "$work/socket"
  kill "$bridge" && wait "$bridge" 2>/dev/null
  rm -f "$work/socket"
done

if command -v fio > /dev/null; then
  serve disk:256M disk2:256M:published
  verify() { # NAME EXPORT ARGUMENT...
    local name=$1 export=$2
    shift 2
    run "fio: $name" fio --name=verify --ioengine=nbd "--uri=nbd://127.0.0.1:$port/$export" --verify=crc32c \
      --verify_fatal=1 --do_verify=1 --randseed=7 --group_reporting "$@"
  }
  verify "random writes, verified behind" disk --rw=randwrite --bsrange=4k-128k --blockalign=4k --size=128m --iodepth=16 \
    --verify_backlog=256 --verify_async=2
  verify "sequential writes and flushes" disk2 --rw=write --bs=64k --size=96m --iodepth=8 --fsync=32
  verify "reads and writes mixed" disk --rw=randrw --bs=8k --size=64m --iodepth=32 --verify_backlog=128
  # fio's own --trim_percentage ends in a double free with its nbd engine, on any server.
else
  skip fio "it is not installed"
fi

line="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ]
