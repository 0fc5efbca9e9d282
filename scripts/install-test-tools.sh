#!/bin/bash
# Installs the Debian packages that the tests drive: real NBD clients, a real S3 server, promtool, strace.
# Idempotent and quiet: says nothing when everything is there. Needs root only when something is missing.
set -euo pipefail

# scripts/test-package.sh and scripts/newcomer.sh name what they need themselves.
packages=(
  libargon2-1 libzstd1                            # what the server itself loads
  libnbd-bin python3-libnbd qemu-utils fio        # clients
  qemu-system-common                              # qemu-storage-daemon, the client that waits for its server
  nbd-client nbdkit                               # clients, and a reference server for the tests' own client
  radosgw ceph-mon ceph-osd ceph-common curl      # the S3 server
  haproxy                                         # latency in front of it
  prometheus                                      # promtool
  systemd                                         # systemd-socket-activate
  strace                                          # proof of what is synced
  chromium fonts-dejavu-core bsdutils             # the live page, and script(1) for zeroflow top
  e2fsprogs xfsprogs mount                        # file systems whose power fails
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-test-tools: run as root, or install by hand: ${missing[*]}" >&2
  exit 1
fi

# Packages such as prometheus start their daemon on installation; this asks them not to.
policy=/usr/sbin/policy-rc.d
ours=0
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  ours=1
fi
log=$(mktemp)
cleanup() {
  rm -f "$log"
  if [ "$ours" = 1 ]; then rm -f "$policy"; fi
}
trap cleanup EXIT

export DEBIAN_FRONTEND=noninteractive
for attempt in 1 2 3; do
  apt-get -o DPkg::Lock::Timeout=300 update -qq >>"$log" 2>&1 || true
  if apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    break
  fi
  if [ "$attempt" = 3 ]; then
    tail -n 20 "$log" >&2
    echo "install-test-tools: could not install ${missing[*]}" >&2
    exit 1
  fi
  sleep 5
done

# Where there is a service manager, what was just installed must not come up at the next boot either.
if [ -d /run/systemd/system ]; then
  for package in "${missing[@]}"; do
    case $package in
      prometheus | haproxy) systemctl disable --now --quiet "$package" >/dev/null 2>&1 || true ;;
    esac
  done
fi
echo "installed ${missing[*]}"
