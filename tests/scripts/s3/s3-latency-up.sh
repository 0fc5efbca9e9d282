#!/bin/bash
# Put S3-like latency in front of any S3 endpoint on loopback: HAProxy (Debian) with a Lua sleep.
#   s3-latency-up.sh DIR LISTEN_PORT TARGET_PORT
# Environment: BASE_MS=15 (floor) MEDIAN_EXTRA_MS=7 SIGMA=0.6 (log-normal tail) MAX_MS=400
#   -> with the defaults: p50 about 22 ms, p90 about 30, p99 about 43 to the first byte, on top of the server's own time
#   FAIL_PERMILLE=0 (503 on that many of 1000 requests, before they reach the server)
# Prints the pid file. Stop with: kill $(cat DIR/haproxy.pid). Needs no kernel feature such as netem.
set -euo pipefail
DIR=${1:?}; LPORT=${2:?}; TPORT=${3:?}; mkdir -p "$DIR"
command -v haproxy >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends haproxy >/dev/null
cat > "$DIR/delay.lua" <<L
local base, med, sigma, maxms = ${BASE_MS:-15}, ${MEDIAN_EXTRA_MS:-7}, ${SIGMA:-0.6}, ${MAX_MS:-400}
math.randomseed(${SEED:-os.time()})
local function gauss() return math.sqrt(-2*math.log(1-math.random()))*math.cos(2*math.pi*math.random()) end
core.register_action("s3delay", {"http-req"}, function(txn)
  local ms = base
  if med > 0 then ms = ms + med*math.exp(sigma*gauss()) end
  if ms > maxms then ms = maxms end
  -- core.msleep takes whole milliseconds
  ms = math.floor(ms + 0.5)
  if ms > 0 then core.msleep(ms) end
end)
L
cat > "$DIR/haproxy.cfg" <<C
global
  maxconn 4096
  nbthread ${THREADS:-1}
  lua-load $DIR/delay.lua
  tune.bufsize 131072
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
frontend s3
  bind 127.0.0.1:$LPORT
  http-request deny deny_status 503 if { rand(1000) lt ${FAIL_PERMILLE:-0} }
  http-request lua.s3delay
  default_backend srv
backend srv
  # the client's Host header is passed on unchanged, so that signatures stay valid
  server rgw 127.0.0.1:$TPORT pool-max-conn 512
C
haproxy -c -f "$DIR/haproxy.cfg" >/dev/null
haproxy -D -p "$DIR/haproxy.pid" -f "$DIR/haproxy.cfg"
echo "pidfile $DIR/haproxy.pid endpoint http://127.0.0.1:$LPORT -> 127.0.0.1:$TPORT"
