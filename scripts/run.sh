#!/bin/bash
# Builds ZeroFlow and serves a block device on the embedded default: a directory as the object store.
# Arguments go to `zeroflow serve`; see `scripts/run.sh --help`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if ! command -v dotnet >/dev/null; then
  echo "run: the .NET 10 SDK is needed, and there is no dotnet on the PATH" >&2
  exit 1
fi
if ! (cd "$root" && dotnet --version >/dev/null 2>&1); then
  echo "run: the .NET SDK that global.json asks for is not installed; there is: $(dotnet --list-sdks | tr '\n' ' ')" >&2
  exit 1
fi

missing=()
libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
case $libraries in *libargon2.so.1*) ;; *) missing+=(libargon2-1) ;; esac
case $libraries in *libzstd.so.1*) ;; *) missing+=(libzstd1) ;; esac
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "run: install ${missing[*]} first (on Debian: sudo apt-get install ${missing[*]})" >&2
    exit 1
  fi
  apt-get -o DPkg::Lock::Timeout=300 update -qq >/dev/null 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
fi

exec dotnet run -c Release --project "$root/src/Host" -- serve "$@"
