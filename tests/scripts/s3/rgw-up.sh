#!/bin/bash
# Bring up a single-node Ceph cluster and its RADOS Gateway (S3) on loopback, as root, without systemd.
#   rgw-up.sh DIR [ACCESS_KEY SECRET_KEY BUCKET]
# Environment:
#   PORT=8100            S3 port; monitor on PORT+90 and PORT+91, OSD and clients on PORT+100..PORT+150 (MON_PORT moves them)
#   STORE=bluestore      bluestore or filestore (acknowledged objects survive kill -9; DIR may be on tmpfs)
#                        | memstore (in the OSD's memory: gone when it stops; quickest to start)
#   SIZE_GB=20           size of the OSD's sparse file (bluestore) or memory (memstore)
#   KEEP=1               restart daemons over an existing DIR (do not recreate)
#   INSTALL=1            install missing Debian packages; 0 fails instead
# Prints "endpoint http://127.0.0.1:PORT" at the end. Stop with rgw-down.sh DIR.
set -euo pipefail
DIR=${1:?usage: rgw-up.sh DIR [ACCESS SECRET BUCKET]}
AK=${2:-zeroflow}; SK=${3:-zeroflow-secret}; BUCKET=${4:-zeroflow-test}
PORT=${PORT:-8100}; MON_PORT=${MON_PORT:-$((PORT+90))}; STORE=${STORE:-bluestore}; SIZE_GB=${SIZE_GB:-20}
RGW_THREADS=${RGW_THREADS:-64}
t0=${EPOCHREALTIME/./}
lap(){ local n=$(( ${EPOCHREALTIME/./} - t0 )); printf '[%d.%03d s] %s\n' $((n/1000000)) $((n/1000%1000)) "$*"; }

need=""
for p in radosgw ceph-mon ceph-osd ceph:ceph-common curl; do
  command -v "${p%%:*}" >/dev/null || need="$need ${p##*:}"
done
if [ -n "$need" ]; then
  [ "${INSTALL:-1}" = 1 ] || { echo "missing:$need" >&2; exit 1; }
  for try in 1 2 3; do
    apt-get -o DPkg::Lock::Timeout=300 update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $need >/dev/null && break
    [ $try = 3 ] && { echo "could not install$need" >&2; exit 1; }; sleep 5
  done
  lap "installed$need"
fi
if curl -s -o /dev/null "http://127.0.0.1:$PORT/"; then echo "port $PORT is already in use" >&2; exit 1; fi

mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd)
CONF=$DIR/ceph.conf; export CEPH_CONF=$CONF CEPH_ARGS="-c $CONF"
mkdir -p "$DIR"/{mon,osd,rgw,run,log}
fresh=1; [ -f "$DIR/.created" ] && [ "${KEEP:-0}" = 1 ] && fresh=0
if [ $fresh = 1 ]; then
  rm -rf "$DIR"/{mon,osd,rgw,run,log}/* "$DIR/.created"
  FSID=$(cat /proc/sys/kernel/random/uuid)
  cat > "$CONF" <<C
[global]
fsid = $FSID
mon_host = [v2:127.0.0.1:$MON_PORT,v1:127.0.0.1:$((MON_PORT+1))]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_port_min = $((MON_PORT+10))
ms_bind_port_max = $((MON_PORT+60))
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = true
mon_warn_on_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
run_dir = $DIR/run
log_file = $DIR/log/\$name.log
admin_socket = $DIR/run/\$name.asok
pid_file = $DIR/run/\$name.pid
crash_dir = $DIR/run
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_max_pg_per_osd = 1000
# the default of 1 s per map change makes pool creation slow
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_subscribe_interval = 1
# logs off: they cost CPU
debug_ms = 0/0
debug_rgw = 0/0
debug_osd = 0/0
debug_bluestore = 0/0
debug_rocksdb = 0/0
debug_mon = 0/0
[mon.a]
mon_data = $DIR/mon
mon_initial_members = a
mon_data_avail_warn = 1
mon_data_avail_crit = 0
[osd.0]
osd_data = $DIR/osd
osd_objectstore = $STORE
osd_memory_target = 1073741824
osd_op_num_shards = 2
osd_scrub_begin_hour = 3
osd_scrub_end_hour = 4
bluestore_block_size = $((SIZE_GB*1024*1024*1024))
bluestore_block_db_create = false
bluestore_block_wal_create = false
memstore_device_bytes = $((SIZE_GB*1024*1024*1024))
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
osd_journal = $DIR/osd/journal
osd_journal_size = 1024
[client.rgw]
# radosgw asks for a secure monitor session by default, which "auth none" cannot give
ms_mon_client_mode = crc
auth_client_required = none
# without tcp_nodelay small answers wait 40 ms for a delayed ACK
rgw_frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1
rgw_data = $DIR/rgw
rgw_thread_pool_size = $RGW_THREADS
rgw_rados_pool_pg_num_min = 4
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
rgw_enable_ops_log = false
rgw_enable_usage_log = false
rgw_gc_obj_min_wait = 30
rgw_gc_processor_period = 30
rgw_gc_processor_max_time = 30
rgw_max_put_size = 5368709120
rgw_cache_enabled = true
C
  monmaptool --create --clobber --fsid "$FSID" --addv a "[v2:127.0.0.1:$MON_PORT,v1:127.0.0.1:$((MON_PORT+1))]" "$DIR/monmap" >/dev/null
  ceph-mon -c "$CONF" -i a --mkfs --monmap "$DIR/monmap" >/dev/null
  lap "mon mkfs"
fi
start(){ # name, command...
  local n=$1; shift
  setsid "$@" </dev/null >"$DIR/log/$n.out" 2>&1 &
  echo $! > "$DIR/run/$n.shpid"
}
start mon ceph-mon -c "$CONF" -i a -f
for i in $(seq 100); do ceph -c "$CONF" --connect-timeout 5 fsid >/dev/null 2>&1 && break; sleep 0.1; done
lap "mon up"
if [ $fresh = 1 ]; then
  OSDID=$(cat /proc/sys/kernel/random/uuid)
  ceph -c "$CONF" osd new "$OSDID" >/dev/null
  ceph-osd -c "$CONF" -i 0 --mkfs --osd-uuid "$OSDID" >/dev/null 2>&1
  lap "osd mkfs ($STORE)"
  # never refuse to create pools/objects for want of a mgr
  ceph -c "$CONF" osd set-require-min-compat-client luminous >/dev/null 2>&1 || true
fi
# after a kill -9 the map still calls the OSD up: say it is down, so that "up" below means the new process
[ $fresh = 1 ] || ceph -c "$CONF" osd down 0 >/dev/null 2>&1 || true
start osd ceph-osd -c "$CONF" -i 0 -f
for i in $(seq 300); do ceph -c "$CONF" osd stat 2>/dev/null | grep -q "1 up" && break; sleep 0.1; done
lap "osd up"
if [ $fresh = 1 ]; then
  # 1-OSD crush rule already exists (replicated_rule, chooseleaf osd)
  ceph -c "$CONF" osd require-osd-release pacific --yes-i-really-mean-it >/dev/null 2>&1 || true
fi
if [ $fresh = 1 ]; then
  radosgw-admin -c "$CONF" -n client.rgw user create --uid=zeroflow --display-name=ZeroFlow \
     --access-key="$AK" --secret-key="$SK" >"$DIR/user.json" 2>"$DIR/log/user.err"
  lap "user created"
fi
start rgw radosgw -c "$CONF" -n client.rgw -f
for i in $(seq 600); do
  curl -s -o /dev/null "http://127.0.0.1:$PORT/" && break
  kill -0 "$(cat "$DIR/run/rgw.shpid")" 2>/dev/null || { echo "radosgw ended, see $DIR/log" >&2; exit 1; }
  sleep 0.1
done
lap "radosgw answers"
if [ $fresh = 1 ]; then
  # curl 7.88 does not add x-amz-content-sha256 itself, and S3 servers refuse the request without it
  curl -sf -X PUT -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 "aws:amz:us-east-1:s3" --user "$AK:$SK" "http://127.0.0.1:$PORT/$BUCKET" -o /dev/null
  lap "bucket $BUCKET created"
fi
touch "$DIR/.created"
echo "endpoint http://127.0.0.1:$PORT bucket $BUCKET access $AK secret $SK region us-east-1 (path style)"
