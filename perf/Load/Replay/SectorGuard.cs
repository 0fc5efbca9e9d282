using System.Globalization;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Replay;

/// <summary>
/// Stamps what one connection writes, and holds what it reads against the model that all of them share.
/// </summary>
internal sealed class SectorGuard : PayloadGuard
{
    private readonly SectorModel _model;
    private readonly SectorStamp _stamp;
    private readonly SectorMark[][] _marks;
    private readonly long[] _found;

    public SectorGuard(SectorModel model, SectorStamp stamp, int lanes, int lengthMax)
    {
        _model = model;
        _stamp = stamp;
        LengthMax = lengthMax;
        _found = new long[lengthMax / SectorStamp.SectorBytes];
        _marks = [.. Enumerable.Range(0, lanes).Select(_ => Array.Empty<SectorMark>())];
    }

    public override int LengthMax { get; }

    /// <summary>Sectors that were read and right.</summary>
    public long Verified { get; private set; }

    public override void Begin(int lane, in BlockRequest request, Span<byte> payload)
    {
        var first = request.Offset / SectorStamp.SectorBytes;
        var count = request.Length / SectorStamp.SectorBytes;
        switch (request.Command)
        {
            case NbdCommand.Write:
                _stamp.Fill(payload, request.Offset, _model.Begin(first, count, SectorChange.Data));
                break;
            case NbdCommand.WriteZeroes:
                _model.Begin(first, count, SectorChange.Zeros);
                break;
            case NbdCommand.Trim:
                _model.Begin(first, count, SectorChange.Trim);
                break;
            case NbdCommand.Read:
                if (_marks[lane].Length < count) _marks[lane] = new SectorMark[count];
                _model.BeginRead(first, _marks[lane].AsSpan(0, count));
                break;
        }
    }

    public override void End(int lane, in BlockRequest request, ReadOnlySpan<byte> payload)
    {
        var first = request.Offset / SectorStamp.SectorBytes;
        var count = request.Length / SectorStamp.SectorBytes;
        if (request.Command == NbdCommand.Flush) return;
        if (request.Command == NbdCommand.Read) Check(first, payload, _marks[lane].AsSpan(0, count));
        else _model.End(first, count);
    }

    private void Check(long first, ReadOnlySpan<byte> payload, ReadOnlySpan<SectorMark> marks)
    {
        var found = _found.AsSpan(0, marks.Length);
        for (var at = 0; at < found.Length; at++)
            found[at] = _stamp.Read(payload.Slice(at * SectorStamp.SectorBytes, SectorStamp.SectorBytes), first + at);

        if (_model.FindWrong(first, marks, found) is >= 0 and var wrong)
        {
            var at = (int)(wrong - first);
            var what = found[at] switch
            {
                SectorStamp.Zeros => "zeros",
                SectorStamp.Foreign => "data that was never written",
                SectorStamp.Damaged => "damaged data, or that of another sector",
                var sequence => string.Create(CultureInfo.InvariantCulture, $"write {sequence}"),
            };
            throw new NbdException(string.Create(
                CultureInfo.InvariantCulture,
                $"Wrong data: sector {wrong} holds {what}, and must be of write {marks[at].Oldest} or a later one."));
        }

        Verified += found.Length;
    }
}
