#!/bin/bash
# Installs what the tests need, builds with warnings as errors, checks the format, runs every test project, sums up.
# The last line reads "N passed, M failed" (", K skipped" when there are any); the exit status is 0 only if all is well.
#   scripts/test.sh [PROJECT...]     for example: scripts/test.sh Pipeline.Tests; without arguments, all of them
# Environment: CI=true makes a missing tool a failure instead of a skipped test; ZEROFLOW_LONG=1 runs the long forms.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
passed=0 failed=0 skipped=0 broken=()
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# A run that stops early still ends with the line that callers read.
finish() {
  local problem
  for problem in "${broken[@]}"; do echo "PROBLEM: $problem"; done
  local line="$passed passed, $failed failed"
  [ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
  echo "$line"
  [ "$failed" -eq 0 ] && [ ${#broken[@]} -eq 0 ]
  exit
}

step() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }

step "tools"
if ! scripts/install-test-tools.sh; then
  [ "${CI:-}" = true ] && broken+=("the test tools could not be installed")
fi

# Without the guest, what needs it is skipped, with the reason.
if [ $# -eq 0 ] || [[ " $* " == *" System.Tests "* ]]; then
  step "guest"
  scripts/build-guest.sh || echo "build-guest: the tests that need the guest are skipped"
fi

step "restore"
dotnet restore ZeroFlow.sln --locked-mode -v quiet || { broken+=("restore failed"); finish; }

step "build"
dotnet build ZeroFlow.sln -c Release --no-restore -warnaserror -v quiet || { broken+=("build failed"); finish; }

step "format"
dotnet format ZeroFlow.sln --no-restore --verify-no-changes || broken+=("dotnet format would change files")

# Reads one counter of a trx file: <Counters total="3" executed="3" passed="3" failed="0" .../>
counter() { grep -o '<Counters [^>]*' "$2" | grep -o " $1=\"[0-9]*\"" | grep -o '[0-9]*'; }

projects=("$@")
if [ ${#projects[@]} -eq 0 ]; then
  # System.Tests takes longest and needs most: whatever is wrong lower down shows first.
  for directory in tests/*.Tests; do
    [ "$directory" = tests/System.Tests ] || projects+=("$(basename "$directory")")
  done
  projects+=(System.Tests)
fi

for project in "${projects[@]}"; do
  step "$project"
  trx=$results/$project.trx
  # A test that hangs is named, and costs ten minutes instead of the run.
  timeout --kill-after=30 1500 dotnet test "tests/$project" -c Release --no-build -v quiet \
    --blame-hang-timeout 10m --blame-hang-dump-type none \
    --logger "trx;LogFileName=$trx" --logger "console;verbosity=minimal"
  status=$?
  if [ ! -s "$trx" ]; then
    broken+=("$project left no result (exit status $status)")
    continue
  fi
  total=$(counter total "$trx") executed=$(counter executed "$trx") good=$(counter passed "$trx")
  if [ "${executed:-0}" -eq 0 ]; then broken+=("$project ran no test"); fi
  passed=$((passed + good))
  failed=$((failed + executed - good))
  skipped=$((skipped + total - executed))
  if [ "$status" -ne 0 ] && [ "$executed" -eq "$good" ]; then broken+=("$project ended with status $status"); fi
done

step "sum"
finish
