# Sourced by what measures servers that it starts itself: a working directory $work and a place for files $files, both gone with the
# script, which ends whatever it left running; the published $host and $perf; and serve OPTIONS..., which starts ZeroFlow on $files at
# $port, its admin page at the next one, and waits until it is ready: $server. From the environment: DIR, HOST and PERF.
work=$(mktemp -d)
files=$(mktemp -d -p "${DIR:-$work}")
cleanup() {
  local running
  running=$(jobs -p)
  # shellcheck disable=SC2086 # one word for each process
  [ -z "$running" ] || { kill $running 2>/dev/null || true; wait || true; }
  rm -rf "$work" "$files"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

. "$root/perf/publish.sh"

port=$((20000 + RANDOM % 20000))
export ZEROFLOW_PASSPHRASE=measured
serve() {
  "$host" serve --store "file://$files/store" --data "$files/data" --listen "127.0.0.1:$port" \
    --admin "127.0.0.1:$((port + 1))" "$@" >"$work/log" 2>&1 &
  server=$!
  for _ in $(seq 600); do curl -sf "http://127.0.0.1:$((port + 1))/readyz" >/dev/null && break; sleep 0.1; done
}
