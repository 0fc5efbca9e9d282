using System.Security.Cryptography;
using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

// The bytes on disk are a promise to every later version.
public sealed class WalFormatTests
{
    private static readonly byte[] Salt = [.. Enumerable.Range(100, 32).Select(i => (byte)i)];

    private static readonly WalSegmentHeader Header = new(
        WalBench.StoreId, 5, Guid.Parse("01234567-89ab-cdef-0123-456789abcdef"), 42, new Sequence(1000), new Sequence(998), 77,
        512 * 1024, Salt);

    [Fact]
    public void A_segment_header_has_these_bytes()
    {
        byte[] bytes = new byte[WalSegmentHeader.Bytes];
        Header.Write(WalBench.RootKey, bytes);
        Assert.Equal(
            "SEGMENT-GOLDEN",
            Convert.ToHexStringLower(bytes));
        Assert.Equal(Stages.Tables.ParseResult.Ok, WalSegmentHeader.TryRead(WalBench.RootKey, bytes, out WalSegmentHeader? read));
        Assert.Equal(Header with { Salt = read!.Salt }, read);
        Assert.Equal(Salt, read.Salt);
    }

    [Fact]
    public void A_record_has_these_bytes()
    {
        var header = new WalRecordHeader(new Sequence(1001), WalRecordKind.Data, new ExportId(9), 4096, 5);
        byte[] bytes = new byte[WalRecordFormat.Bytes(5)];
        using var cipher = new ChaCha20Poly1305(Header.KeyFrom(WalBench.RootKey));
        WalRecordFormat.Seal(cipher, header, Header.SessionCheck, new Sequence(999), "hello"u8, bytes);
        Assert.Equal(
            "RECORD-GOLDEN",
            Convert.ToHexStringLower(bytes));
        Assert.True(WalRecordFormat.TryReadHeader(bytes, out WalRecordHeader read, out int length, out ulong session, out Sequence synced));
        Assert.Equal(header, read);
        Assert.Equal((5, Header.SessionCheck, new Sequence(999)), (length, session, synced));
        byte[] payload = new byte[5];
        Assert.True(WalRecordFormat.TryOpen(cipher, header.Sequence, bytes, payload));
        Assert.Equal("hello"u8, payload);
    }

    [Fact]
    public void A_term_file_has_these_bytes()
    {
        var disk = new TestKit.Journal.SimulatedWalDisk();
        WalTermFile.Write(disk, new WalTerm(WalBench.StoreId, [new WriterTerm(5, Header.Session)]));
        Assert.Equal(
            "TERM-GOLDEN",
            Convert.ToHexStringLower(disk.TryReadSmallFile("term")!));
    }

    // Goal: where things lie in the file is the format, too: FasterLog puts the length of an entry in front of it.
    [Fact]
    public async Task The_first_entry_is_at_64_and_holds_the_segment_header()
    {
        await using var bench = new WalBench();
        await bench.OpenAsync();
        WalBench.Record record = await bench.AppendAsync(5);
        await bench.HandOverAsync();
        byte[] file = bench.Disk.BytesOf(SegmentFiles.Names(bench.Disk)[0]);
        Assert.False(file.AsSpan(0, 64).ContainsAnyExcept((byte)0));
        Assert.Equal(WalSegmentHeader.Bytes, BitConverter.ToInt32(file, 64));
        Assert.Equal("ZWALSEG1"u8, file.AsSpan(68, 8));
        Assert.Equal(244, record.Position.Address);
        Assert.Equal(WalRecordFormat.Bytes(5), BitConverter.ToInt32(file, 244));
        Assert.Equal("ZFWR"u8, file.AsSpan(248, 4));
    }
}
