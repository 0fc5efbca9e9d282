#!/bin/bash
# Publishes zeroflow as one self-contained file for each platform: no .NET is needed where it runs. It is compiled ahead of
# time, so that a server which has just started is not busy compiling itself.
#   scripts/publish.sh [--version VERSION] [--output DIRECTORY] [RUNTIME...]     default: linux-x64 linux-arm64, into dist/
# What it still loads from the system: libargon2.so.1 (required) and libzstd.so.1 (faster than the managed port beside it),
# and OpenSSL for TLS. A platform whose runtime cannot be restored is named, and the exit status is 1 then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

output=dist version=
runtimes=()
while [ $# -gt 0 ]; do
  case $1 in
    --version) version=$2; shift 2 ;;
    --output) output=$2; shift 2 ;;
    linux-*) runtimes+=("$1"); shift ;;
    *) echo "publish: unknown argument $1" >&2; exit 2 ;;
  esac
done
[ ${#runtimes[@]} -gt 0 ] || runtimes=(linux-x64 linux-arm64)
mkdir -p "$output"
output=$(cd "$output" && pwd)

# Lock files and intermediate files of its own: restoring for a platform would change those of the solution.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
for runtime in "${runtimes[@]}"; do
  arguments=(src/Host -c Release -r "$runtime" --self-contained -v quiet
    --artifacts-path "$work/$runtime" -o "$output/$runtime" -p:PublishLock="$work/$runtime.locks/"
    -p:PublishSingleFile=true -p:PublishReadyToRun=true -p:DebugType=none -p:PublishDocumentationFiles=false)
  [ -n "$version" ] && arguments+=(-p:Version="$version")
  rm -rf "${output:?}/$runtime"
  if dotnet publish "${arguments[@]}" > "$work/log" 2>&1; then
    echo "$output/$runtime/zeroflow ($(du -m "$output/$runtime/zeroflow" | cut -f1) MiB)"
  else
    failed+=("$runtime")
    grep -m 3 -E 'error' "$work/log" >&2 || tail -n 5 "$work/log" >&2
    if grep -q 'NU1101\|NU1102' "$work/log"; then
      echo "publish: $runtime needs a package source that has Microsoft.NETCore.App.Runtime.$runtime," \
        "Microsoft.AspNetCore.App.Runtime.$runtime and Microsoft.NETCore.App.Host.$runtime" >&2
    else
      echo "publish: $runtime could not be published" >&2
    fi
  fi
done
[ ${#failed[@]} -eq 0 ]
