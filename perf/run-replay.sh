#!/bin/sh
# Replays the captured traces against ZeroFlow (journaled), nbdkit file and qemu-nbd, in turns, closed and open loop.
#   perf/run-replay.sh [further options of zeroflow-perf compare-replay, such as --rounds 1 --seconds 10]
# Writes perf/results/<date>-replay.md and .json; about seven minutes a round. From the environment: PEERS
# (comma-separated), NAME (of the result), TRACES (files; default perf/traces), STORE (ZeroFlow's object store; default
# a directory; with s3://, credentials as for zeroflow serve), DIR (where the servers keep their files).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

. "$root/perf/publish.sh"

cd "$root"
# Traces are separated by blanks: their names have none.
"$perf" compare-replay ${TRACES:-perf/traces/*.csv.gz} \
  --peers "${PEERS:-zeroflow,nbdkit-file,qemu-nbd}" \
  --zeroflow "$host" \
  ${STORE:+--store "$STORE"} \
  --dir "${DIR:-$work}" \
  --title "ZFS and ext4 traces replayed" \
  --out "perf/results/${NAME:-$(date -u +%Y-%m-%d)-replay}" "$@"
