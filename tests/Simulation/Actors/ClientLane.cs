using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Simulation.Oracle;
using ZeroFlow.Simulation.World;

namespace ZeroFlow.Simulation.Actors;

/// <summary>
/// A client with one request under way on one export; several make a connection's depth, and several connections. It
/// alone writes its blocks, and its FLUSH covers what every other client of the export was told.
/// </summary>
internal sealed class ClientLane(SimulatedServer server, int export, int firstBlock, int blocks, BufferPool buffers)
{
    private const int RunBlocksMax = 6;

    private readonly SimulatedWorld _world = server.Process.World;
    private readonly IBlockDevice _device = server.Device(export);

    private StoreOracle Oracle => server.Oracle;

    private DurabilityLevel Level => SimulatedServer.Exports[export].Level;

    /// <summary>Goes on until the store refuses.</summary>
    public async Task RunAsync()
    {
        try
        {
            while (true)
            {
                while (server.ClientsRest) await server.Process.Sleep(_world.Between(100, 1_000));
                if (_world.Chance(0.5)) await server.Process.Sleep(_world.Between(0, 40));
                await (_world.Random.Next(20) switch
                {
                    < 11 => WriteAsync(),
                    < 13 => ZeroAsync(),
                    < 17 => FlushAsync(),
                    _ => ReadAsync(),
                });
            }
        }
        catch (StorageFaultException fault) when (fault.Kind is FaultKind.Fenced or FaultKind.Closing or FaultKind.Unavailable)
        {
            // The store told that it ends; what was not answered may or may not be there.
        }
    }

    private async Task WriteAsync()
    {
        var (first, count) = Run();
        bool forced = _world.Chance(0.1);
        BufferLease payload = buffers.Rent(count * BlockStamp.BlockBytes);
        var issued = new BlockVersion[count];
        for (int i = 0; i < count; i++)
        {
            ulong stamp = (ulong)_world.Random.NextInt64(1, long.MaxValue);
            BlockStamp.Fill(payload.Span.Slice(i * BlockStamp.BlockBytes, BlockStamp.BlockBytes), stamp);
            issued[i] = Oracle.Issue(export, first + i, stamp);
        }

        await TellAsync(
            _device.WriteAsync((long)first * BlockStamp.BlockBytes, payload, forced, CancellationToken.None), issued, first, forced);
    }

    private async Task ZeroAsync()
    {
        var (first, count) = Run();
        bool forced = _world.Chance(0.1);
        BlockVersion[] issued = [.. Enumerable.Range(0, count).Select(i => Oracle.Issue(export, first + i, 0))];
        var range = new BlockRange((long)first * BlockStamp.BlockBytes, (long)count * BlockStamp.BlockBytes);
        await TellAsync(_device.ZeroAsync(range, forced, CancellationToken.None), issued, first, forced);
    }

    private async Task TellAsync(ValueTask operation, BlockVersion[] issued, int first, bool forced)
    {
        try
        {
            await operation;
            await ConfirmAsync();
        }
        catch (StorageFaultException full) when (full.Kind == FaultKind.Full)
        {
            return;
        }

        foreach (BlockVersion version in issued) Oracle.Answer(version);
        if (!forced) return;
        for (int i = 0; i < issued.Length; i++)
        {
            CheckSuccessor(first + i, Oracle.NumberOf(export, first + i, issued[i]));
            Oracle.Forced(export, first + i, Level);
        }
    }

    private async Task FlushAsync()
    {
        int[] point = Oracle.FlushPoint(export);
        try
        {
            await _device.FlushAsync(CancellationToken.None);
            await ConfirmAsync();
        }
        catch (StorageFaultException full) when (full.Kind == FaultKind.Full)
        {
            return;
        }

        for (int block = 0; block < point.Length; block++) CheckSuccessor(block, point[block]);
        Oracle.Flushed(export, point, Level);
    }

    private async Task ReadAsync()
    {
        var (first, count) = Run();
        byte[] bytes = new byte[count * BlockStamp.BlockBytes];
        await _device.ReadAsync((long)first * BlockStamp.BlockBytes, bytes, CancellationToken.None);
        for (int i = 0; i < count; i++)
        {
            Oracle.CheckRead(
                export, first + i, BlockStamp.Read(bytes.AsSpan(i * BlockStamp.BlockBytes, BlockStamp.BlockBytes)));
        }
    }

    // As the NBD server does: asked until the answer comes at once, so that nothing lies between it and the reply.
    private async Task ConfirmAsync()
    {
        while (true)
        {
            ValueTask confirmed = _device.ConfirmAsync();
            bool atOnce = confirmed.IsCompletedSuccessfully;
            await confirmed;
            if (atOnce) break;
        }

        if (server.MustBeSilent)
            throw new BrokenPromiseException($"{server.Process.Name} slept through a takeover and acknowledged afterwards.");
    }

    private void CheckSuccessor(int block, int version)
    {
        if (Level == DurabilityLevel.Published && server.SeenBySuccessor is { } seen && version > seen[export][block])
            throw new BrokenPromiseException($"{server.Process.Name} was replaced, and then said that version {version} of block {block} is published; its successor has {seen[export][block]}.");
    }

    private (int First, int Count) Run()
    {
        int count = _world.Random.Next(1, Math.Min(RunBlocksMax, blocks) + 1);
        return (firstBlock + _world.Random.Next(blocks - count + 1), count);
    }
}
