using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Tests.Replay;

// A trace fits another device as an option says, keeps its alignment, and is never silently made into another one.
public sealed class TraceFitTests
{
    private const long Mebibyte = 1 << 20;
    private const NbdExportFlags All = NbdExportFlags.HasFlags | NbdExportFlags.SendFlush | NbdExportFlags.SendFua |
        NbdExportFlags.SendTrim | NbdExportFlags.SendWriteZeroes;

    [Fact]
    public void What_fits_stays_as_it_is()
    {
        TraceRecord[] records =
        [
            new(0, NbdCommand.Write, Mebibyte - 512, 512, NbdRequestFlags.Fua, 2), new(1, NbdCommand.Flush, 0, 0),
            new(2, NbdCommand.Trim, 0, Mebibyte),
        ];
        Assert.Equal(records, Fit(All, BeyondEnd.Refuse, records).Records);
    }

    [Fact]
    public void Beyond_the_end_is_refused_or_wrapped()
    {
        var beyond = new TraceRecord(0, NbdCommand.Write, (5 * Mebibyte) + 8192, 4096);
        var across = new TraceRecord(1, NbdCommand.Write, (3 * Mebibyte) - 4096, 8192);
        Assert.Throws<NbdException>(() => Fit(All, BeyondEnd.Refuse, beyond));

        var fitted = Fit(All, BeyondEnd.Wrap, beyond, across);
        Assert.Equal([8192, Mebibyte - 8192], fitted.Records.Select(record => record.Offset));
        Assert.Equal(2, fitted.Wrapped);
        Assert.Throws<NbdException>(() => Fit(All, BeyondEnd.Wrap, across with { Length = 2 * Mebibyte }));
    }

    [Fact]
    public void Wrapping_keeps_pages_aligned_on_any_device()
    {
        var random = new Random(1);
        for (var round = 0; round < 1000; round++)
        {
            var size = random.NextInt64(1 << 16, Mebibyte);
            var offset = random.NextInt64(1 << 20) * 4096;
            var record = new TraceRecord(0, NbdCommand.Read, offset, random.Next(1, 8) * 4096);
            var placed = new TraceFit(size, All, BeyondEnd.Wrap).Apply(new Trace("t", [record])).Records[0];
            Assert.Equal(0, placed.Offset % 4096);
            Assert.InRange(placed.Offset + placed.Length, 1, size);
        }
    }

    [Fact]
    public void Long_transfers_are_cut_and_empty_ones_left_out()
    {
        var fitted = new TraceFit(1L << 40, All, BeyondEnd.Refuse).Apply(new Trace("t",
        [
            new(0, NbdCommand.Write, 4096, (2L * PayloadPool.LengthMax) + 512), new(1, NbdCommand.Read, 0, 0),
            new(2, NbdCommand.Trim, 0, 5L << 30), new(3, NbdCommand.BlockStatus, 0, 512),
        ]));
        Assert.Equal(3 + 5, fitted.Records.Count);
        Assert.Equal((2L * PayloadPool.LengthMax) + 512 + (5L << 30), fitted.Records.Sum(record => record.Length));
        Assert.Equal(4096 + (2L * PayloadPool.LengthMax), fitted.Records[2].Offset);
        Assert.Equal(2, fitted.LeftOut);
    }

    [Fact]
    public void What_an_export_does_not_offer_is_left_out_or_refused()
    {
        var plain = NbdExportFlags.HasFlags | NbdExportFlags.SendFlush;
        Assert.Equal(1, Fit(plain, BeyondEnd.Refuse, new TraceRecord(0, NbdCommand.Trim, 0, 512)).LeftOut);
        Assert.Throws<NbdException>(() =>
            Fit(plain, BeyondEnd.Refuse, new TraceRecord(0, NbdCommand.Write, 0, 512, NbdRequestFlags.Fua)));
        Assert.Throws<NbdException>(() =>
            Fit(NbdExportFlags.HasFlags, BeyondEnd.Refuse, new TraceRecord(0, NbdCommand.Flush, 0, 0)));
        Assert.Throws<NbdException>(() =>
            Fit(plain | NbdExportFlags.ReadOnly, BeyondEnd.Refuse, new TraceRecord(0, NbdCommand.Write, 0, 512)));
    }

    private static FittedTrace Fit(NbdExportFlags flags, BeyondEnd beyond, params TraceRecord[] records) =>
        new TraceFit(Mebibyte, flags, beyond).Apply(new Trace("t", records));
}
