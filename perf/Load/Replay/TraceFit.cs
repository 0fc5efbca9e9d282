using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Traces;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Replay;

/// <summary>What happens to a request that reaches beyond the device.</summary>
internal enum BeyondEnd
{
    Refuse,
    Wrap,
}

/// <summary>A trace made to fit an export.</summary>
/// <param name="Records">What can be sent, in the order of time.</param>
/// <param name="LeftOut">Requests that the export does not offer, or that move nothing.</param>
/// <param name="Wrapped">Requests whose offset was moved into the device.</param>
internal sealed record FittedTrace(IReadOnlyList<TraceRecord> Records, long LeftOut, long Wrapped);

/// <summary>
/// Makes requests that an export takes out of those of a trace: moves or refuses what lies beyond its end, cuts what is
/// longer than one request may be, and leaves out what it does not offer.
/// </summary>
internal sealed class TraceFit(long sizeBytes, NbdExportFlags flags, BeyondEnd beyond)
{
    private const long SectorBytes = 512;
    private const long PageBytes = 4096;

    // Lengths of TRIM have 32 bits on the wire and 31 here.
    private const long RangeMax = 1L << 30;

    private long _wrapped;
    private long _leftOut;

    /// <exception cref="NbdException">The export cannot take what makes the trace what it is.</exception>
    public FittedTrace Apply(Trace trace)
    {
        var records = trace.Records.SelectMany(record => Fit(trace.Name, record)).ToArray();
        return new FittedTrace(records, _leftOut, _wrapped);
    }

    private IEnumerable<TraceRecord> Fit(string name, TraceRecord record)
    {
        if (!Offered(name, record) || (record.HasRange && record.Length == 0))
        {
            _leftOut++;
            return [];
        }

        return record.HasRange ? Cut(Place(name, record)) : [record];
    }

    private bool Offered(string name, in TraceRecord record)
    {
        if (record.Command is NbdCommand.Write or NbdCommand.Trim or NbdCommand.WriteZeroes &&
            flags.HasFlag(NbdExportFlags.ReadOnly))
            throw new NbdException($"{name} writes, and the export is read-only.");
        if (record.Flags.HasFlag(NbdRequestFlags.Fua) && !flags.HasFlag(NbdExportFlags.SendFua))
            throw new NbdException($"{name} has FUA, which the export does not offer.");
        if (record.Command == NbdCommand.Flush && !flags.HasFlag(NbdExportFlags.SendFlush))
            throw new NbdException($"{name} has FLUSHes, which the export does not offer.");

        return record.Command switch
        {
            NbdCommand.Read or NbdCommand.Write or NbdCommand.Flush => true,
            NbdCommand.Trim => flags.HasFlag(NbdExportFlags.SendTrim),
            NbdCommand.WriteZeroes => flags.HasFlag(NbdExportFlags.SendWriteZeroes),
            _ => false,
        };
    }

    private TraceRecord Place(string name, in TraceRecord record)
    {
        if (record.Offset + record.Length <= sizeBytes) return record;

        if (beyond == BeyondEnd.Refuse)
            throw new NbdException(
                $"{name} reaches to {record.Offset + record.Length}, beyond the {sizeBytes} bytes of the export.");

        // Whole pages: what was aligned stays aligned.
        var room = sizeBytes / PageBytes * PageBytes;
        if (record.Length > room)
            throw new NbdException($"{name} has a request of {record.Length} bytes, more than the export holds.");

        _wrapped++;
        var offset = record.Offset % room;
        if (offset + record.Length > room) offset = (room - record.Length) / SectorBytes * SectorBytes;
        return record with { Offset = offset };
    }

    private static IEnumerable<TraceRecord> Cut(TraceRecord record)
    {
        var pieceMax = record.IsTransfer ? PayloadPool.LengthMax : RangeMax;
        for (var at = 0L; at < record.Length; at += pieceMax)
        {
            yield return record with
            {
                Offset = record.Offset + at,
                Length = Math.Min(pieceMax, record.Length - at),
                Flags = record.Flags & (NbdRequestFlags.Fua | NbdRequestFlags.NoHole),
            };
        }
    }
}
