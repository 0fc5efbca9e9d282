#!/bin/bash
# Runs in the machine that scripts/test-boot.sh boots, once in each boot. What it says goes to the console.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_PAGER='' PAGER=cat
exec 2>&1
trap 'echo "BOOT FAILED at line $LINENO"; systemctl --no-pager -l status zeroflow zeroflow-attach zeroflow-pool postgresql@15-main | head -n 80; systemctl list-jobs --no-pager; journalctl --no-pager -b -p warning | tail -n 40; zpool status' ERR
say() { echo "BOOT ok $*"; }
sql() { (cd / && runuser -u postgres -- psql -X -A -t -q "$@"); }
units=(zeroflow.service zeroflow-attach.service zeroflow-pool.service postgresql@15-main.service)
since() { systemctl show -P ActiveEnterTimestampMonotonic "$1"; }
# The order in which the journal of a boot has the messages about the units: order BOOT WORD
order() {
  local unit
  for unit in "${units[@]}"; do
    journalctl --no-pager -q -b "$1" -o short-monotonic "_PID=1" "UNIT=$unit" | grep -a "$2" | tail -n 1 |
      sed "s/^\[ *\([0-9.]*\)\].*/\1 $unit/"
  done | sort -n | cut -d' ' -f2 | tr '\n' ' '
}
forwards="zeroflow.service zeroflow-attach.service zeroflow-pool.service postgresql@15-main.service "
backwards="postgresql@15-main.service zeroflow-pool.service zeroflow-attach.service zeroflow.service "

number=$(($(cat /boot-number 2> /dev/null || echo 0) + 1))
echo $number > /boot-number
if [ $number -eq 1 ]; then
  [ "$(systemctl is-active zeroflow.service)" = active ]
  say "the package's service came up"
  bash /guide.sh > /guide.log 2>&1 || { tail -n 20 /guide.log; false; }
  sql -c 'create table kept (boot int)' -c 'insert into kept values (1)'
  say "the commands of the guide work, and the units start"
else
  # Nothing was said to start: what is up was brought up by the boot.
  for _ in $(seq 300); do systemctl is-active --quiet postgresql@15-main && break; sleep 1; done
  for unit in "${units[@]}"; do [ "$(systemctl is-active "$unit")" = active ]; done
  last=0
  for unit in "${units[@]}"; do
    [ "$(since "$unit")" -gt $last ]
    last=$(since "$unit")
  done
  say "server, device, pool and database came up in this order"
  [ "$(sql -c 'select string_agg(boot::text, $$,$$ order by boot) from kept')" = "$(seq -s , $((number - 1)))" ]
  zpool status tank | grep -q 'errors: No known data errors'
  sql -c "insert into kept values ($number)"
  say "the rows are there, and the pool has no errors"
  [ "$(order -1 'Stopped')" = "$backwards" ] || { order -1 'Stopped'; journalctl --no-pager -q -b -1 _PID=1 | tail -n 40; false; }
  ! journalctl --no-pager -q -b -1 _PID=1 | grep -aE 'Failed with result|timed out|State .stop-sig'
  ! journalctl --no-pager -q -b -1 -k | grep -aE 'I/O error|Receive control failed|suspended'
  journalctl --no-pager -q -b -1 -u zeroflow -o cat | grep -q 'Stopped: everything is published'
  say "the shutdown before it was the other way round, without an error, and everything was published"
fi
if [ $number -eq 3 ]; then
  systemctl restart zeroflow
  for unit in "${units[@]}"; do
    for _ in $(seq 300); do [ "$(systemctl is-active "$unit")" = active ] && break; sleep 1; done
    [ "$(systemctl is-active "$unit")" = active ]
  done
  sql -c 'insert into kept values (4)'
  [ "$(order 0 'Stopped')" = "$backwards" ]
  [ "$(order 0 'Started\|Finished')" = "$forwards" ]
  say "systemctl restart zeroflow stops all four and starts them again, in order"
fi
echo "BOOT end"
