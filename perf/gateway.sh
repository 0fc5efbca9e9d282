# Sourced by what measures over S3: a working directory $work and a place for files $files, both gone with the script, and
# start_gateway, which starts Ceph's RADOS gateway at $port with the bucket zeroflow-perf; it ends with the script. From the
# environment: PORT, DIR, STORE_DISK and SIZE_GB.
work=$(mktemp -d)
files=$(mktemp -d -p "${DIR:-$work}")
port=${PORT:-8100}
cleanup() {
  bash "$root/tests/scripts/s3/rgw-down.sh" "$files/ceph" purge
  rm -rf "$work" "$files"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start_gateway() {
  export AWS_ACCESS_KEY_ID=zeroflow AWS_SECRET_ACCESS_KEY=zeroflow-secret
  PORT=$port STORE=${STORE_DISK:-memstore} SIZE_GB=${SIZE_GB:-10} \
    bash "$root/tests/scripts/s3/rgw-up.sh" "$files/ceph" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" zeroflow-perf >&2
}
