#!/bin/bash
# Compares the server's drain to an S3 server with a plain parallel PUT loop of the same bytes, in turns.
#   perf/run-upload.sh S3_URL [ROUNDS]      credentials as for `zeroflow serve`; e.g. after tests/scripts/s3/rgw-up.sh
# The drain is timed from the first byte that a client writes to the moment when the bucket holds all of them.
set -euo pipefail
url=${1:?usage: run-upload.sh S3_URL [ROUNDS]} rounds=${2:-3} mib=512
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
export ZEROFLOW_PASSPHRASE=perf
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
. "$root/perf/publish.sh"
head -c ${mib}M /dev/urandom >"$work/image"
dirty() { curl -s http://127.0.0.1:10910/metrics | awk '$1 == "zeroflow_store_dirty_bytes" {print $2}'; }
base=${url%%\?*} query=${url#"$base"}

for round in $(seq "$rounds"); do
  "$perf" upload --store "$base/put$query" --total-mib $mib
  "$host" serve --store "$base/drain-$RANDOM$RANDOM$query" --data "$work/data" --listen 127.0.0.1:10909 \
    --admin 127.0.0.1:10910 --export "disk:${mib}M" >"$work/log" 2>&1 &
  pid=$!
  until [ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:10910/readyz)" = 200 ]; do sleep 0.1; done
  start=$EPOCHREALTIME
  nbdcopy --flush "$work/image" nbd://127.0.0.1:10909/disk
  copied=$EPOCHREALTIME
  until [ "$(dirty)" = 0 ]; do sleep 0.05; done
  awk -v s="$start" -v c="$copied" -v e="$EPOCHREALTIME" -v m=$mib 'BEGIN {
    printf "ZeroFlow: %.1f MiB/s to the bucket (%d MiB; the client was done after %.1f s, at %.1f MiB/s)\n", m/(e-s), m, c-s, m/(c-s)}'
  kill "$pid"; wait "$pid" 2>/dev/null || true
  pid=
  rm -rf "$work/data"
done
