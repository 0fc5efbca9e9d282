using Xunit;

namespace ZeroFlow.Simulation.Tests.Model;

// All states that the protocol can get into, not some: what the simulation draws by seeds, here is looked at whole, on a
// smaller world.
public sealed class ChainModelTests
{
    [Fact]
    public void With_all_rules_nothing_that_was_acknowledged_is_ever_missing()
    {
        // With three tables each there are 27,552,274 states: two minutes and 5 GB.
        bool isLong = Environment.GetEnvironmentVariable("ZEROFLOW_LONG") == "1";
        Exploration explored = Exploration.Run(new ChainModel(ChainRules.All, tables: isLong ? 3 : 2));
        Assert.True(explored.Objection is null, $"{explored.Objection}:\n{string.Join('\n', explored.Path)}");
        Assert.True(explored.States > 10_000, $"Only {explored.States} states: the model does not move.");
        TestContext.Current.TestOutputHelper?.WriteLine($"{explored.States} states, at most {explored.Depth} steps deep");
    }

    public static TheoryData<string> Rules =>
        [.. Enum.GetNames<ChainRules>().Where(static name => name is not (nameof(ChainRules.None) or nameof(ChainRules.All)))];

    // A rule that can be left out without an objection is either not needed or not in the model.
    [Theory]
    [MemberData(nameof(Rules))]
    public void Without_one_of_the_rules_something_is_lost(string rule)
    {
        Exploration explored = Exploration.Run(new ChainModel(ChainRules.All & ~Enum.Parse<ChainRules>(rule), tables: 2));
        Assert.True(explored.Objection is not null, $"{explored.States} states without {rule}, and no objection");
        TestContext.Current.TestOutputHelper?.WriteLine($"{explored.Objection}:\n{string.Join('\n', explored.Path)}");
    }
}
