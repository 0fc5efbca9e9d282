#!/bin/bash
# Runs the single file for arm64 on a machine of another kind, under QEMU's user emulation with Debian's arm64 libraries: it
# serves a directory store to native clients, is killed, and must have everything again. Needs root; about three minutes,
# and as long again where it has to be published first.
#   scripts/test-arm64.sh [PROGRAM [NATIVE]]     without arguments, both are published: the one to try, and this machine's own
# Ends with "arm64: N checks passed", and otherwise with the check that failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

checks=0
ok() { checks=$((checks + 1)); echo "ok $checks: $* ($SECONDS s)"; }
fail() { echo "FAILED: $*" >&2; [ ! -s "$work/server.log" ] || tail -n 20 "$work/server.log" >&2; exit 1; }
work=
[ "$(id -u)" -eq 0 ] || fail "needs root, for mmdebstrap"
missing=()
for tool in qemu-aarch64-static mmdebstrap nbdinfo nbdcopy qemu-io qemu-img openssl curl; do
  command -v "$tool" > /dev/null || missing+=("$tool")
done
[ ${#missing[@]} -eq 0 ] || fail "not installed: ${missing[*]} (apt-get install qemu-user-static mmdebstrap libnbd-bin qemu-utils openssl curl)"

work=$(mktemp -d /var/tmp/zeroflow-arm64-XXXXXX)
server=
cleanup() {
  [ -z "$server" ] || kill -9 "$server" 2> /dev/null || true
  [ -z "$server" ] || wait "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

program=${1:-} native=${2:-}
if [ -z "$program" ]; then
  scripts/publish.sh --output "$work" linux-arm64 linux-x64 > "$work/publish.log" 2>&1 || { cat "$work/publish.log" >&2; fail "publish"; }
  program=$work/linux-arm64/zeroflow native=$work/linux-x64/zeroflow
fi
# Machine 183 is AArch64.
[ "$(od -An -tu2 -j18 -N2 "$program" | tr -d ' ')" = 183 ] || fail "$program is no program for arm64"

# Only unpacked: their scripts would need the emulator to be registered with the kernel.
mmdebstrap --quiet --mode=root --variant=extract --skip=check/qemu --architectures=arm64 \
  --include=libc6,libstdc++6,zlib1g,libargon2-1,libzstd1,libssl3 bookworm "$work/root" < <(
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null || true
  sed 's/^$/\n/' /etc/apt/sources.list.d/*.sources 2> /dev/null || true
) > "$work/debootstrap.log" 2>&1 || { tail -n 5 "$work/debootstrap.log" >&2; fail "mmdebstrap for arm64"; }
# .NET writes the code that it compiles through a second mapping of the same memory. QEMU's user emulation before 8.1 does not
# notice, and goes on with what it translated before: 9 of 14 starts failed, in several ways. A real
# processor is told of it by the runtime's own instructions, and needs no such setting.
export DOTNET_EnableWriteXorExecute=0
emulated=(qemu-aarch64-static -L "$work/root" "$program")

"${emulated[@]}" --version > "$work/version" 2>&1 || fail "--version: $(cat "$work/version")"
[ -z "$native" ] || [ "$("$native" --version)" = "$(cat "$work/version")" ] || fail "--version: $(cat "$work/version")"
ok "zeroflow --version: $(cat "$work/version")"

# -- A server on a directory: an export for each level, and TLS, which is OpenSSL's.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
admin=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export ZEROFLOW_PASSPHRASE=a-passphrase-for-this-test-only
mkdir "$work/tls"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
  -keyout "$work/tls/server-key.pem" -out "$work/tls/server-cert.pem" > /dev/null 2>&1 || fail "openssl"
cp "$work/tls/server-cert.pem" "$work/tls/ca-cert.pem"
chmod 600 "$work/tls/server-key.pem"
url=nbd://127.0.0.1:$port
serve() { # COMMAND...: starts a server by it and waits until clients can attach
  "$@" serve --store "file://$work/store" --data "$work/data" --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin" \
    --export a:1G --export b:1G:published --tls allow --tls-certificate "$work/tls/server-cert.pem" --tls-key "$work/tls/server-key.pem" \
    > "$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 600); do
    curl -fs -o /dev/null "http://127.0.0.1:$admin/readyz" && return 0
    kill -0 "$server" 2> /dev/null || fail "the server ended at its start"
    sleep 0.1
  done
  fail "the server was not ready within a minute"
}
manage() { "${emulated[@]}" "$@" --admin "127.0.0.1:$admin" --data "$work/data"; }
crash() {
  kill -9 "$server"
  wait "$server" 2> /dev/null || true
  server=
}
write() { # EXPORT PATTERN: half a MiB here and there, a hole, a write with FUA, and a flush
  qemu-io -f raw -c "write -P $2 0 512k" -c "write -P $2 37M 512k" -c "write -P $2 1023M 1M" -c "write -f -P $2 5000k 4k" \
    -c "write -P 99 200M 1M" -c "write -z 200M 1M" -c flush "$url/$1" > "$work/io.log" 2>&1 || { cat "$work/io.log" >&2; fail "write to $1"; }
}
read_back() { # EXPORT PATTERN
  qemu-io -r -f raw -c "read -P $2 0 512k" -c "read -P $2 37M 512k" -c "read -P $2 1023M 1M" -c "read -P $2 5000k 4k" \
    -c "read -P 0 200M 1M" -c "read -P 0 512k 1M" "$url/$1" > "$work/io.log" 2>&1 && ! grep -q 'Pattern verification failed' "$work/io.log" ||
    { cat "$work/io.log" >&2; fail "$1 does not have what was written"; }
}

serve "${emulated[@]}"
[ "$(nbdinfo --size "$url/a")" = 1073741824 ] || fail "nbdinfo"
for library in argon2 zstd; do grep -q "$work/root/.*lib$library" "/proc/$server/maps" || fail "lib$library is not loaded"; done
nbdinfo --size "nbds://localhost:$port/a?tls-certificates=$work/tls" > /dev/null || fail "TLS"
ok "it serves, with and without TLS, and has loaded libargon2 and libzstd for arm64"

# Half of it can be compressed.
{ head -c 24M /dev/urandom; head -c 24M /dev/zero; head -c 16M < <(yes zeroflow); } > "$work/image"
truncate -s 1G "$work/image"
nbdcopy --flush "$work/image" "$url/b" || fail "nbdcopy to the server"
write a 17
manage snapshot before a > "$work/command.log" 2>&1 || { cat "$work/command.log" >&2; fail "snapshot"; }
write a 18
read_back a 18
read_back a@before 17
qemu-img compare -q -f raw -F raw "$work/image" "$url/b" || fail "the image as it is read back"
ok "what was written is read: patterns, holes, an image of 64 MiB, a snapshot"

write a 19
crash
serve "${emulated[@]}"
read_back a 19
read_back a@before 17
qemu-img compare -q -f raw -F raw "$work/image" "$url/b" || fail "the image after kill -9"
manage scrub > "$work/command.log" 2>&1 || { cat "$work/command.log" >&2; fail "scrub"; }
ok "after kill -9 all of it is there, and a scrub finds nothing"

crash
rm -rf "$work/data"
serve "${emulated[@]}"
qemu-img compare -q -f raw -F raw "$work/image" "$url/b" || fail "the published image after the loss of the data directory"
read_back a@before 17
ok "after the loss of its data directory the published export is there"

kill "$server"
status=0
wait "$server" || status=$?
server=
[ "$status" = 0 ] || fail "it ended with $status"
ok "it stops when told to"

# What one kind of machine wrote is read by the other.
if [ -n "$native" ]; then
  serve "$native"
  qemu-img compare -q -f raw -F raw "$work/image" "$url/b" || fail "the image, read by this machine's own program"
  write a 20
  kill "$server"
  wait "$server" || fail "the native server"
  serve "${emulated[@]}"
  read_back a 20
  qemu-img compare -q -f raw -F raw "$work/image" "$url/b" || fail "the image, behind this machine's own program"
  ok "store and data directory go from arm64 to this machine's kind and back"
fi

echo "arm64: $checks checks passed"
