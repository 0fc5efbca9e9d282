using Xunit;

namespace ZeroFlow.Stages.Tests.Journal;

// What a crash may take and what it may not, over many seeds. OpenAsync checks the replay against the model.
public sealed class CrashTests
{
    // Goal: a contiguous prefix with every synced record, across power losses in a row, releases and used files.
    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    [InlineData(2000)]
    [InlineData(3000)]
    public async Task What_was_synced_survives_power_loss_after_power_loss(int firstSeed)
    {
        for (int seed = firstSeed; seed < firstSeed + 55; seed++)
        {
            await using var bench = new WalBench(seed);
            await Run(bench, seed, async crash => await bench.CrashAsync(crash));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    public async Task What_was_handed_over_survives_kill_after_kill(int firstSeed)
    {
        for (int seed = firstSeed; seed < firstSeed + 25; seed++)
        {
            await using var bench = new WalBench(seed);
            await Run(bench, seed, async _ => await bench.KillAsync());
        }
    }

    // Goal: a kill leaves unsynced pages, and the power loss behind it takes nothing that the replay had handed out.
    [Fact]
    public async Task What_a_replay_found_survives_a_power_loss_right_after_it()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            await using var bench = new WalBench(seed);
            await Run(bench, seed, async crash =>
            {
                await bench.KillAsync();
                await bench.OpenAsync();
                await bench.CrashAsync(crash);
            });
        }
    }

    private static async Task Run(WalBench bench, int seed, Func<int, Task> crash)
    {
        try
        {
            await bench.OpenAsync();
            for (int life = 0; life < 3; life++)
            {
                await bench.RunAsync(5 + (seed % 20));
                await crash(seed * 31 + life);
                await bench.OpenAsync();
                foreach (ulong sequence in bench.Replayed) await bench.AssertReadsBackAsync(sequence);
            }
        }
        catch (Exception fault)
        {
            throw new InvalidOperationException($"Seed {seed} failed: {fault.Message}", fault);
        }
    }
}
