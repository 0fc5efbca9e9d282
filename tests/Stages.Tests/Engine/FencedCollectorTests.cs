using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// What is deleted, and by whom, when servers take the store over from each other.
public sealed class FencedCollectorTests
{
    private static readonly TimeSpan Never = TimeSpan.FromDays(10);

    // The sweep removes what fenced writers left behind. Their seals look like that, and are what keeps them out.
    [Fact]
    public async Task Seals_outlive_every_sweep()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        string orphan = ChainNames.Table(new ChainPosition(1, 500));
        byte[] image = new byte[4 << 20];
        for (int term = 1; term <= 4; term++)
        {
            if (term == 3) bench.Objects.Plant(orphan, new byte[1000]);
            RunningStore store = await bench.OpenAsync(term % 2 == 0 ? "a" : "b");
            TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published, image: image);
            await disk.FillAsync(term * 10_000, 15_000, (byte)term);
            await disk.FlushAsync();
            if (term >= 3) await StoreBench.UntilAsync(() => bench.Objects.Peek(orphan) is null && store.Store.Space.WaitingObjects == 0);
            await store.DisposeAsync();
        }

        int seals = bench.Objects.Keys(ChainNames.ChainPrefix).Count(key => bench.Objects.Peek(key)!.Length == SealObject.Bytes);
        Assert.Equal(4, seals);
    }

    // What it had sent and not committed may be part of the chain, in front of the seal, and its checkpoint would lack it.
    [Fact]
    public async Task A_server_that_was_taken_over_makes_no_checkpoint_any_more()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { CheckpointTables = 1000, CheckpointIdle = TimeSpan.FromHours(1), MapBytes = 1 << 30 };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk disk = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 1 << 16, 1);
        await disk.FlushAsync();
        bench.Options = bench.Options with { CheckpointIdle = Never };
        RunningStore second = await bench.OpenAsync("b");
        await StoreBench.RefusesAsync(FaultKind.Fenced, async () =>
        {
            await disk.FillAsync(0, 512, 2);
            await disk.FlushAsync();
        });

        // Whatever is due comes between two errands.
        bench.Time.Skip(TimeSpan.FromHours(2));
        for (int errand = 0; errand < 2; errand++)
            await first.Store.ScrubAsync(new ScrubOptions(), static _ => { }, StoreBench.Cancellation);

        Assert.Empty(bench.Objects.Keys(ChainNames.CheckpointPrefix));
        Assert.Null(second.Store.Status.Fault);
    }

    // The old server's checkpoint is under way when it is taken over. Once that is stored, the pages that it replaced are
    // dead to the old server; the new one has started from them.
    [Fact]
    public async Task A_server_that_is_taken_over_during_its_checkpoint_deletes_nothing_that_the_next_one_starts_from()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore first = await bench.OpenAsync("a");
        TestDisk disk = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 1 << 20, 1);
        await disk.FlushAsync();
        await StoreBench.UntilAsync(() => bench.Objects.Keys(ChainNames.CheckpointPrefix).Count > 0 && first.Store.Space.WaitingObjects == 0);

        // Held is the first checkpoint that covers the writes which follow; one that is older goes on.
        var written = new TaskCompletionSource<ulong>(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bench.Objects.BeforeCall = async (call, stopping) =>
        {
            if (call.Operation != StoreOperation.Create || !ChainNames.TryParseCheckpoint(call.Key, out ChainPosition at)) return;
            if (at.Number < await written.Task.WaitAsync(stopping)) return;
            begun.TrySetResult();
            await goOn.Task.WaitAsync(stopping);
        };
        for (int at = 0; at < 1 << 20; at += 64 * 1024) await disk.FillAsync(at, 512, 2);
        await disk.FlushAsync();
        written.SetResult(first.Store.Status.LastTable);
        await begun.Task.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        bench.Options = bench.Options with { CheckpointTables = 1000, CheckpointIdle = Never };
        RunningStore second = await bench.OpenAsync("b");
        goOn.SetResult();

        StorageFaultException cause = await first.Store.Fatal.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.Equal(FaultKind.Fenced, cause.Kind);
        await second.Find("disk", disk.Image).CheckAllAsync();
    }
}
