using System.Buffers.Binary;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Simulation.Oracle;
using ZeroFlow.Simulation.World;
using ZeroFlow.Stages;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Keys;

namespace ZeroFlow.Simulation.Actors;

/// <summary>
/// A process that opens the store as of moments within the retention window, beside whatever goes on, and knows what each
/// moment must show: at least what was published by then, nothing that was written later, and a prefix.
/// </summary>
internal sealed class PastReader(
    SimulatedProcess process, SimulatedBucket bucket, TimeSpan retention, BufferPool buffers, EventOrder order, RunReport report)
{
    // Tables and checkpoints bear milliseconds, so the moment has some around it in which nothing is certain.
    private static readonly TimeSpan Blur = TimeSpan.FromMilliseconds(5);

    // Where an object of the chain says when it was made: docs/formats.md.
    private const int CreatedAt = 112;

    private readonly List<Mark> _marks = [];

    // Moments before it may be refused, because the checkpoints that led to them were lost; shown as they were not, never.
    private DateTimeOffset _wholeSince;
    private int _losses;

    /// <summary>What the clients of the present were told.</summary>
    public required Func<StoreOracle> Present { get; init; }

    /// <summary>Whether the present has all its exports.</summary>
    public bool HasBegun { get; set; }

    private DateTimeOffset Now => process.Time.GetUtcNow();

    /// <summary>Goes on for ever.</summary>
    public async Task RunAsync()
    {
        for (int turn = 0; ; turn++)
        {
            await process.Sleep(process.World.Between(200, 2_000));
            if (!HasBegun) continue;
            if (turn % 2 == 0) await MarkAsync();
            else await LookAsync();
        }
    }

    /// <summary>All checkpoints are gone, until <see cref="Restored"/>: any moment may be refused.</summary>
    public void Lost()
    {
        _losses++;
        _wholeSince = DateTimeOffset.MaxValue;
    }

    /// <summary>Moments from the oldest checkpoint on that is there again, or all if there is none, can be read.</summary>
    public void Restored(byte[]? oldest) =>
        _wholeSince = oldest is null ? default : DateTimeOffset.FromUnixTimeMilliseconds(BinaryPrimitives.ReadInt64LittleEndian(oldest.AsSpan(CreatedAt)));

    private async Task MarkAsync()
    {
        int[][] published = Present().PublishedFloors();
        await process.Sleep(Blur);
        DateTimeOffset moment = Now;
        await process.Sleep(Blur);
        _marks.Add(new Mark(moment, order.Next(), published));
        _marks.RemoveAll(mark => IsOver(mark.Moment));
    }

    private async Task LookAsync()
    {
        Mark[] open = [.. _marks.Where(mark => !IsOver(mark.Moment))];
        if (open.Length == 0) return;
        Mark mark = open[process.World.Random.Next(open.Length)];
        DateTimeOffset wholeSince = _wholeSince;
        int losses = _losses;
        try
        {
            if (await ReadAsync(mark.Moment) is not { } image) return;
            Present().CheckPast(image, mark.Published, mark.Order);
            report.Add("PastRead");
        }
        catch (StorageFaultException gone) when (IsOver(mark.Moment))
        {
            report.Add($"PastGone{gone.Kind}");
        }
        catch (StorageFaultException lost) when (lost.Kind != FaultKind.Unavailable && (losses != _losses || mark.Moment < wholeSince))
        {
            report.Add("PastLost");
        }
        catch (StorageFaultException fault) when (fault.Kind != FaultKind.Unavailable)
        {
            throw new BrokenPromiseException($"{mark.Moment:O} lies {Now - mark.Moment} back, and cannot be read: {fault.Message}");
        }
        catch (StorageFaultException)
        {
            report.Add("PastUnavailable");
        }
        catch (BrokenPromiseException broken)
        {
            throw new BrokenPromiseException($"As of {mark.Moment:O}, at {Now:O}: {broken.Message}");
        }
    }

    // Null when the bucket is bad for so long that the moment is over.
    private async Task<ulong[][]?> ReadAsync(DateTimeOffset moment)
    {
        await using PastStore past = await PastStore.OpenAsync(
            new StoreOptions { MemoryCacheBytes = 128 * 1024, ReadAheadBytes = 256 * 1024 },
            new ReadingComponents
            {
                Objects = bucket,
                Time = process.Time,
                Entropy = new SeededEntropy(process.World),
                Buffers = buffers,
                Metrics = new PipelineMetrics(),
                Loggers = NullLoggerFactory.Instance,
                Passphrase = new Passphrase("simulated"),
            },
            moment,
            CancellationToken.None);
        ulong[][] image = new ulong[SimulatedServer.Exports.Length][];
        for (int export = 0; export < image.Length; export++)
        {
            // An export is made before the first mark, though not necessarily in the bucket by then.
            if (!past.TryOpen(SimulatedServer.Exports[export].Name, out IBlockDevice? device)) image[export] = new ulong[SimulatedServer.BlocksPerExport];
            else if (await TryReadAsync(device, moment) is { } blocks) image[export] = blocks;
            else return null;
        }

        return image;
    }

    private async Task<ulong[]?> TryReadAsync(IBlockDevice device, DateTimeOffset moment)
    {
        byte[] bytes = new byte[SimulatedServer.BlocksPerExport * BlockStamp.BlockBytes];
        while (!IsOver(moment))
        {
            try
            {
                await device.ReadAsync(0, bytes, CancellationToken.None);
                return BlockStamp.ReadAll(bytes);
            }
            catch (StorageFaultException away) when (away.Kind == FaultKind.Unavailable)
            {
                await process.Sleep(TimeSpan.FromSeconds(1));
            }
        }

        return null;
    }

    private bool IsOver(DateTimeOffset moment) => Now - moment >= retention;

    /// <param name="Moment">The moment.</param>
    /// <param name="Order">An event after it.</param>
    /// <param name="Published">The version of each block that had been published before it.</param>
    private sealed record Mark(DateTimeOffset Moment, long Order, int[][] Published);
}
