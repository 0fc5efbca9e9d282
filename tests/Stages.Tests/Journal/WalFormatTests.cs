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
            "5a57414c53454731010000002a0000001111111122223333444455555555555567452301ab89efcd0123456789abcdef" +
            "05000000000008004d00000000000000e803000000000000e6030000000000006465666768696a6b6c6d6e6f70717273" +
            "7475767778797a7b7c7d7e7f808182830000000000000000000000000000000000000000000000000000000000000000" +
            "a9e42654fcdf6d87f9d4adb7f00803a34153f4b13195b167dbe74e2ce9697af2",
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
            "5a465752010100000500000009000000e9030000000000000010000000000000050000000000000067452301ab89efcd" +
            "e70300000000000000000000b465a0bf107540b061b457e2d7dec3257a9467f15757316a28",
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
            "5a4657540100000011111111222233334444555555555555010000000500000067452301ab89efcd0123456789abcdef" +
            "d70d8016",
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
