# What the jobs of the guest are made of. Sourced by them; every line that the host reads begins with a word in capitals.
bin=/usr/lib/postgresql/15/bin
port=5499
set -o pipefail
export PAGER=cat

say() { echo "GUEST $*"; }
give_up() {
  say "FAILED $*"
  exit 1
}
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp "$@"; }
sql() { as_postgres $bin/psql -h /tmp/sockets -p $port -qAt -P pager=off -v ON_ERROR_STOP=1 "$@"; }

# attach DEVICE HOST:PORT/EXPORT: by the kernel's own client, over four connections.
attach() {
  local address=${2%%/*}
  nbd-client "${address%:*}" "${address#*:}" "$1" -C 4 -b 4096 -timeout 60 -N "${2#*/}" > /tmp/attach.log 2>&1 ||
    { cat /tmp/attach.log; return 1; }
}

load_zfs() { modprobe zfs zfs_arc_max=$((256 << 20)) zfs_txg_timeout=2 || give_up "modprobe zfs"; }

# make_pool VDEV...: the pool and the data set that the guide recommends.
make_pool() {
  zpool create -f -o ashift=12 -o cachefile=none -o failmode=wait -O atime=off -O compression=off -O recordsize=8k \
    -O logbias=latency -O xattr=sa -m none tank "$@" && zfs create -o mountpoint=/data tank/pg || give_up "zpool create"
}

import_pool() { zpool import -f -o cachefile=none -d /dev tank || give_up "zpool import"; }

make_database() {
  chown postgres /data
  as_postgres $bin/initdb -k -D /data/pg -A trust --no-locale -E UTF8 > /tmp/initdb.log 2>&1 ||
    { cat /tmp/initdb.log; give_up initdb; }
  # A record is never torn on ZFS, so full pages need not be written; its files are never overwritten in place.
  printf '%s\n' "listen_addresses=''" port=$port shared_buffers=64MB max_wal_size=256MB checkpoint_timeout=30s \
    full_page_writes=off wal_init_zero=off wal_recycle=off >> /data/pg/postgresql.conf
}

start_database() {
  mkdir -p /tmp/sockets && chmod 777 /tmp/sockets
  rm -f /data/pg/postmaster.pid
  as_postgres $bin/pg_ctl -D /data/pg -w -t 300 -l /tmp/pg.log -o "-k /tmp/sockets" start > /dev/null ||
    { tail -n 20 /tmp/pg.log; give_up "start of PostgreSQL"; }
}

stop_database() { as_postgres $bin/pg_ctl -D /data/pg -w -t 300 -m fast stop > /dev/null || give_up "stop of PostgreSQL"; }

load_benchmark() {
  sql -d postgres -c 'create database bench' -c 'create database books'
  as_postgres $bin/pgbench -h /tmp/sockets -p $port -i -q -s "$1" bench > /tmp/load.log 2>&1 ||
    { cat /tmp/load.log; give_up "pgbench -i"; }
  sql -d books -c 'create table ledger (writer int, entry int, primary key (writer, entry))'
}

# keep_ledger WRITERS: each inserts 1, 2, 3... and says LEDGER WRITER ENTRY once PostgreSQL has answered the commit. What
# was said is outside of the guest, on the host: nothing that happens here takes it back.
keep_ledger() {
  local writer
  for ((writer = 1; writer <= $1; writer++)); do
    awk -v w=$writer 'BEGIN { for (n = 1; ; n++) printf "insert into ledger values (%d, %d);\n\\echo LEDGER %d %d\n", w, n, w, n }' |
      as_postgres stdbuf -oL $bin/psql -h /tmp/sockets -p $port -qAt -v ON_ERROR_STOP=1 -d books 2>&1 &
  done
}

# Everything that PostgreSQL and ZFS can find wrong with themselves.
check_everything() {
  sql -d books -c "select 'FOUND', writer, min(entry), max(entry), count(*) from ledger group by writer order by writer" -F ' ' ||
    give_up "reading the ledger"
  local sums
  sums=$(sql -d bench -c 'select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from pgbench_history)
    and (select sum(tbalance) from pgbench_tellers) = (select coalesce(sum(delta), 0) from pgbench_history)
    and (select sum(bbalance) from pgbench_branches) = (select coalesce(sum(delta), 0) from pgbench_history)')
  [ "$sums" = t ] || give_up "the sums of pgbench differ: $sums"
  as_postgres $bin/pg_amcheck -h /tmp/sockets -p $port --install-missing --heapallindexed -a > /tmp/amcheck.log 2>&1 ||
    { cat /tmp/amcheck.log; give_up pg_amcheck; }
  stop_database
  as_postgres $bin/pg_checksums -D /data/pg --check > /tmp/checksums.log 2>&1 || { cat /tmp/checksums.log; give_up pg_checksums; }
  zpool scrub -w tank || give_up "zpool scrub"
  zpool status -v tank > /tmp/status
  grep -q 'scrub repaired 0B in .* with 0 errors' /tmp/status && grep -q 'errors: No known data errors' /tmp/status ||
    { cat /tmp/status; give_up "the scrub found errors"; }
  say SOUND
}
