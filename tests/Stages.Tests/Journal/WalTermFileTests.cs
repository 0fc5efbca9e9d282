using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Journal;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

public sealed class WalTermFileTests
{
    private readonly SimulatedWalDisk _disk = new();

    [Fact]
    public void What_was_written_is_read()
    {
        Assert.Null(WalTermFile.Read(_disk));
        var term = new WalTerm(WalBench.StoreId, [new WriterTerm(3, Guid.NewGuid()), new WriterTerm(4, Guid.NewGuid())]);
        WalTermFile.Write(_disk, term);
        WalTerm read = WalTermFile.Read(_disk)!;
        Assert.Equal(term.StoreId, read.StoreId);
        Assert.Equal(term.Terms, read.Terms);
    }

    // Goal: a server that fails to start a thousand times while the bucket refuses PUTs still owns its WAL afterwards.
    [Fact]
    public void The_term_that_was_in_force_is_kept_however_many_starts_fail()
    {
        var inForce = new WriterTerm(3, Guid.NewGuid());
        var term = new WalTerm(WalBench.StoreId, [inForce]);
        for (int start = 0; start < 1100; start++)
        {
            term = term with { Terms = [.. term.Terms, new WriterTerm(4, Guid.NewGuid())] };
            WalTermFile.Write(_disk, term);
            term = WalTermFile.Read(_disk)!;
        }

        Assert.Equal(inForce, term.Terms[0]);
        Assert.Equal(1024, term.Terms.Count);
    }

    [Fact]
    public void Any_flipped_or_missing_byte_is_corruption()
    {
        WalTermFile.Write(_disk, new WalTerm(WalBench.StoreId, [new WriterTerm(3, Guid.NewGuid())]));
        byte[] whole = _disk.TryReadSmallFile("term")!;
        for (int at = 0; at < whole.Length; at++)
        {
            byte[] flipped = [.. whole];
            flipped[at] ^= 4;
            AssertCorrupt(flipped);
            AssertCorrupt(whole[..at]);
        }
    }

    [Fact]
    public void A_newer_version_is_refused()
    {
        byte[] file = new byte[32];
        "ZFWT"u8.CopyTo(file);
        file[4] = 2;
        BitConverter.TryWriteBytes(file.AsSpan(28), Stages.Tables.TableIdentity.Checksum(file.AsSpan(0, 28)));
        _disk.ReplaceSmallFile("term", file);
        Assert.Equal(FaultKind.Invalid, Assert.Throws<StorageFaultException>(() => WalTermFile.Read(_disk)).Kind);
    }

    private void AssertCorrupt(byte[] content)
    {
        _disk.ReplaceSmallFile("term", content);
        Assert.Equal(FaultKind.Corrupt, Assert.Throws<StorageFaultException>(() => WalTermFile.Read(_disk)).Kind);
    }
}
