using System.Buffers.Binary;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Rules;

/// <summary>Rules of structured replies and of block status. Each case has its row in docs/nbd.md.</summary>
internal static class ChunkRules
{
    private const int Read = 0, Write = 1, Flush = 3, Trim = 4, BlockStatus = 7;
    private const int DontFragment = 4, RequireOne = 8, NoSuchFlag = 1 << 15;
    private const int SendDontFragment = 1 << 7;
    private const int None = 0, OffsetData = 1, OffsetHole = 2, StatusChunk = 5, Error = 0x8001;
    private const string Allocation = "base:allocation";
    private const uint Mebi = 1024 * 1024;
    private const ulong End = (ulong)RuleTarget.Bytes;

    public static IReadOnlyDictionary<string, Action<RuleTarget>> Cases { get; } = new Dictionary<string, Action<RuleTarget>>
    {
        ["S01"] = AReadIsCoveredExactlyOnce,
        ["S02"] = AReadThatFailsHasAnErrorChunk,
        ["S03"] = OtherCommandsEndOnce,
        ["S04"] = DontFragmentMeansOneChunk,
        ["S05"] = DontFragmentIsOfferedWithStructuredRepliesOnly,
        ["S06"] = BlockStatusCoversFromTheOffsetOn,
        ["S07"] = OneRunIsOneRun,
        ["S08"] = BlockStatusOutsideTheExportIsInvalid,
        ["S09"] = BlockStatusWithoutAContextIsInvalid,
        ["S10"] = ContextsOfUnknownNamespacesAreLeftOut,
        ["S11"] = WhatWasWrittenIsData,
    };

    private static void AReadIsCoveredExactlyOnce(RuleTarget target)
    {
        using var client = target.Structured();
        var bytes = new byte[256 * 1024];
        new Random(5).NextBytes(bytes.AsSpan(0, 100_000));
        Assert.True(client.CallChunks(Write, 10 * Mebi, (uint)bytes.Length, 0, bytes)[^1].Type == None);
        var read = new byte[bytes.Length];
        var covered = new int[bytes.Length];
        foreach (var (type, data) in client.CallChunks(Read, 10 * Mebi, (uint)bytes.Length))
        {
            if (type == None) continue;
            var at = (int)(BinaryPrimitives.ReadUInt64BigEndian(data) - (10 * Mebi));
            Assert.True(type is OffsetData or OffsetHole);
            var length = type == OffsetData ? data.Length - 8 : BinaryPrimitives.ReadInt32BigEndian(data.AsSpan(8));
            for (var i = at; i < at + length; i++) covered[i]++;
            if (type == OffsetData) data.AsSpan(8).CopyTo(read.AsSpan(at));
        }

        Assert.All(covered, times => Assert.Equal(1, times));
        Assert.True(bytes.AsSpan().SequenceEqual(read));
    }

    private static void AReadThatFailsHasAnErrorChunk(RuleTarget target)
    {
        using var client = target.Structured();
        foreach (var (offset, flags) in ((ulong, int)[])[(End, 0), (0, NoSuchFlag)])
        {
            var (type, data) = Assert.Single(client.CallChunks(Read, offset, 512, flags));
            Assert.Equal((Error, RawNbd.Invalid), (type, BinaryPrimitives.ReadUInt32BigEndian(data)));
        }

        Assert.Equal(None, Assert.Single(client.CallChunks(Flush, 0, 0)).Type);
    }

    private static void OtherCommandsEndOnce(RuleTarget target)
    {
        using var client = target.Structured();
        Assert.Equal(None, Assert.Single(client.CallChunks(Write, 11 * Mebi, 3, 0, 1, 2, 3)).Type);
        Assert.Equal(None, Assert.Single(client.CallChunks(Trim, 11 * Mebi, 4096)).Type);
        Assert.Equal(Error, Assert.Single(client.CallChunks(99, 0, 512)).Type);
        Assert.Equal(Error, Assert.Single(client.CallChunks(Write, End, 3, 0, 1, 2, 3)).Type);
        Assert.Equal(None, Assert.Single(client.CallChunks(Flush, 0, 0)).Type);
    }

    private static void DontFragmentMeansOneChunk(RuleTarget target)
    {
        using var client = target.Structured();
        Assert.NotEqual(0, client.Flags & SendDontFragment);
        var chunks = client.CallChunks(Read, 12 * Mebi, 64 * 1024, DontFragment);
        Assert.Single(chunks, chunk => chunk.Type is OffsetData or OffsetHole);
    }

    private static void DontFragmentIsOfferedWithStructuredRepliesOnly(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(0, client.Flags & SendDontFragment);
        Assert.Equal(RawNbd.Invalid, client.Call(Read, 0, 512, DontFragment));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void BlockStatusCoversFromTheOffsetOn(RuleTarget target)
    {
        using var client = target.Structured(Allocation);
        Assert.Equal(None, client.CallChunks(Write, 20 * Mebi, 4096, 0, [.. Enumerable.Repeat((byte)7, 4096)])[^1].Type);
        var runs = Status(client, 19 * Mebi, 4 * Mebi, 0);
        Assert.All(runs, run => Assert.NotEqual(0u, run.Length));

        // All but the last lie within what was asked for, and the last within the export.
        Assert.True(runs.SkipLast(1).Sum(run => run.Length) < 4 * Mebi);
        Assert.True((19 * Mebi) + runs.Sum(run => run.Length) <= RuleTarget.Bytes);
    }

    private static void OneRunIsOneRun(RuleTarget target)
    {
        using var client = target.Structured(Allocation);
        var run = Assert.Single(Status(client, Mebi, 2 * Mebi, RequireOne));
        Assert.InRange(run.Length, 1u, 2 * Mebi);
    }

    private static void BlockStatusOutsideTheExportIsInvalid(RuleTarget target)
    {
        using var client = target.Structured(Allocation);
        Assert.Equal(Error, Assert.Single(client.CallChunks(BlockStatus, End, 512)).Type);
        Assert.Equal(Error, Assert.Single(client.CallChunks(BlockStatus, End - 512, 1024)).Type);
        Assert.Equal(None, Assert.Single(client.CallChunks(Flush, 0, 0)).Type);
    }

    private static void BlockStatusWithoutAContextIsInvalid(RuleTarget target)
    {
        using var client = target.Structured();
        var (type, data) = Assert.Single(client.CallChunks(BlockStatus, 0, 4096));
        Assert.Equal((Error, RawNbd.Invalid), (type, BinaryPrimitives.ReadUInt32BigEndian(data)));
    }

    private static void ContextsOfUnknownNamespacesAreLeftOut(RuleTarget target)
    {
        using var client = target.Greeted();
        client.AskOne(8);
        var answers = client.Ask(10, RawNbd.MetaData("disk", "nobody:knows", Allocation, "base:"));
        Assert.Equal(2, answers.Count);
        client.Go();
        Assert.NotEmpty(Status(client, 0, 4096, 0));
    }

    private static void WhatWasWrittenIsData(RuleTarget target)
    {
        using var client = target.Structured(Allocation);
        Assert.Equal(None, client.CallChunks(Write, 30 * Mebi, 65536, 0, [.. Enumerable.Repeat((byte)3, 65536)])[^1].Type);
        Assert.Equal(0u, Status(client, 30 * Mebi, 65536, 0)[0].Flags);
    }

    private static List<(uint Length, uint Flags)> Status(RawNbd client, uint offset, uint length, int flags)
    {
        var (type, data) = Assert.Single(client.CallChunks(BlockStatus, offset, length, flags));
        Assert.Equal(StatusChunk, type);
        return [.. data[4..].Chunk(8).Select(run => (
            BinaryPrimitives.ReadUInt32BigEndian(run), BinaryPrimitives.ReadUInt32BigEndian(run.AsSpan(4))))];
    }
}
