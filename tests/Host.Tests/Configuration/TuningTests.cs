using System.Reflection;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class TuningTests
{
    public static TheoryData<string> Properties =>
        [.. typeof(StoreOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(p => p.Name)];

    // A bound that cannot be set cannot be tuned: a property that is added to the options must get a row.
    [Fact]
    public void Every_property_of_the_options_has_a_row() =>
        Assert.Equal(Properties.Select(row => row.Data).Order(), TuningTable.Rows.Select(row => row.Name).Order());

    [Theory]
    [MemberData(nameof(Properties))]
    public void The_written_default_is_allowed_and_changes_nothing(string name)
    {
        TuningRow row = TuningTable.Rows.Single(r => r.Name == name);
        Assert.Equal(new StoreOptions(), row.TryApply(new StoreOptions(), row.Default));
    }

    // Each row must set its own property and no other one.
    [Theory]
    [MemberData(nameof(Properties))]
    public void A_row_sets_its_property_and_leaves_the_others_alone(string name)
    {
        TuningRow row = TuningTable.Rows.Single(r => r.Name == name);
        string[] candidates = ["64K", "3M", "200M", "7s", "5", "0.5"];
        var before = new StoreOptions();
        StoreOptions after = candidates.Select(text => row.TryApply(before, text)).First(o => o is not null)!;

        IEnumerable<string> changed = typeof(StoreOptions)
            .GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(p => !Equals(p.GetValue(before), p.GetValue(after)))
            .Select(p => p.Name);

        Assert.Equal([name], changed);
    }

    [Theory]
    [InlineData("TableBytes", "63K")]
    [InlineData("TableBytes", "33M")]
    [InlineData("ChunkBytes", "8K")]
    [InlineData("ChunkBytes", "48K")]
    [InlineData("ChunkBytes", "2M")]
    [InlineData("SettleLiveShare", "0.96")]
    [InlineData("SettleLiveShare", "-0.1")]
    [InlineData("MergeShare", "10.1")]
    [InlineData("MapBytes", "3M")]
    [InlineData("UploadsInFlight", "0")]
    [InlineData("UploadsInFlight", "65")]
    [InlineData("CompressionLevel", "20")]
    [InlineData("CompressionLevel", "-1")]
    [InlineData("PublishInterval", "0ms")]
    [InlineData("PublishInterval", "1")]
    [InlineData("StopTimeout", "25h")]
    [InlineData("WalBytes", "")]
    public void Values_outside_the_limits_are_refused(string name, string value) =>
        Assert.Null(TuningTable.Rows.Single(r => r.Name == name).TryApply(new StoreOptions(), value));

    [Fact]
    public void The_log_must_hold_two_segments()
    {
        using SettingsSource source = SettingsSource.Complete()
            .Option("Tuning:WalBytes", "64M").Option("Tuning:WalSegmentBytes", "33M");
        string error = Assert.Single(source.ReadErrors());
        Assert.Equal(
            "Tuning:WalBytes is 64 MiB, but must be at least twice Tuning:WalSegmentBytes, which is 33 MiB.", error);
    }
}
