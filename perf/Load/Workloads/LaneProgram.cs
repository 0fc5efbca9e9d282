using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// What one lane does: a lane has one request outstanding at a time, and depth is the number of lanes of a connection.
/// Called by its connection's loop only.
/// </summary>
internal abstract class LaneProgram
{
    /// <summary>The next request, or false when the lane has nothing more to do.</summary>
    public abstract bool TryNext(out BlockRequest request);
}

/// <summary>Reads or writes of one size at offsets from a cursor.</summary>
internal sealed class TransferProgram(NbdCommand command, int length, OffsetCursor cursor) : LaneProgram
{
    public override bool TryNext(out BlockRequest request)
    {
        var more = cursor.TryNext(out var offset);
        request = new BlockRequest(command, offset, length);
        return more;
    }
}

/// <summary>Write, wait, FLUSH, wait: what a ZFS intent log does for one commit.</summary>
internal sealed class CommitProgram(int length, OffsetCursor cursor) : LaneProgram
{
    private bool _flushNext;

    public override bool TryNext(out BlockRequest request)
    {
        if (_flushNext)
        {
            _flushNext = false;
            request = new BlockRequest(NbdCommand.Flush, 0, 0, Begins: false);
            return true;
        }

        _flushNext = cursor.TryNext(out var offset);
        request = new BlockRequest(NbdCommand.Write, offset, length, Ends: false);
        return _flushNext;
    }
}

/// <summary>One write, then FLUSHes with nothing new to flush: the price of a clean FLUSH.</summary>
internal sealed class CleanFlushProgram(int length, OffsetCursor cursor) : LaneProgram
{
    private bool _written;

    public override bool TryNext(out BlockRequest request)
    {
        if (_written)
        {
            request = new BlockRequest(NbdCommand.Flush, 0, 0);
            return true;
        }

        _written = cursor.TryNext(out var offset);
        request = new BlockRequest(NbdCommand.Write, offset, length);
        return _written;
    }
}

/// <summary>Independent reads, writes and FLUSHes, drawn by chance.</summary>
internal sealed class DrawnProgram(int length, OffsetCursor cursor, MixShares shares, Random random) : LaneProgram
{
    public override bool TryNext(out BlockRequest request)
    {
        var draw = random.NextDouble();
        if (draw < shares.Flush)
        {
            request = new BlockRequest(NbdCommand.Flush, 0, 0);
            return true;
        }

        var command = draw < shares.Flush + shares.Write ? NbdCommand.Write : NbdCommand.Read;
        var more = cursor.TryNext(out var offset);
        request = new BlockRequest(command, offset, length);
        return more;
    }
}

/// <summary>Shares of FLUSHes and writes among all requests; the rest are reads.</summary>
internal readonly record struct MixShares(double Flush, double Write);
