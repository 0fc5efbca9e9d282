using System.Runtime;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>What this process holds at a moment of rest. Means something only while no other test runs.</summary>
internal sealed record ProcessCost(long ManagedBytes, int Threads, int Sockets)
{
    /// <summary>What is held now, apart from the buffers of <paramref name="pool"/>, which counts them itself.</summary>
    public static ProcessCost Now(BufferPool pool)
    {
        GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        long managed = GC.GetTotalMemory(forceFullCollection: true) - pool.KeptBytes - pool.RentedBytes;
        return new ProcessCost(
            managed, Directory.GetDirectories("/proc/self/task").Length, CountSockets());
    }

    /// <summary>Waits until no more is held than at <paramref name="before"/>, apart from what moves by itself.</summary>
    public static async Task IsBackAtAsync(ProcessCost before, BufferPool pool, long managedBytesMore)
    {
        await TestServer.UntilAsync(() => CountSockets() <= before.Sockets, $"only {before.Sockets} sockets");

        // The thread pool keeps threads for a while.
        int threads = before.Threads + (2 * Environment.ProcessorCount) + 8;
        await TestServer.UntilAsync(
            () => Directory.GetDirectories("/proc/self/task").Length <= threads, $"at most {threads} threads");
        Assert.InRange(Now(pool).ManagedBytes - before.ManagedBytes, long.MinValue, managedBytesMore);
    }

    private static int CountSockets()
    {
        int count = 0;
        foreach (string file in Directory.GetFiles("/proc/self/fd"))
        {
            // A descriptor may be closed between the listing and the look.
            if (File.Exists(file) || new FileInfo(file).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) != true) continue;
            count++;
        }

        return count;
    }
}
