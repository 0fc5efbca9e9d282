using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Rules;

/// <summary>
/// The rules of the protocol, each tried on this server and on two others: a case that fails there is wrong, or says what
/// it tolerates and why. docs/nbd.md has the table.
/// </summary>
public sealed class RuleTests(ZeroFlowBinary binary, RuleServers servers) : IClassFixture<RuleServers>
{
    private static readonly Dictionary<string, Action<RuleTarget>> Cases =
        HandshakeRules.Cases.Concat(CommandRules.Cases).Concat(ChunkRules.Cases).ToDictionary();

    public static TheoryData<string> Names => [.. Cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task ZeroFlow_keeps(string rule) => Cases[rule](await servers.GetAsync(RuleTarget.ZeroFlow, binary));

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Nbdkit_keeps(string rule) => Cases[rule](await servers.GetAsync(RuleTarget.Nbdkit, binary));

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Qemu_keeps(string rule) => Cases[rule](await servers.GetAsync(RuleTarget.Qemu, binary));

    [Fact]
    public void Every_case_has_its_row_in_the_document()
    {
        var document = File.ReadAllText(ProjectRoot.File("docs/nbd.md"));
        Assert.All(Cases, rule => Assert.Contains(
            $"| {rule.Key} | `{rule.Value.Method.Name}` |", document, StringComparison.Ordinal));
    }
}
