#!/bin/bash
# How much reads feel the settler: the latency of 4 KiB reads while it works, and after it has come to rest, in turns
# against one server.
#   perf/run-settle-latency.sh [ROUNDS]     (3)
# Prints a Markdown table. Environment: SIZE_MIB (of the export, 1024), SECONDS_EACH (8), WRITE_SECONDS (20), DEPTH (4),
# DIR (where the store and the log live), HOST and PERF (published programs, instead of publishing them here).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${1:-3} size=${SIZE_MIB:-1024} each=${SECONDS_EACH:-8} writing=${WRITE_SECONDS:-20} depth=${DEPTH:-4}
. "$root/perf/serve.sh"

# Little memory for frames, so that reads take the same way, to the disk cache, before and after what they read is warm.
serve --export "disk:${size}M" --set Tuning:DeleteGrace=0s --set Tuning:CheckpointIdle=2s --set Tuning:MemoryCacheBytes=16M

load() { "$perf" run --uri "nbd://127.0.0.1:$port/disk" --region-mib "$size" --ratio 1 "$@"; }
settled() {
  curl -s "http://127.0.0.1:$((port + 1))/metrics" | awk '$1 == "zeroflow_store_settled_bytes_total" { printf "%.0f", $2 }'
}
reads() {
  local before after line
  before=$(settled)
  line=$(load --workload randread4k --depth "$depth" --seconds "$each" --warmup 1 --seed "$1" |
    awk '/^ *[Rr]ead/ { for (i = 1; i < NF; i++) if ($i ~ /^(p50|p99|p99\.9|max)$/) printf "%s | ", $(i + 1) }')
  after=$(settled)
  printf '| %s | %s%s |\n' "$2" "$line" "$(((after - before) / 1048576))"
}

echo "4 KiB random reads, $depth at once, over $size MiB; $(date -u +%Y-%m-%d), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg), commit $(git -C "$root" rev-parse --short HEAD)"
echo
echo "| round | p50 us | p99 us | p99.9 us | max us | settled meanwhile MiB |"
echo "|---|---:|---:|---:|---:|---:|"
load --workload write128k --seconds 1 --fill >/dev/null
for round in $(seq "$rounds"); do
  load --workload randwrite8k --depth 16 --seconds "$writing" --warmup 0 --seed "$round" >/dev/null
  start=$(settled)
  for _ in $(seq 300); do [ "$(settled)" != "$start" ] && break; sleep 0.1; done
  reads "$round" "$round, settling"
  last=
  while now=$(settled) && [ "$now" != "$last" ]; do last=$now; sleep 12; done
  reads "$round" "$round, at rest"
done
