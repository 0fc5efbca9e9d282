#!/bin/bash
# pgbench on PostgreSQL on OpenZFS in a guest, whose disk is served by ZeroFlow in both levels, by the local disk (nbdkit), by
# s3backer and by an emulated server of four round trips for each FLUSH, in turns, over a real S3 server (Ceph's RADOS gateway)
# with 0 and 20 ms added.
#   perf/run-pgbench.sh [further options of zeroflow-perf compare-pgbench, such as --rounds 1 --scales 2 --latencies 20]
# Writes perf/results/<date>-pgbench.md, .json and plots; about 40 minutes with the default of two rounds and two scales. Installs
# what is missing and builds the guest, as root. From the environment: PORT (of the gateway, 8100; others up to 150 above it are
# taken), NAME (of the result), DIR (where all keep their files), STORE_DISK=bluestore (the gateway's; memstore, in memory, is the
# default), ZEROFLOW_GUEST (where the guest is).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/perf/gateway.sh"

"$root/scripts/build-guest.sh" >&2
missing=()
for package in s3backer nbdkit libnbd-bin slirp4netns; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
. "$root/perf/publish.sh"
start_gateway

cd "$root"
"$perf" compare-pgbench "127.0.0.1:$port" zeroflow-perf \
  --zeroflow "$host" --root "$root" --dir "$files" \
  --out "perf/results/${NAME:-$(date -u +%Y-%m-%d)-pgbench}" "$@"
