using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Rules;

/// <summary>Rules of the greeting and of the options. Each case has its row in docs/nbd.md.</summary>
internal static class HandshakeRules
{
    private const uint ExportName = 1, Abort = 2, List = 3, StartTls = 5, Info = 6, Go = 7, StructuredReply = 8;
    private const uint ListMetaContext = 9, SetMetaContext = 10, ExtendedHeaders = 11;

    public static IReadOnlyDictionary<string, Action<RuleTarget>> Cases { get; } = new Dictionary<string, Action<RuleTarget>>
    {
        ["H01"] = TheGreetingHasOnlyTheTwoFlags,
        ["H02"] = UnknownClientFlagsDropTheConnection,
        ["H03"] = ExportNameIsPaddedUnlessAskedNotTo,
        ["H04"] = AWrongOptionMagicDropsTheConnection,
        ["O01"] = AnUnknownOptionIsUnsupportedAndTheNextOneUnderstood,
        ["O02"] = AbortIsAcknowledgedAndClosed,
        ["O03"] = ListWithDataIsAnError,
        ["O04"] = ListEndsWithAnAcknowledgement,
        ["O05"] = TheLongestNameIsUnderstood,
        ["O06"] = InfoAndGoTellTheSame,
        ["O07"] = MalformedGoIsAnErrorAndTheNextOneUnderstood,
        ["O08"] = AnUnknownExportLeavesTheSessionHaggling,
        ["O09"] = NothingFollowsTheAcknowledgementOfGo,
        ["O10"] = StructuredReplyWithDataIsAnError,
        ["O11"] = ContextsNeedStructuredReplies,
        ["O12"] = ListingContextsSelectsNone,
        ["O13"] = ExtendedHeadersAreGrantedOrUnsupported,
        ["O14"] = StartTlsWithoutTlsIsUnsupported,
        ["O15"] = OptionsNeedNotWaitForAnswers,
        ["O16"] = StructuredReplyMayBeAskedForAgain,
        ["O17"] = AFailedSelectionVoidsTheOneBefore,
        ["O18"] = OverrunningContextQueriesAreInvalid,
    };

    private static void TheGreetingHasOnlyTheTwoFlags(RuleTarget target)
    {
        using var client = target.Connect();
        Assert.Equal(3, client.Greet());
    }

    private static void UnknownClientFlagsDropTheConnection(RuleTarget target)
    {
        using var client = target.Connect();
        client.Greet(0x80000003);
        Assert.True(client.IsClosed());
    }

    private static void ExportNameIsPaddedUnlessAskedNotTo(RuleTarget target)
    {
        foreach (var (flags, padding) in ((uint, int)[])[(1, 124), (3, 0)])
        {
            using var client = target.Connect();
            client.Greet(flags);
            client.Send(RawNbd.Option(ExportName, "disk"u8.ToArray()));
            Assert.Equal(RawNbd.U64((ulong)RuleTarget.Bytes), client.Read(8));
            client.Read(2 + padding);
            Assert.Equal(0u, client.Call(3, 0, 0));
        }
    }

    private static void AWrongOptionMagicDropsTheConnection(RuleTarget target)
    {
        using var client = target.Greeted();
        client.Send([.. RawNbd.U64(0x1122334455667788), .. RawNbd.U32(List), .. RawNbd.U32(0)]);
        Assert.True(client.IsClosed());
    }

    private static void AnUnknownOptionIsUnsupportedAndTheNextOneUnderstood(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.Equal(RawNbd.ErrorUnsupported, client.AskOne(4711));
        Assert.Equal(RawNbd.ErrorUnsupported, client.AskOne(4711, new byte[3000]));
        client.Go();
    }

    private static void AbortIsAcknowledgedAndClosed(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.Equal(RawNbd.Ack, client.AskOne(Abort));
        Assert.True(client.IsClosed());
    }

    private static void ListWithDataIsAnError(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.Equal(RawNbd.ErrorInvalid, client.AskOne(List, 1, 2, 3, 4));
        client.Go();
    }

    private static void ListEndsWithAnAcknowledgement(RuleTarget target)
    {
        using var client = target.Greeted();
        var answers = client.Ask(List);
        Assert.Equal(RawNbd.Ack, answers[^1].Type);
        Assert.All(answers.SkipLast(1), answer => Assert.Equal(RawNbd.Server, answer.Type));

        // nbdkit's memory export has no name.
        if (!target.IsNbdkit) Assert.Contains(answers, answer => answer.Data.AsSpan().EndsWith("disk"u8));
    }

    private static void TheLongestNameIsUnderstood(RuleTarget target)
    {
        using var client = target.Greeted();
        var answer = client.Ask(Info, RawNbd.GoData(new string('n', 4096), 0, 1, 2, 3))[^1].Type;

        // nbdkit's memory plugin has every name.
        Assert.Equal(target.IsNbdkit ? RawNbd.Ack : RawNbd.ErrorUnknown, answer);
        client.Go();
    }

    private static void InfoAndGoTellTheSame(RuleTarget target)
    {
        using var client = target.Greeted();
        var info = client.Ask(Info, RawNbd.GoData("disk", 3));
        var go = client.Ask(Go, RawNbd.GoData("disk", 3));
        Assert.Equal(info.Select(a => Convert.ToHexString(a.Data)).Order(), go.Select(a => Convert.ToHexString(a.Data)).Order());
        Assert.Contains(go, a => a.Data.Length == 12 && a.Data.AsSpan(2, 8).SequenceEqual(RawNbd.U64((ulong)RuleTarget.Bytes)));
    }

    private static void MalformedGoIsAnErrorAndTheNextOneUnderstood(RuleTarget target)
    {
        using var client = target.Greeted();
        byte[][] malformed =
        [
            [0, 0, 0, 9, .. "disk"u8, 0, 0], [0xff, 0xff, 0xff, 0xff, 0, 0], [0, 0, 0, 4, .. "disk"u8, 0, 2, 0, 3],
        ];
        foreach (var data in malformed) Assert.Equal(RawNbd.ErrorInvalid, client.AskOne(Go, data));
        client.Go();
    }

    private static void AnUnknownExportLeavesTheSessionHaggling(RuleTarget target)
    {
        using var client = target.Greeted();
        var answer = client.Ask(Info, RawNbd.GoData("nobody"))[^1].Type;
        Assert.Equal(target.IsNbdkit ? RawNbd.Ack : RawNbd.ErrorUnknown, answer);
        client.Go();
    }

    private static void NothingFollowsTheAcknowledgementOfGo(RuleTarget target)
    {
        using var client = target.Connect();
        client.Greet(1);
        client.Go();
        Assert.Equal(0u, client.Call(3, 0, 0));
    }

    private static void StructuredReplyWithDataIsAnError(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.Equal(RawNbd.ErrorInvalid, client.AskOne(StructuredReply, 1));
        client.Go();
        Assert.Equal(0u, client.Call(3, 0, 0));
    }

    private static void ContextsNeedStructuredReplies(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.Equal(RawNbd.ErrorInvalid, client.AskOne(SetMetaContext, RawNbd.MetaData("disk", "base:allocation")));
        client.Go();
    }

    private static void ListingContextsSelectsNone(RuleTarget target)
    {
        using var client = target.Greeted();
        client.AskOne(StructuredReply);
        var listed = client.Ask(ListMetaContext, RawNbd.MetaData("disk"));
        Assert.Contains(listed, a => a.Type == RawNbd.MetaContext && a.Data.AsSpan(4).SequenceEqual("base:allocation"u8));
        client.Go();
        Assert.Equal(0x8001, Assert.Single(client.CallChunks(7, 0, 4096)).Type);
    }

    private static void ExtendedHeadersAreGrantedOrUnsupported(RuleTarget target)
    {
        using var client = target.Greeted();
        var answer = client.AskOne(ExtendedHeaders);
        Assert.Equal(target.IsZeroFlow ? RawNbd.Ack : answer, answer);
        Assert.True(answer is RawNbd.Ack or RawNbd.ErrorUnsupported);
        Assert.Equal(RawNbd.Ack, client.AskOne(Abort));
    }

    private static void StartTlsWithoutTlsIsUnsupported(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.True(client.AskOne(StartTls) is RawNbd.ErrorUnsupported or RawNbd.ErrorPolicy);
        client.Go();
    }

    private static void OptionsNeedNotWaitForAnswers(RuleTarget target)
    {
        using var client = target.Connect();
        client.Send(
        [
            .. RawNbd.U32(3), .. RawNbd.Option(4711), .. RawNbd.Option(List), .. RawNbd.Option(Go, RawNbd.GoData("disk")),
            .. RawNbd.Request(3, 77, 0, 0),
        ]);
        client.Read(18);
        Assert.Equal(RawNbd.ErrorUnsupported, Assert.Single(client.ReadAnswers(4711)).Type);
        Assert.Equal(RawNbd.Ack, client.ReadAnswers(List)[^1].Type);
        Assert.Equal(RawNbd.Ack, client.ReadAnswers(Go)[^1].Type);
        Assert.Equal(0u, client.ReadReply(77));
    }

    private static void StructuredReplyMayBeAskedForAgain(RuleTarget target)
    {
        using var client = target.Greeted();
        Assert.Equal(RawNbd.Ack, client.AskOne(StructuredReply));
        Assert.True(client.AskOne(StructuredReply) is RawNbd.Ack or RawNbd.ErrorInvalid);
        client.Go();
        Assert.NotEmpty(client.CallChunks(0, 0, 512));
    }

    private static void AFailedSelectionVoidsTheOneBefore(RuleTarget target)
    {
        using var client = target.Greeted();
        client.AskOne(StructuredReply);
        Assert.Equal(2, client.Ask(SetMetaContext, RawNbd.MetaData("disk", "base:allocation")).Count);
        Assert.Equal(RawNbd.ErrorInvalid, client.AskOne(SetMetaContext, 0, 0, 0, 99));
        client.Go();

        // nbdkit keeps the earlier selection when the option is malformed.
        Assert.Equal(target.IsNbdkit ? 5 : 0x8001, Assert.Single(client.CallChunks(7, 0, 4096)).Type);
    }

    private static void OverrunningContextQueriesAreInvalid(RuleTarget target)
    {
        using var client = target.Greeted();
        client.AskOne(StructuredReply);
        byte[] overrun = [.. RawNbd.Text("disk"), .. RawNbd.U32(2), .. RawNbd.Text("base:allocation")];

        // nbdkit answers the queries that come before the overrun.
        foreach (var option in (uint[])[SetMetaContext, ListMetaContext])
        {
            var answers = client.Ask(option, overrun);
            Assert.Equal(RawNbd.ErrorInvalid, answers[^1].Type);
            Assert.True(target.IsNbdkit || answers.Count == 1);
        }

        client.Go();
    }
}
