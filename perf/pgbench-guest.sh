# What the guest does for perf/run-pgbench.sh, behind tests/guest/library.sh. zeroflow-perf writes what it is to do in front:
# task (prepare or measure), address (HOST:PORT/EXPORT), scale, seconds, clients, go (a file in /jobs, the modes behind it).

# PostgreSQL and ZFS have little memory, so that a database of some hundred MiB is larger than it.
buffers_mib=32 arc_mib=64
modprobe zfs zfs_arc_max=$((arc_mib << 20)) zfs_arc_min=$((32 << 20)) || give_up "modprobe zfs"
attach /dev/nbd0 "$address" || give_up attach

start_with_little_memory() {
  mkdir -p /tmp/sockets && chmod 777 /tmp/sockets
  rm -f /data/pg/postmaster.pid
  as_postgres $bin/pg_ctl -D /data/pg -w -t 300 -l /tmp/pg.log \
    -o "-k /tmp/sockets -c shared_buffers=${buffers_mib}MB -c checkpoint_timeout=5min -c max_wal_size=1GB" start > /dev/null ||
    { tail -n 20 /tmp/pg.log; give_up "start of PostgreSQL"; }
}

# measure MODE PGOPTIONS PGBENCH_OPTION...: waits until it may begin, says BENCH MODE TPS P50 P99 TRANSACTIONS (times in
# us), and BENCH SYNCED when all that was written is on the disk.
measure() {
  local mode=$1 settings=$2
  shift 2
  echo "BENCH READY $mode"
  until [ -e "/jobs/$go-$mode" ]; do sleep 0.1; done
  rm -rf /tmp/log && mkdir -m 777 /tmp/log
  as_postgres env "PGOPTIONS=$settings" $bin/pgbench -h /tmp/sockets -p $port -n -c "$clients" -j 2 -T "$seconds" \
    -l --log-prefix=/tmp/log/t "$@" bench > /tmp/bench.log 2>&1 || { cat /tmp/bench.log; give_up "pgbench $mode"; }
  cat /tmp/log/t* | awk '{ print $3 }' | sort -n > /tmp/times
  awk -v mode="$mode" -v tps="$(awk '/^tps/ { print $3 }' /tmp/bench.log)" '{ times[NR] = $1 }
    END {
      if (NR == 0) { print "BENCH", mode, 0, 0, 0, 0; exit }
      half = int((NR + 1) / 2); tail = int(NR * 0.99); if (tail < NR * 0.99) tail++
      print "BENCH", mode, tps, times[half], times[tail], NR
    }' /tmp/times

  # What the transactions wrote is on the disk when this has been said.
  sql -d bench -c checkpoint
  zpool sync tank
  echo "BENCH SYNCED $mode"
}

case $task in
  prepare)
    make_pool /dev/nbd0
    make_database
    start_with_little_memory
    sql -d postgres -c 'create database bench'
    as_postgres $bin/pgbench -h /tmp/sockets -p $port -i -q -s "$scale" bench > /tmp/load.log 2>&1 ||
      { cat /tmp/load.log; give_up "pgbench -i"; }
    stop_database
    for try in $(seq 20); do zpool export tank 2> /tmp/export.log && exit 0; sleep 0.5; done
    cat /tmp/export.log
    give_up "zpool export"
    ;;
  measure)
    import_pool
    start_with_little_memory
    measure tpcb-commit "-c synchronous_commit=on"
    measure tpcb-async "-c synchronous_commit=off"
    measure select "" -S
    stop_database
    ;;
esac
