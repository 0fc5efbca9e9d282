#!/bin/bash
# Overwrites a small export for a while and reports what the store keeps and what keeping it small costs.
#   perf/run-settle.sh [MINUTES] [WORKLOAD]     (5, randwrite8k; see zeroflow-perf run --help for workloads)
# Prints a Markdown table. Environment: SIZE (of the export, 4G), RATIO (compression that the data allows, 1),
# DIR (where the store and the log live), IDLE (seconds to wait at the end, 150), SET (further options of serve).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
minutes=${1:-5} workload=${2:-randwrite8k} size=${SIZE:-4G} ratio=${RATIO:-1} idle=${IDLE:-150}
. "$root/perf/serve.sh"

# Deletes follow their checkpoint at once, so that what is measured is settling and not the grace period.
# shellcheck disable=SC2086 # words on purpose
serve --export "disk:$size" --set Tuning:DeleteGrace=0s ${SET:-}

value() { curl -s "http://127.0.0.1:$((port + 1))/metrics" | awk -v name="$1" '$1 == name { printf "%.0f", $2 }'; }
written() {
  curl -s "http://127.0.0.1:$((port + 1))/metrics" |
    awk '/^zeroflow_export_bytes_total/ && /write/ { sum += $2 } END { printf "%.0f", sum }'
}
stored() { find "$files/store/chain" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum }'; }
mib() { echo $(($1 / 1048576)); }
row() {
  local written settled
  written=$(written) settled=$(value zeroflow_store_settled_bytes_total)
  printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$(mib "$written")" "$(mib "$settled")" \
    "$(awk -v w="$written" -v s="$settled" 'BEGIN { printf "%.2f", w ? (w + s) / w : 0 }')" \
    "$(mib "$(value zeroflow_store_live_bytes)")" "$(mib "$(stored)")" "$(mib "$(value zeroflow_store_map_bytes)")"
}

echo "$workload for $minutes min over $size, data compresses $ratio:1, $(date -u +%Y-%m-%d), $(nproc) cores, commit $(git -C "$root" rev-parse --short HEAD)"
echo
echo "| minute | written MiB | settled MiB | write amplification | live MiB | tables MiB | map MiB |"
echo "|---|---:|---:|---:|---:|---:|---:|"
"$perf" memory --uri "nbd://127.0.0.1:$port/disk" --pid "$server" --minutes "$minutes" \
  --workload "$workload" --depth 16 --ratio "$ratio" >"$work/load" &
load=$!
for minute in $(seq "${minutes%.*}"); do sleep 60; row "$minute"; done
wait "$load"
row "end"
sleep "$idle"
row "$idle s later"
echo
tail -n 3 "$work/load"
