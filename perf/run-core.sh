#!/bin/sh
# Publishes the host and compares it with the reference servers: the default matrix, three rounds, ZeroFlow as the base.
#   perf/run-core.sh [further options of zeroflow-perf compare, such as --rounds 5]
# Writes perf/results/<date>-core.md and .json. From the environment: PEERS (comma-separated; the first is the base of
# ratios), NAME (of the result), DIR (where the servers keep their files: the filesystem under test).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

. "$root/perf/publish.sh"

cd "$root"
name=${NAME:-$(date -u +%Y-%m-%d)-core}
"$perf" compare \
  --peers "${PEERS:-zeroflow,zeroflow-published,nbdkit-memory,nbdkit-file,qemu-nbd}" \
  --zeroflow "$host" \
  --dir "${DIR:-$work}" \
  --title "ZeroFlow and reference servers, core matrix" \
  --out "$root/perf/results/$name" "$@"
