# Sourced by the run-*.sh: publishes below $work what is measured, as users run it (compiled ahead of time), and what measures.
# HOST and PERF name programs to take instead. Sets host and perf.
runtime=linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
host=${HOST:-$work/host/$runtime/zeroflow} perf=${PERF:-$work/perf/zeroflow-perf}
[ -n "${HOST:-}" ] || "$root/scripts/publish.sh" --output "$work/host" "$runtime" >&2
[ -n "${PERF:-}" ] || dotnet publish "$root/perf/Load/ZeroFlow.Perf.csproj" -c Release -o "$work/perf" -v quiet
