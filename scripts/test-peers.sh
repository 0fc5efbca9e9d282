#!/bin/bash
# Runs the test programs of other NBD projects against a ZeroFlow server of its own: nbd-tester-client of the nbd project,
# the parallel clients and the interoperability tests of libnbd's suite, QEMU's iotests for NBD, and fio's verifying jobs.
# Needs root for the Debian packages; the projects' sources come from Debian and are built in a cache. What cannot be had
# is skipped, and says so.
#   scripts/test-peers.sh       Environment: ZEROFLOW_PEERS, the cache (default: ~/.cache/zeroflow-peers);
#                               ZEROFLOW_BINARY, a server that is published already
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

cache=${ZEROFLOW_PEERS:-${HOME:-/root}/.cache/zeroflow-peers}
# A suite refuses a name with a dot in it.
work=$(mktemp -d -t zeroflow-peers-XXXXXX)
mkdir -p "$cache"
log=$cache/build.log
: > "$log"
passed=0 failed=0 skipped=0 server='' fuse=''

cleanup() {
  [ -n "$fuse" ] && detach
  [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

skip() { echo "skipped $1: $2"; skipped=$((skipped + 1)); }
# run NAME COMMAND...: what the command says is shown when it fails.
run() {
  local name=$1
  shift
  run_here "$name" timeout --kill-after=10 600 "$@"
}
# run_here NAME COMMAND...: the same, for functions of this script.
run_here() {
  local name=$1 began=$SECONDS
  shift
  if "$@" > "$work/said" 2>&1; then
    echo "passed $name ($((SECONDS - began)) s)"
    passed=$((passed + 1))
  else
    echo "FAILED $name (status $?)"
    tail -n 5 "$work/said" | cut -c1-400
    failed=$((failed + 1))
  fi
}

scripts/install-test-tools.sh
packages=(gcc make pkg-config libc6-dev dpkg-dev xz-utils libglib2.0-dev libgnutls28-dev libnbd-dev gnutls-bin qemu-system-x86)
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

# source_of PACKAGE [VERSION [PATTERN...]]: unpacks its upstream source, or the files that match, as $cache/PACKAGE.
source_of() {
  local package=$1 version archive parts=("${@:3}")
  [ -e "$cache/$package/configure" ] && return 0
  [ -n "$(ls -A "$apt/lists" 2>/dev/null | grep -v partial)" ] || export_apt apt-get -qq update >> "$log" 2>&1
  for version in ${2:-$(export_apt apt-cache showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p')}; do
    # A patch or signature that a mirror lacks does not matter: the tests are upstream's.
    (cd "$apt" && rm -f "$package"_*.orig.tar.* && export_apt apt-get -qq source --download-only "$package=$version") >> "$log" 2>&1
    archive=$(ls "$apt/$package"_*.orig.tar.[gx]z 2>/dev/null | head -n 1)
    [ -n "$archive" ] || continue
    mkdir -p "$cache/$package"
    tar -C "$cache/$package" --strip-components=1 --wildcards -xf "$archive" "${parts[@]}" &&
      [ -e "$cache/$package/configure" ] && return 0
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
libnbd=
if source_of libnbd; then
  libnbd=$cache/libnbd
  for program in "${parallel[@]}"; do
    [ -x "$cache/$program" ] && continue
    printf '#define HAVE_STDBOOL_H 1\n' > "$cache/config.h"
    gcc -O2 -I"$cache" -I"$cache/libnbd/tests" -I"$cache/libnbd/common/include" -o "$cache/$program" \
      "$cache/libnbd/tests/$program.c" -lnbd -lpthread >> "$log" 2>&1
  done
fi

binary=${ZEROFLOW_BINARY:+$(realpath "$ZEROFLOW_BINARY")}
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

# serve EXPORT...: a fresh store with these exports, on $port and $work/socket.
serve() {
  if [ -n "$server" ]; then
    kill "$server"
    wait "$server"
  fi
  rm -rf "$work/store" "$work/data"
  mkdir "$work/store" "$work/data"
  exports=()
  local export
  for export in "$@"; do exports+=(--export "$export"); done
  start_server || exit 1
}

# start_server: a server on what is there.
start_server() {
  port=$(free_port)
  local admin
  admin=$(free_port)
  ZEROFLOW_PASSPHRASE=peers "$binary" serve --store "file://$work/store" --data "$work/data" \
    --listen "127.0.0.1:$port" --socket "$work/socket" --admin "127.0.0.1:$admin" "${exports[@]}" > "$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$admin/readyz" > /dev/null && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.2
  done
  cat "$work/server.log"
  return 1
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
  run "libnbd: $program" "$cache/$program" "$work/socket"
done

# libnbd's interoperability tests and QEMU's suite start their servers themselves. What they start here is ZeroFlow.
shim=$PWD/tests/scripts/serve-as-qemu-nbd.py
export ZEROFLOW_BINARY=$binary

mkdir -p "$work/interop" "$work/tests"
printf '{ "Tls": { "Certificate": "%s/server-cert.pem", "Key": "%s/server-key.pem", "ClientCa": "%s/ca-cert.pem" } }\n' \
  "$work/tests/pki" "$work/tests/pki" "$work/tests/pki" > "$work/tls.json"
# interop NAME SOURCE CONFIGURATION DEFINITION...: which server, and what it is expected to say, is compiled in.
interop() {
  local name="libnbd: interop, $1" source=$2 configuration=$3
  shift 3
  if ! gcc -O2 -DHAVE_GNUTLS=1 -I"$cache" -I"$libnbd/tests" -I"$libnbd/common/include" -o "$work/interop/$source" \
    "-DSERVER=\"$shim\"" -DSOCKET_ACTIVATION=1 -DNEEDS_TMPFILE=1 "$@" \
    "$libnbd/interop/$source.c" "$libnbd/tests/requires.c" -lnbd -lgnutls >> "$log" 2>&1; then
    skip "$name" "it cannot be built; see $log"
    return
  fi
  run "$name" env -C "$work/interop" ${configuration:+"ZEROFLOW_CONFIG=$configuration"} "./$source"
}

if [ -e "$libnbd/interop/interop.c" ]; then
  export_of() { echo "-DSERVER_PARAMS=\"-f\", \"raw\", \"-x\", \"$1\", ${2:-TMPFILE}"; }
  interop "socket activation" socket-activation "" "$(export_of "" tmpfile)"
  interop "list of exports" list-exports "" "$(export_of testing)" '-DEXPORTS="testing"' '-DDESCRIPTIONS=""'
  interop "an export named /" interop "" "$(export_of /)" '-DEXPORT_NAME="/"'
  interop "a client that would take TLS" interop "" "$(export_of /)" '-DEXPORT_NAME="/"' -DCERTS=1 \
    -DTLS_MODE=LIBNBD_TLS_ALLOW -DTLS_FALLBACK=1
  if SRCDIR=$libnbd/tests CERTTOOL=certtool bash "$libnbd/tests/make-pki.sh" "$work/tests/pki" >> "$log" 2>&1; then
    for mode in REQUIRE ALLOW; do
      interop "certificates, ${mode,,}" interop "$work/tls.json" "$(export_of /)" '-DEXPORT_NAME="/"' -DCERTS=1 \
        -DTLS_MODE=LIBNBD_TLS_$mode
    done
  else
    skip "libnbd: interop, certificates" "certtool is not installed (gnutls-bin)"
  fi
else
  skip "libnbd: interop" "its source cannot be had; see $log"
fi

# QEMU's own expectations, of the version whose programs are installed. Not among them, though they say that they are for
# raw images over NBD: 005 and 083 (never reach this server), 143 (the server is QEMU), 241 (an image of 1000 bytes; sizes
# are multiples of 512 here), 094 and 119 (in Debian's build, two lines come in another order, also with qemu-nbd).
iotests=(001 002 003 004 008 009 010 011 021 032 033 077 104 123 197 215 259)
if command -v qemu-system-x86_64 > /dev/null; then
  # Debian's build lacks the accelerator that executes nothing. These two execute nothing that matters.
  iotests+=(145 181)
  printf '#!/bin/bash\nexec qemu-system-x86_64 "${@/#qtest/tcg}"\n' > "$work/qemu"
else
  printf '#!/bin/sh\nexit 0\n' > "$work/qemu"
fi
chmod +x "$work/qemu"
version=$(dpkg-query -W -f='${source:Version}' qemu-utils 2>/dev/null)
if source_of qemu "$version" '*/configure' '*/tests/qemu-iotests' '*/python'; then
  # It comes back with 0 also for tests that it did not run.
  run "qemu: ${#iotests[@]} iotests for raw images over NBD" env -C "$cache/qemu/tests/qemu-iotests" \
    TEST_DIR="$work/iotests" SOCK_DIR="$work/sockets" QEMU_PROG="$work/qemu" QEMU_NBD_PROG="$shim" \
    QEMU_IMG_PROG="$(command -v qemu-img)" QEMU_IO_PROG="$(command -v qemu-io)" QSD_PROG="$(command -v qemu-storage-daemon)" \
    sh -c 'said=$(python3 check -raw -nbd "$@"); echo "$said"; case $said in *"Passed all $# iotests") ;; *) exit 1 ;; esac' \
    check "${iotests[@]}"
else
  skip "qemu: iotests" "the source of qemu $version cannot be had; see $log"
fi

if command -v fio > /dev/null; then
  serve disk:256M disk2:256M:published
  verify() { # NAME EXPORT ARGUMENT...
    local name=$1 export=$2
    shift 2
    run "fio: $name" env -C "$work" fio --name=verify --ioengine=nbd "--uri=nbd://127.0.0.1:$port/$export" --verify=crc32c \
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

# fsx and fsstress of xfstests, in a file system on an export. Behind them it is unmounted and the server killed; on the next
# server it must be sound, and hold the same.
xfstests=$cache/xfstests
attach() { # the export as a block device, in $loop
  : > "$work/device"
  nbdfuse "$work/device" "nbd://127.0.0.1:$port/disk" &
  fuse=$!
  for _ in $(seq 100); do [ -s "$work/device" ] && break; sleep 0.1; done
  loop=$(losetup --find --show --direct-io=on "$work/device")
}
detach() {
  mountpoint -q "$work/mount" && umount "$work/mount"
  losetup --detach "$loop"
  for _ in $(seq 100); do fusermount3 -uq "$work/device" && break; sleep 0.1; done
  wait "$fuse"
  fuse=
}
digest() { (cd "$work/mount" && find . -type f -print0 | sort -z | xargs -0 sha256sum; find . -printf '%y %p %l\n' | sort) | sha256sum; }
file_system() { # TYPE CHECK...
  local type=$1 before
  shift
  attach
  "mkfs.$type" -q "$loop" && mount -o noatime "$loop" "$work/mount" || return 1
  "$xfstests/fsx" -q -N 20000 -l 4194304 -S 7 "$work/mount/fsx" && rm -f "$work"/mount/fsx.fsx* || return 1
  mkdir "$work/mount/stress"
  "$xfstests/fsstress" -d "$work/mount/stress" -n 2000 -p 4 -s 7 || return 1
  before=$(digest)
  detach
  kill -9 "$server" && wait "$server" 2> /dev/null
  start_server || return 1
  attach
  "$@" "$loop" && mount -o noatime "$loop" "$work/mount" && [ "$(digest)" = "$before" ]
}
if [ -x "$xfstests/fsx" ] && [ -x "$xfstests/fsstress" ]; then
  mkdir -p "$work/mount"
  for level in journaled published; do
    for check in "ext4 e2fsck -f -n" "xfs xfs_repair -n"; do
      serve "disk:1G:$level"
      # shellcheck disable=SC2086 # words on purpose
      run_here "xfstests: fsx and fsstress on ${check%% *}, $level" file_system $check
      detach
    done
  done
else
  skip "xfstests: fsx and fsstress" "Debian has no source of it: build its ltp/fsx and ltp/fsstress, and put them into $xfstests"
fi

line="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ]
