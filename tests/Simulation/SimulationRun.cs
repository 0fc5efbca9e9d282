using System.Globalization;
using ZeroFlow.Simulation.Actors;
using ZeroFlow.Simulation.World;

namespace ZeroFlow.Simulation;

/// <summary>What happened in one run.</summary>
internal sealed class RunReport
{
    private readonly SortedDictionary<string, int> _counts = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, int> Counts => _counts;

    public long Steps { get; set; }

    public long PoolSteps { get; set; }

    public TimeSpan Simulated { get; set; }

    public ulong Trace { get; set; }

    public void Add(string what, int times = 1) => _counts[what] = _counts.GetValueOrDefault(what) + times;
}

/// <summary>One seed, played from its beginning to its end.</summary>
internal static class SimulationRun
{
    public const int Rounds = 8;

    private const long StepsMax = 20_000_000;

    /// <exception cref="SimulationFailedException">A promise was broken, or the run hangs; says how to replay it.</exception>
    public static RunReport Play(int seed)
    {
        var world = new SimulatedWorld(seed);
        var report = new RunReport();
        try
        {
            world.RunUntil(new Director(world, seed, report).RunAsync(Rounds), TimeSpan.FromHours(2), StepsMax);
        }
        catch (Exception fault)
        {
            throw new SimulationFailedException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Seed {seed}: {fault.Message}\nReplay: dotnet run --project tests/Simulation -c Release -- --seed {seed}"),
                fault);
        }

        (report.Steps, report.PoolSteps, report.Simulated, report.Trace) =
            (world.Steps, world.PoolSteps, world.Now, world.Trace);
        return report;
    }
}

/// <summary>A seed that failed.</summary>
internal sealed class SimulationFailedException(string message, Exception cause) : Exception(message, cause);
