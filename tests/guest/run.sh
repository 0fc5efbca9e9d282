#!/bin/bash
# Runs one job in the guest (scripts/build-guest.sh) and prints its console until it ends.
#   tests/guest/run.sh FILE      a piece of bash; it runs behind library.sh, and what it is told by files is in /jobs
# Environment: ZEROFLOW_GUEST, where the guest is; MEMORY_MIB (1536). Only one guest at a time in one place: they share their
# root directory. A signal ends the guest as a loss of power would.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest=${ZEROFLOW_GUEST:-${HOME:-/root}/.cache/zeroflow-guest}
[ -e "$guest/recipe" ] || { echo "There is no guest in $guest: scripts/build-guest.sh builds it." >&2; exit 1; }
work=$(mktemp -d)
name=job-$$
network= kernel=
set -m
end() {
  trap - EXIT INT TERM
  # The kernel is several processes, which outlive the first one: its group is ended.
  for process in $kernel $network; do kill -KILL -- "-$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
  rm -rf "$work" "$guest/root/jobs/$name"
}
trap end EXIT
trap 'end; exit 143' INT TERM

cat "$here/library.sh" "$1" > "$guest/root/jobs/$name"
install -m 755 "$here/init.sh" "$guest/root/guest-init"
slirp4netns --target-type=bess --disable-dns "$work/net" > "$work/network.log" 2>&1 &
network=$!
until [ -S "$work/net" ]; do
  kill -0 "$network" 2>/dev/null || { cat "$work/network.log" >&2; exit 1; }
  sleep 0.05
done
"$guest/linux" "mem=${MEMORY_MIB:-1536}M" root=/dev/root rootfstype=hostfs "rootflags=$guest/root" rw init=/guest-init \
  "job=$name" "vec0:transport=bess,dst=$work/net,depth=128,gro=1" con0=fd:0,fd:1 con=null "uml_dir=$work/" "umid=$name" quiet \
  < /dev/null &
kernel=$!
wait "$kernel" || true
kernel=
