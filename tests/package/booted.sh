#!/bin/bash
# Runs inside of the container that scripts/test-package.sh boots: the service as systemd runs it, an upgrade under clients,
# a kill, and a hang. The last line of /booted.log is "booted: done" when all was well.
set -euo pipefail
exec > /booted.log 2>&1
export LC_ALL=C SYSTEMD_PAGER='' SYSTEMD_COLORS=0
trap 'echo "FAILED at line $LINENO"; systemctl status -l zeroflow.service zeroflow.socket || true; journalctl -n 40 -u zeroflow || true' ERR
url=nbd://127.0.0.1:10809/disk0
main() { systemctl show -P MainPID zeroflow.service; }
active() { # waits until the service is up, as another process than $1
  for _ in $(seq 600); do
    [ "$(systemctl is-active zeroflow.service)" = active ] && [ "$(main)" != "${1:-0}" ] && return 0
    sleep 0.1
  done
  return 1
}

active
systemctl show -P StatusText zeroflow.service | grep -q '^Ready: clients can attach to 1 export(s) on 127.0.0.1:10809$'
[ "$(nbdinfo --size "$url")" = 10737418240 ]
echo "ok the service is active on its socket, hardened as its unit says"

zeroflow export ls --admin unix:/run/zeroflow/admin.socket | grep -q disk0
runuser -u nobody -- zeroflow export ls --admin unix:/run/zeroflow/admin.socket && false
echo "ok root manages it over the admin socket, and nobody else"

# By its priority in the journal, and without the first steps that a person at a terminal gets.
[ "$(journalctl -u zeroflow -p warning --no-pager -q -o cat | wc -l)" = 0 ]
journalctl -u zeroflow -o cat --no-pager | grep -q 'Ready: 1 export'
journalctl -u zeroflow -o cat --no-pager | grep -q 'Ctrl+C' && false
echo "ok the journal has its lines by priority"

# An upgrade under a client that reconnects, with others that come and go all the time.
commands=()
for i in $(seq 60); do commands+=(-c "write -P $i $((i * 8))k 4k" -c flush -c "read -P $i $((i * 8))k 4k" -c "sleep 200"); done
qemu-io "${commands[@]}" --image-opts driver=nbd,host=127.0.0.1,port=10809,export=disk0,reconnect-delay=60 > /qemu-io.log 2>&1 &
attached=$!
touch /go-on
(count=0; while [ -e /go-on ]; do nbdinfo --size "$url" > /dev/null || { echo "a client was refused"; exit 1; }; count=$((count + 1)); done; echo "$count clients were served") > /comers.log 2>&1 &
comers=$!
sleep 1
before=$(main)
DEBIAN_FRONTEND=noninteractive dpkg -i /new.deb > /upgrade.log 2>&1
active "$before"
zeroflow version | grep -q '^zeroflow 0\.0\.2 '
wait "$attached"
! grep -i 'failed' /qemu-io.log
rm /go-on
wait "$comers"
echo "ok an upgrade restarts it under clients: $(tail -n 1 /comers.log), none was refused, and the attached one went on"

before=$(main)
kill -9 "$before"
active "$before"
qemu-io -r -f raw -c 'read -P 60 480k 4k' "$url" > /dev/null
echo "ok a killed server comes back with its data"

mkdir -p /run/systemd/system/zeroflow.service.d
printf '[Service]\nWatchdogSec=3\n' > /run/systemd/system/zeroflow.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart zeroflow.service
active
before=$(main)
sleep 5
[ "$(main)" = "$before" ]
kill -STOP "$before"
active "$before"
journalctl -u zeroflow --no-pager | grep -q 'Watchdog timeout'
echo "ok the watchdog leaves a good server alone and restarts one that hangs"

systemctl stop zeroflow.socket zeroflow-admin.socket zeroflow.service
[ "$(systemctl show -P Result zeroflow.service)" = success ]
[ ! -e /run/zeroflow/admin.socket ]
echo "ok it stops, and its socket goes"
echo "booted: done"
