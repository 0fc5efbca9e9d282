using ZeroFlow.Perf.Replay;

namespace ZeroFlow.Perf.Tests.Replay;

// Which answers of a read are right, by what was sent and answered before it.
public sealed class SectorModelTests
{
    private readonly SectorModel _model = new();

    [Fact]
    public void Before_the_first_write_anything_may_be_there()
    {
        Assert.True(Right(ReadBegins(), SectorStamp.Foreign));
        Assert.True(Right(ReadBegins(), SectorStamp.Zeros));
        Assert.False(Right(ReadBegins(), SectorStamp.Damaged));
        Assert.False(Right(ReadBegins(), 1));
    }

    [Fact]
    public void After_an_answered_write_only_its_data_may_be_there()
    {
        var first = Write(SectorChange.Data);
        var second = Write(SectorChange.Data);
        Assert.True(Right(ReadBegins(), second));
        Assert.False(Right(ReadBegins(), first));
        Assert.False(Right(ReadBegins(), SectorStamp.Zeros));
        Assert.False(Right(ReadBegins(), SectorStamp.Foreign));
        Assert.False(Right(ReadBegins(), second + 1));
    }

    [Fact]
    public void While_a_write_is_under_way_the_old_and_the_new_data_may_be_there_and_parts_of_both()
    {
        var older = Write(SectorChange.Data);
        var old = Write(SectorChange.Data);
        var read = ReadBegins();
        var young = _model.Begin(7, 1, SectorChange.Data);
        Assert.True(Right(read, old));
        Assert.True(Right(read, young));
        Assert.True(Right(read, SectorStamp.Damaged));
        Assert.True(Right(ReadBegins(), SectorStamp.Damaged));
        Assert.False(Right(ReadBegins(), older));
        _model.End(7, 1);
        Assert.True(Right(read, old));
        Assert.False(Right(ReadBegins(), old));
        Assert.False(Right(ReadBegins(), SectorStamp.Damaged));
    }

    [Fact]
    public void Writes_that_overlap_in_time_may_land_in_either_order()
    {
        var before = Write(SectorChange.Data);
        var one = _model.Begin(7, 1, SectorChange.Data);
        var two = _model.Begin(7, 1, SectorChange.Data);
        _model.End(7, 1);
        _model.End(7, 1);
        Assert.True(Right(ReadBegins(), one));
        Assert.True(Right(ReadBegins(), two));
        Assert.False(Right(ReadBegins(), before));
    }

    [Fact]
    public void A_trim_leaves_what_was_there_or_zeros_and_zeroes_leave_zeros()
    {
        var data = Write(SectorChange.Data);
        Write(SectorChange.Trim);
        Assert.True(Right(ReadBegins(), data));
        Assert.True(Right(ReadBegins(), SectorStamp.Zeros));

        Write(SectorChange.Zeros);
        Assert.True(Right(ReadBegins(), SectorStamp.Zeros));
        Assert.False(Right(ReadBegins(), data));

        var next = Write(SectorChange.Data);
        Assert.True(Right(ReadBegins(), next));
        Assert.False(Right(ReadBegins(), SectorStamp.Zeros));
    }

    [Fact]
    public void A_stamp_says_which_write_a_sector_is_of_and_shows_every_wrong_byte()
    {
        var stamp = new SectorStamp(77, 2);
        var sectors = new byte[1024];
        stamp.Fill(sectors, 512 * 40, 9);
        Assert.Equal(9, stamp.Read(sectors.AsSpan(0, 512), 40));
        Assert.Equal(9, stamp.Read(sectors.AsSpan(512), 41));
        Assert.Equal(SectorStamp.Damaged, stamp.Read(sectors.AsSpan(512), 40));
        Assert.Equal(SectorStamp.Foreign, new SectorStamp(78, 2).Read(sectors.AsSpan(512), 41));
        Assert.Equal(SectorStamp.Zeros, stamp.Read(new byte[512], 40));
        for (var at = 16; at < 512; at++)
        {
            sectors[at] ^= 1;
            Assert.Equal(SectorStamp.Damaged, stamp.Read(sectors.AsSpan(0, 512), 40));
            sectors[at] ^= 1;
        }
    }

    private long Write(SectorChange change)
    {
        var sequence = _model.Begin(7, 1, change);
        _model.End(7, 1);
        return sequence;
    }

    private SectorMark ReadBegins()
    {
        var marks = new SectorMark[1];
        _model.BeginRead(7, marks);
        return marks[0];
    }

    private bool Right(SectorMark mark, long found) => _model.FindWrong(7, [mark], [found]) == -1;
}
