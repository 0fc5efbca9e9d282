#!/bin/bash
# Measures ZeroFlow over a real S3 server (Ceph's RADOS gateway) at added latencies of 0, 5, 20, 50 and 100 ms:
# published FLUSH beside one PUT, cold reads beside ranged GETs, random writes beside s3backer.
#   perf/run-s3.sh [further options of zeroflow-perf compare-s3, such as --rounds 1 --latencies 20]
# Writes perf/results/<date>-s3.md and .json; about seven minutes a round. Installs what is missing, as root. From the
# environment: PORT (of the gateway, 8100; others up to 150 above it are taken), NAME (of the result), DIR (where all
# keep their files), STORE_DISK=bluestore (the gateway's; memstore, in memory, is the default).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/perf/gateway.sh"

if ! command -v s3backer >/dev/null; then
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends s3backer >/dev/null
fi
. "$root/perf/publish.sh"
start_gateway

cd "$root"
"$perf" compare-s3 "127.0.0.1:$port" zeroflow-perf \
  --zeroflow "$host" --dir "$files" \
  --out "perf/results/${NAME:-$(date -u +%Y-%m-%d)-s3}" "$@"
