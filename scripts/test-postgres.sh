#!/bin/bash
# PostgreSQL on ZFS on NBD on ZeroFlow, with crashes of every part: all scenarios, about fifteen minutes. Needs root.
# The last lines are those of scripts/test.sh; the guest that it runs in is built first (scripts/build-guest.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export ZEROFLOW_LONG=1
scripts/install-test-tools.sh
scripts/build-guest.sh
dotnet build tests/System.Tests -c Release -v quiet
exec dotnet test tests/System.Tests -c Release --no-build --filter "FullyQualifiedName~Postgres" \
  --logger "console;verbosity=detailed"
