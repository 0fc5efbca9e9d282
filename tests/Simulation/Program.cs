using System.Globalization;
using ZeroFlow.Simulation;

// dotnet run --project tests/Simulation -c Release -- --seed 7            plays one seed, twice, and compares the traces
// dotnet run --project tests/Simulation -c Release -- --from 1 --count 500 plays many; stops at the first failure.
// --go-on does not stop; --from 2 --step 5 plays those that keep their past.
long Argument(string name, long fallback)
{
    int at = Array.IndexOf(args, name);
    return at < 0 ? fallback : long.Parse(args[at + 1], CultureInfo.InvariantCulture);
}

int only = (int)Argument("--seed", 0);
int from = only != 0 ? only : (int)Argument("--from", 1);
int count = only != 0 ? 2 : (int)Argument("--count", 100);
int step = (int)Argument("--step", 1);
var totals = new SortedDictionary<string, int>(StringComparer.Ordinal);
long steps = 0;
TimeSpan simulated = TimeSpan.Zero;
int failures = 0;
for (int i = 0; i < count; i++)
{
    int seed = only != 0 ? only : from + (i * step);
    try
    {
        RunReport report = SimulationRun.Play(seed);
        foreach (var (what, times) in report.Counts) totals[what] = totals.GetValueOrDefault(what) + times;
        steps += report.Steps;
        simulated += report.Simulated;
        if (only != 0) Console.WriteLine($"seed {seed}: trace {report.Trace:x16}, {report.Steps} steps, {report.PoolSteps} of them through the pool, {report.Simulated}");
    }
    catch (SimulationFailedException failed)
    {
        failures++;
        Console.WriteLine(only != 0 ? failed.ToString() : failed.Message);
        if (only == 0 && Array.IndexOf(args, "--go-on") < 0) break;
    }
}

Console.WriteLine($"{count} runs, {failures} failed, {steps} steps, {simulated} of simulated time");
Console.WriteLine(string.Join(", ", totals.Select(pair => $"{pair.Key} {pair.Value}")));
return failures == 0 ? 0 : 1;
