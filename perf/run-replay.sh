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

# What users run: compiled ahead of time.
runtime=linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
"$root/scripts/publish.sh" --output "$work/host" "$runtime" >&2
dotnet publish "$root/perf/Load/ZeroFlow.Perf.csproj" -c Release -o "$work/perf" -v quiet

cd "$root"
# Traces are separated by blanks: their names have none.
"$work/perf/zeroflow-perf" compare-replay ${TRACES:-perf/traces/*.csv.gz} \
  --peers "${PEERS:-zeroflow,nbdkit-file,qemu-nbd}" \
  --zeroflow "$work/host/$runtime/zeroflow" \
  ${STORE:+--store "$STORE"} \
  --dir "${DIR:-$work}" \
  --title "ZFS and ext4 traces replayed" \
  --out "perf/results/${NAME:-$(date -u +%Y-%m-%d)-replay}" "$@"
