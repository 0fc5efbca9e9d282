using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Rules;

/// <summary>Rules of the commands with simple replies. Each case has its row in docs/nbd.md.</summary>
internal static class CommandRules
{
    private const int Read = 0, Write = 1, Disconnect = 2, Flush = 3, Trim = 4, Cache = 5, WriteZeroes = 6, BlockStatus = 7;
    private const int ForceUnitAccess = 1, NoHole = 2, FastZero = 16, NoSuchFlag = 1 << 15;
    private const int SendFua = 1 << 3, SendCache = 1 << 10, SendFastZero = 1 << 11, CanMultiConn = 1 << 8;
    private const uint Mebi = 1024 * 1024;
    private const uint Shutdown = 108;
    private const ulong End = (ulong)RuleTarget.Bytes;

    public static IReadOnlyDictionary<string, Action<RuleTarget>> Cases { get; } = new Dictionary<string, Action<RuleTarget>>
    {
        ["C01"] = CookiesAreEchoedBitForBit,
        ["C02"] = AReadPastTheEndHasNoPayload,
        ["C03"] = AWritePastTheEndIsDrained,
        ["C04"] = TrimPastTheEndIsInvalid,
        ["C05"] = ZeroesPastTheEndAreRefused,
        ["C06"] = RangesThatWrapAroundAreRefused,
        ["C07"] = AnUnknownCommandIsInvalid,
        ["C08"] = UnknownFlagsAreInvalidAndPayloadsDrained,
        ["C09"] = ForceUnitAccessIsTakenOnEveryCommand,
        ["C10"] = LengthZeroDisconnectsNobody,
        ["C11"] = ZeroesOfAHundredMebibytesAreAllZeros,
        ["C12"] = FastZeroIsDoneOrNotSupported,
        ["C13"] = CacheTakesNoFlags,
        ["C14"] = AnyOffsetAndLengthIsServed,
        ["C15"] = WhatWasSentBeforeADisconnectIsDone,
        ["C16"] = AnEndWithoutADisconnectIsNoMatter,
        ["C17"] = AHundredAndTwentyEightRequestsMayBeInFlight,
        ["C18"] = AFlushCoversOtherConnections,
        ["C19"] = AWrongRequestMagicDropsTheConnection,
        ["C20"] = ThirtyTwoMebibytesAreServed,
        ["C21"] = TrimTakesMoreThanAPayload,
        ["C22"] = BlockStatusWithoutStructuredRepliesIsInvalid,
        ["C23"] = ADisconnectMayHaveGarbageInIt,
    };

    private static void CookiesAreEchoedBitForBit(RuleTarget target)
    {
        using var client = target.Attached();
        foreach (var cookie in (ulong[])[0, 1, ulong.MaxValue, 0x0102030405060708, 0x8000000000000000])
        {
            client.Send(RawNbd.Request(Flush, cookie, 0, 0));
            Assert.Equal(0u, client.ReadReply(cookie));
        }
    }

    private static void AReadPastTheEndHasNoPayload(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(RawNbd.Invalid, client.Call(Read, End, 1));
        Assert.Equal(RawNbd.Invalid, client.Call(Read, End - 10, 11));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void AWritePastTheEndIsDrained(RuleTarget target)
    {
        using var client = target.Attached();

        // QEMU answers EINVAL, where the text asks for ENOSPC.
        var expected = target.IsQemu ? RawNbd.Invalid : RawNbd.NoSpace;
        Assert.Equal(expected, client.Call(Write, End, 512, 0, new byte[512]));
        Assert.Equal(expected, client.Call(Write, End - 512, 100_000, 0, new byte[100_000]));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void TrimPastTheEndIsInvalid(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(RawNbd.Invalid, client.Call(Trim, End, 512));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void ZeroesPastTheEndAreRefused(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(target.IsQemu ? RawNbd.Invalid : RawNbd.NoSpace, client.Call(WriteZeroes, End - 512, 1024));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void RangesThatWrapAroundAreRefused(RuleTarget target)
    {
        using var client = target.Attached();
        foreach (var (offset, length) in ((ulong, uint)[])[(ulong.MaxValue, 2), (ulong.MaxValue - 511, 1024), (1UL << 63, 512)])
        {
            Assert.NotEqual(0u, client.Call(Read, offset, length));
            Assert.NotEqual(0u, client.Call(Trim, offset, length));
            Assert.NotEqual(0u, client.Call(WriteZeroes, offset, length));
            Assert.NotEqual(0u, client.Call(Write, offset, length, 0, new byte[length]));
        }

        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void AnUnknownCommandIsInvalid(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(RawNbd.Invalid, client.Call(1234, 0, 512));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void UnknownFlagsAreInvalidAndPayloadsDrained(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(RawNbd.Invalid, client.Call(Read, 0, 512, NoSuchFlag));
        Assert.Equal(RawNbd.Invalid, client.Call(Write, 0, 70_000, NoSuchFlag, new byte[70_000]));
        Assert.Equal(RawNbd.Invalid, client.Call(Trim, 0, 512, NoSuchFlag));
        Assert.Equal(RawNbd.Invalid, client.Call(Write, 0, 512, FastZero, new byte[512]));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void ForceUnitAccessIsTakenOnEveryCommand(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.NotEqual(0, client.Flags & SendFua);
        Assert.Equal(0u, client.Call(Read, 0, 512, ForceUnitAccess));
        client.Read(512);
        Assert.Equal(0u, client.Call(Write, Mebi, 512, ForceUnitAccess, new byte[512]));
        Assert.Equal(0u, client.Call(Flush, 0, 0, ForceUnitAccess));
        Assert.Equal(0u, client.Call(Trim, Mebi, 4096, ForceUnitAccess));
        Assert.Equal(0u, client.Call(WriteZeroes, Mebi, 4096, ForceUnitAccess));
    }

    private static void LengthZeroDisconnectsNobody(RuleTarget target)
    {
        using var client = target.Attached();
        foreach (var command in (int[])[Read, Write, Trim, WriteZeroes]) client.Call(command, 0, 0);
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    // One known server zeroes the first 64 MiB, and says that it zeroed all.
    private static void ZeroesOfAHundredMebibytesAreAllZeros(RuleTarget target)
    {
        using var client = target.Attached();
        uint[] places = [3 * Mebi, 50 * Mebi, 70 * Mebi, (103 * Mebi) - 4096];
        foreach (var place in places) Assert.Equal(0u, client.Call(Write, place, 4096, 0, Filled(4096, 0x5a)));
        Assert.Equal(0u, client.Call(Write, (3 * Mebi) - 512, 512, 0, Filled(512, 0x11)));
        Assert.Equal(0u, client.Call(Write, 103 * Mebi, 512, 0, Filled(512, 0x22)));
        Assert.Equal(0u, client.Call(WriteZeroes, 3 * Mebi, 100 * Mebi, NoHole));
        foreach (var place in places) Assert.Equal(new byte[4096], client.ReadExport(place, 4096));
        Assert.Equal(Filled(512, 0x11), client.ReadExport((3 * Mebi) - 512, 512));
        Assert.Equal(Filled(512, 0x22), client.ReadExport(103 * Mebi, 512));
    }

    private static void FastZeroIsDoneOrNotSupported(RuleTarget target)
    {
        using var client = target.Attached();
        var isOffered = (client.Flags & SendFastZero) != 0;
        Assert.Equal(0u, client.Call(Write, Mebi, 4096, 0, Filled(4096, 9)));
        var answer = client.Call(WriteZeroes, Mebi, 4096, FastZero);
        Assert.True(isOffered ? answer is 0 or RawNbd.NotSupported : answer == RawNbd.Invalid);
        Assert.Equal(Filled(4096, answer == 0 ? (byte)0 : (byte)9), client.ReadExport(Mebi, 4096));
    }

    private static void CacheTakesNoFlags(RuleTarget target)
    {
        using var client = target.Attached();
        if ((client.Flags & SendCache) != 0)
        {
            Assert.Equal(0u, client.Call(Cache, 0, 4096));
            Assert.Equal(RawNbd.Invalid, client.Call(Cache, 0, 4096, NoSuchFlag));
            Assert.Equal(RawNbd.Invalid, client.Call(Cache, End, 4096));
        }

        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void AnyOffsetAndLengthIsServed(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(0u, client.Call(Write, (2 * Mebi) + 1, 3, 0, 1, 2, 3));
        Assert.Equal(0u, client.Call(Write, (2 * Mebi) + 2, 1, 0, 9));
        Assert.Equal([0, 1, 9, 3, 0], client.ReadExport(2 * Mebi, 5));
        Assert.Equal(0u, client.Call(WriteZeroes, (2 * Mebi) + 2, 1));
        Assert.Equal([1, 0, 3], client.ReadExport((2 * Mebi) + 1, 3));
    }

    // The text wants a client to wait for its replies first. Others make less of one that does not: nbdkit may refuse what it
    // has not begun with ESHUTDOWN, and QEMU forgets what is beyond sixteen requests, and replies.
    private static void WhatWasSentBeforeADisconnectIsDone(RuleTarget target)
    {
        const uint Requests = 20;
        HashSet<ulong> done = [];
        using (var client = target.Attached())
        {
            for (uint i = 0; i < Requests; i++)
            {
                client.Send(RawNbd.Request(Write, i, (4 * Mebi) + (i * 4096), 4096, 0, Filled(4096, (byte)(i + 1))));
            }

            client.Send(RawNbd.Request(Disconnect, 0, 0, 0));
            for (var i = 0; i < Requests && !target.IsQemu; i++)
            {
                var (error, cookie) = client.ReadReply();
                Assert.True(error == 0 || (target.IsNbdkit && error == Shutdown));
                if (error == 0) done.Add(cookie);
            }

            if (!target.IsQemu) Assert.True(client.IsClosed());
        }

        using var next = target.Attached();
        foreach (var i in done) Assert.Equal(Filled(4096, (byte)(i + 1)), next.ReadExport((4 * Mebi) + (i * 4096), 4096));
    }

    private static void AnEndWithoutADisconnectIsNoMatter(RuleTarget target)
    {
        using (var client = target.Attached())
        {
            Assert.Equal(0u, client.Call(Write, 5 * Mebi, 512, 0, Filled(512, 3)));
            client.EndSending();
            Assert.True(client.IsClosed());
        }

        using var next = target.Attached();
        Assert.Equal(Filled(512, 3), next.ReadExport(5 * Mebi, 512));
    }

    private static void AHundredAndTwentyEightRequestsMayBeInFlight(RuleTarget target)
    {
        using var client = target.Attached();
        byte[] requests = [.. Enumerable.Range(0, 128).SelectMany(i => RawNbd.Request(Read, (ulong)i, (ulong)i * 512, 512))];
        client.Send(requests);
        HashSet<ulong> answered = [];
        for (var i = 0; i < 128; i++)
        {
            var (error, cookie) = client.ReadReply();
            Assert.Equal(0u, error);
            client.Read(512);
            Assert.True(answered.Add(cookie) && cookie < 128);
        }
    }

    private static void AFlushCoversOtherConnections(RuleTarget target)
    {
        using var writer = target.Attached();
        using var flusher = target.Attached();
        Assert.NotEqual(0, writer.Flags & CanMultiConn);
        Assert.Equal(0u, writer.Call(Write, 6 * Mebi, 4096, 0, Filled(4096, 0x66)));
        Assert.Equal(0u, flusher.Call(Flush, 0, 0));
        Assert.Equal(Filled(4096, 0x66), flusher.ReadExport(6 * Mebi, 4096));
    }

    private static void AWrongRequestMagicDropsTheConnection(RuleTarget target)
    {
        using var client = target.Attached();
        client.Send([.. RawNbd.U32(0x12345678), .. new byte[24]]);

        // QEMU says EINVAL first.
        if (target.IsQemu) Assert.Equal(RawNbd.Invalid, client.ReadReply(0));
        Assert.True(client.IsClosed());
        using var next = target.Attached();
        Assert.Equal(0u, next.Call(Flush, 0, 0));
    }

    private static void ThirtyTwoMebibytesAreServed(RuleTarget target)
    {
        using var client = target.Attached();
        var bytes = new byte[32 * Mebi];
        new Random(1).NextBytes(bytes);
        Assert.Equal(0u, client.Call(Write, 64 * Mebi, 32 * Mebi, 0, bytes));
        Assert.True(bytes.AsSpan().SequenceEqual(client.ReadExport(64 * Mebi, 32 * Mebi)));
    }

    private static void TrimTakesMoreThanAPayload(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(0u, client.Call(Trim, 0, 120 * Mebi));
        Assert.Equal(0u, client.Call(WriteZeroes, 0, 120 * Mebi));
        Assert.Equal(new byte[4096], client.ReadExport(100 * Mebi, 4096));
    }

    private static void BlockStatusWithoutStructuredRepliesIsInvalid(RuleTarget target)
    {
        using var client = target.Attached();
        Assert.Equal(RawNbd.Invalid, client.Call(BlockStatus, 0, 4096));
        Assert.Equal(0u, client.Call(Flush, 0, 0));
    }

    private static void ADisconnectMayHaveGarbageInIt(RuleTarget target)
    {
        using var client = target.Attached();
        client.Send(RawNbd.Request(Disconnect, 9, ulong.MaxValue, uint.MaxValue));
        Assert.True(client.IsClosed());
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }
}
