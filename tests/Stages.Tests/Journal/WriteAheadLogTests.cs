using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Journal;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.Journal;

public sealed class WriteAheadLogTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(250);

    [Fact]
    public async Task Live_rolled_and_replayed_records_read_back_and_released_ones_say_so()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        for (int i = 0; i < 12; i++) await bench.AppendAsync(200_000);
        await bench.HandOverAsync();
        for (ulong s = 1; s <= 12; s++) await bench.AssertReadsBackAsync(s);
        await bench.KillAsync();
        await bench.OpenAsync();
        for (ulong s = 1; s <= 12; s++) await bench.AssertReadsBackAsync(s);
        WalBench.Record first = bench[1];
        bench.Release(8);
        Assert.False(await bench.Wal.TryReadAsync(first.Position, first.Header, new byte[first.Payload.Length]));
        await bench.AssertReadsBackAsync(12);
    }

    // Goal: a read that runs beside its record's release gets the right bytes or a plain no, never another record's.
    [Fact]
    public async Task Reads_beside_releases_and_reused_files_give_the_record_or_nothing()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        for (int round = 0; round < 30; round++)
        {
            var records = new List<WalBench.Record>();
            for (int i = 0; i < 8; i++) records.Add(await bench.AppendAsync(200_000));
            await bench.HandOverAsync();
            Task reader = Task.Run(async () =>
            {
                byte[] read = new byte[200_000];
                foreach (WalBench.Record record in records)
                {
                    if (await bench.Wal.TryReadAsync(record.Position, record.Header, read))
                        Assert.Equal(record.Payload, read);
                }
            }, TestContext.Current.CancellationToken);
            bench.Release(bench.Last - 4);
            await bench.AppendAsync(200_000);
            await bench.HandOverAsync();
            await reader;
        }

        Assert.True(bench.Disk.Creations < 15);
    }

    // Goal: a sync that runs while segments roll over and are released covers all that was handed over before it.
    [Fact]
    public async Task Syncs_beside_roll_overs_and_releases_cover_what_was_handed_over()
    {
        for (int seed = 0; seed < 8; seed++)
        {
            await using var bench = new WalBench(seed);
            await bench.OpenAsync();
            ulong handedOver = 0;
            ulong synced = 0;

            // Slow enough for segments to roll over while a sync is under way.
            bench.Disk.OnSync = static () => Thread.Sleep(3);
            using var done = new CancellationTokenSource();
            Task syncer = Task.Run(() =>
            {
                while (!done.IsCancellationRequested)
                {
                    ulong point = Volatile.Read(ref handedOver);
                    bench.Wal.Sync();
                    synced = point;
                    Thread.Yield();
                }
            }, TestContext.Current.CancellationToken);
            for (int i = 0; i < 100; i++)
            {
                await bench.AppendAsync(100_000);
                await bench.HandOverAsync();
                Volatile.Write(ref handedOver, bench.Last);
                if (i % 13 == 12 && i > 40) bench.Release(bench.Last - 40);
            }

            await done.CancelAsync();
            await syncer;
            ulong mustBeThere = Math.Max(synced, bench.Committed);
            await bench.CrashAsync(seed * 4);
            bench.Replay();
            Assert.InRange(bench.Last, mustBeThere, 100ul);
        }
    }

    [Fact]
    public async Task Records_of_every_size_around_a_page_s_end_stay_in_the_file()
    {
        for (int payload = 174_600; payload < 174_700; payload += 3)
        {
            await using var bench = new WalBench();
            await bench.OpenAsync();
            for (int i = 0; i < 13; i++) await bench.AppendAsync(payload);
            await bench.HandOverAsync();
            await bench.KillAsync();
            bench.Replay();
            Assert.Equal(13ul, bench.Last);
        }
    }

    [Fact]
    public async Task A_full_disk_holds_writes_back_until_there_is_room()
    {
        var time = new ManualTimeProvider();
        await using var bench = new WalBench { Time = time };
        await FillToTheBrimAsync(bench);
        Task waiting = bench.AppendAsync(WriteAheadLog.RecordPayloadBytesMax);
        Assert.False(waiting.IsCompleted);
        bench.Disk.CapacityBytes = long.MaxValue;
        await time.RunUntilDoneAsync(waiting, Step, TimeSpan.FromSeconds(10));
        await bench.HandOverAsync();
        await bench.KillAsync();
        bench.Replay();
        Assert.Equal(bench.HandedOver, bench.Last);
    }

    [Fact]
    public async Task A_disk_that_stays_full_refuses_the_write_and_nothing_else()
    {
        var time = new ManualTimeProvider();
        await using var bench = new WalBench { Time = time };
        await FillToTheBrimAsync(bench);
        ulong before = bench.Last;
        Task refused = bench.AppendAsync(WriteAheadLog.RecordPayloadBytesMax);
        var fault = await Assert.ThrowsAsync<StorageFaultException>(
            () => time.RunUntilDoneAsync(refused, Step, TimeSpan.FromMinutes(2)));
        Assert.Equal(FaultKind.Full, fault.Kind);
        Assert.Equal(before, bench.Last);
        bench.Sync();
        await bench.AssertReadsBackAsync(1);

        // There is room again: the next write does not wait for a clock that stands still.
        bench.Disk.CapacityBytes = long.MaxValue;
        await bench.AppendAsync(WriteAheadLog.RecordPayloadBytesMax).WaitAsync(
            TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        await bench.HandOverAsync();
        await bench.KillAsync();
        bench.Replay();
        Assert.Equal(before + 1, bench.Last);
    }

    // Goal: released space is what a full disk waits for.
    [Fact]
    public async Task A_release_makes_room_on_a_full_disk()
    {
        var time = new ManualTimeProvider();
        await using var bench = new WalBench { Time = time };
        await FillToTheBrimAsync(bench);
        Task waiting = bench.AppendAsync(WriteAheadLog.RecordPayloadBytesMax);
        Assert.False(waiting.IsCompleted);
        bench.Release(10);
        await time.RunUntilDoneAsync(waiting, Step, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task After_a_failed_write_nothing_is_acknowledged_any_more()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        await bench.AppendAsync(1000);
        await bench.HandOverAsync();
        bench.Disk.WritesBeforeFault = 0;
        await bench.AppendAsync(1000);
        await AssertUnavailableAsync(bench.HandOverAsync);
        bench.Disk.WritesBeforeFault = null;
        await AssertUnavailableAsync(bench.HandOverAsync);
        await AssertUnavailableAsync(() => bench.AppendAsync(1000));
        Assert.Throws<StorageFaultException>(bench.Sync);
    }

    // Goal: pages that FasterLog writes by itself, when they fill, fail the same way.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_write_that_fails_when_a_page_fills_fails_the_log(int writesBefore)
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        bench.Disk.WritesBeforeFault = writesBefore;
        await AssertUnavailableAsync(async () =>
        {
            for (int i = 0; i < 30; i++) await bench.AppendAsync(200_000);
            await bench.HandOverAsync();
        });
        bench.Disk.WritesBeforeFault = null;
        await AssertUnavailableAsync(bench.HandOverAsync);
        Assert.Throws<StorageFaultException>(bench.Sync);
    }

    [Fact]
    public async Task After_a_failed_sync_nothing_is_acknowledged_any_more()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        await bench.AppendAsync(1000);
        await bench.HandOverAsync();
        bench.Disk.SyncsBeforeFault = 0;
        Assert.Throws<StorageFaultException>(bench.Sync);
        Assert.Throws<StorageFaultException>(bench.Sync);
        await AssertUnavailableAsync(bench.HandOverAsync);
    }

    // Goal: the kernel reports a lost page to one sync only; one that started beside it must not say yes.
    [Fact]
    public async Task A_sync_beside_a_failing_one_fails_too()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        await bench.AppendAsync(1000);
        await bench.HandOverAsync();
        using var entered = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        bench.Disk.OnSync = () =>
        {
            entered.Release();
            go.Wait();
        };
        bench.Disk.SyncsBeforeFault = 0;
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Task first = Task.Run(bench.Wal.Sync, cancellation);
        await entered.WaitAsync(cancellation);
        Task second = Task.Run(bench.Wal.Sync, cancellation);
        Assert.False(await entered.WaitAsync(100, cancellation));
        go.Release(2);
        await Assert.ThrowsAsync<StorageFaultException>(() => first);
        await Assert.ThrowsAsync<StorageFaultException>(() => second);
    }

    // Goal: zeroing a new file takes long; readers, releases and gauges do not wait for it.
    [Fact]
    public async Task Making_a_file_holds_nobody_else_up()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        for (int i = 0; i < 5; i++) await bench.AppendAsync(200_000);
        await bench.HandOverAsync();
        using var entered = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        bench.Disk.OnCreate = () =>
        {
            entered.Release();
            go.Wait();
        };
        Task appends = Task.Run(async () =>
        {
            for (int i = 0; i < 5; i++) await bench.AppendAsync(200_000);
        }, TestContext.Current.CancellationToken);
        Assert.True(await entered.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        try
        {
            await Task.Run(() =>
            {
                bench.Sync();
                bench.Release(3);
                Assert.True(bench.Wal.BytesOnDisk > 0);
            }, TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        }
        finally
        {
            go.Release(100);
        }

        await appends;
    }

    [Fact]
    public async Task A_file_that_cannot_be_made_fails_the_log()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        bench.Disk.CreateFails = true;
        await AssertUnavailableAsync(async () =>
        {
            for (int i = 0; i < 10; i++) await bench.AppendAsync(200_000);
        });
        await AssertUnavailableAsync(bench.HandOverAsync);
    }

    [Fact]
    public async Task A_segment_size_that_is_no_multiple_of_a_sector_works()
    {
        await using var bench = new WalBench { Options = new StoreOptions { WalSegmentBytes = 1_300_001 } };
        await bench.OpenAsync();
        for (int i = 0; i < 40; i++) await bench.AppendAsync(123_457);
        await bench.HandOverAsync();
        await bench.KillAsync();
        bench.Replay();
        Assert.Equal(40ul, bench.Last);
    }

    // The next file is prepared ahead of need: the disk is full from the second segment on, and the segment too.
    private static async Task FillToTheBrimAsync(WalBench bench)
    {
        bench.Disk.CapacityBytes = 2 * WalBench.SegmentBytes;
        await bench.OpenAsync();
        do await bench.AppendAsync(100_000);
        while (bench[bench.Last].Position.Segment == bench[1].Position.Segment);
        for (int i = 0; i < 8; i++) await bench.AppendAsync(100_000);
        await bench.HandOverAsync();
    }

    private static async Task AssertUnavailableAsync(Func<Task> work)
    {
        var fault = await Assert.ThrowsAsync<StorageFaultException>(work);
        Assert.Equal(FaultKind.Unavailable, fault.Kind);
    }
}
