using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Xunit;

namespace ZeroFlow.Simulation.Tests;

// Each run is a process of its own, the one that a replay starts: it has a thread pool of one thread.
public sealed class SeedTests
{
    // docs/testing.md says what 3, 6 and 20 found.
    [Fact]
    public async Task Fixed_seeds_keep_every_promise() => await PlayAsync(from: 1, count: 20);

    [Fact]
    public async Task Fresh_seeds_keep_every_promise() =>
        await PlayAsync(from: RandomNumberGenerator.GetInt32(1_000, int.MaxValue - 1_000), count: 3);

    private static async Task PlayAsync(int from, int count)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "ZeroFlow.Simulation.dll");
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in (string[])["exec", program, "--from", Text(from), "--count", Text(count)])
            start.ArgumentList.Add(argument);
        using Process run = Process.Start(start)!;
        Task<string> errors = run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await run.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await run.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(run.ExitCode == 0, output + await errors);
        Assert.Contains($"{count} runs, 0 failed", output, StringComparison.Ordinal);
        TestContext.Current.TestOutputHelper!.WriteLine(output);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
