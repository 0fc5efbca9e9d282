#!/bin/bash
# What a small writer, and a reader, feel of another client that streams 128 KiB writes to the same server: ZeroFlow (journaled) and
# nbdkit's file in turns, each started afresh.
#   perf/run-stream.sh [ROUNDS]     (3)
# Prints Markdown. Environment: SIZE_MIB (of the export, 1024), SECONDS_EACH (6), DIR (where the servers' files live), HOST and
# PERF (published programs, instead of publishing them here). Needs nbdkit.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${1:-3} size=${SIZE_MIB:-1024} each=${SECONDS_EACH:-6}
. "$root/perf/serve.sh"

load() { "$perf" run --uri "nbd://127.0.0.1:$port/disk" --region-mib "$size" --ratio 2 "$@"; }

begin() {
  rm -rf "${files:?}"/*
  if [ "$1" = zeroflow ]; then
    serve --export "disk:${size}M"
  else
    truncate -s "${size}M" "$files/disk.img"
    nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" file "$files/disk.img" >"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  fi
}

# Milliseconds of one operation's p50 and p99, and how many there were a second.
figures() {
  awk -v op="$1" -v each="$each" '$1 == op {
    n = $2
    for (i = 1; i < NF; i++) { if ($i == "p50") p50 = $(i + 1); if ($i == "p99") p99 = $(i + 1) }
    printf "%.2f | %.2f | %.0f", p50 / 1000, p99 / 1000, n / each
  }'
}

echo "| round | server | streamed MiB/s | FLUSH p50 ms | p99 | a second | read p50 ms | p99 | a second |"
echo "|---:|---|---:|---:|---:|---:|---:|---:|---:|"
for round in $(seq "$rounds"); do
  for name in zeroflow nbdkit-file; do
    begin "$name"
    load --workload oncewrite128k --depth 8 --seconds 60 --warmup 0 >/dev/null
    load --workload seqwrite128k --depth 8 --seconds $((2 * each + 6)) --warmup 0 >"$work/stream" &
    stream=$!
    sleep 2
    flush=$(load --workload write4k+flush --depth 1 --seconds "$each" --warmup 0 | figures Flush)
    load --workload write4k+flush --depth 1 --seconds $((each + 2)) --warmup 0 >/dev/null &
    commits=$!
    sleep 1
    read=$(load --workload randread4k --depth 1 --seconds "$each" --warmup 0 | figures Read)
    wait "$commits" "$stream"
    rate=$(grep -oE '[0-9.]+ MiB/s' "$work/stream" | head -1 | cut -d' ' -f1)
    echo "| $round | $name | $rate | $flush | $read |"
    kill "$server"
    wait "$server" || true
  done
done
