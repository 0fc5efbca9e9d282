using Xunit;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.Engine;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class SettlePacerTests
{
    private const double Target = 0.7;

    private readonly ElasticTimeProvider _time = new(1);

    [Theory]
    [InlineData(0.7)]
    [InlineData(0.53)]
    public void Near_its_target_nobody_waits(double share)
    {
        var pacer = new SettlePacer(_time);
        pacer.BatchBegins(share, Target, givesBack: 1);
        Assert.False(pacer.IsBehind);
        for (int i = 0; i < 100; i++) Assert.True(pacer.TryCut(1 << 20, isUrgent: false));
    }

    // The last cut may go over the allowance: it is looked at before, not after.
    [Theory]
    [InlineData(0.35, 1)]
    [InlineData(0.1, 1)]
    [InlineData(0.4375, 4.5)]
    public void The_further_behind_the_less_is_cut_between_batches(double share, double batches)
    {
        var pacer = new SettlePacer(_time);
        pacer.BatchBegins(share, Target, givesBack: 1000);
        Assert.True(pacer.IsBehind);
        int cuts = 0;
        while (pacer.TryCut(100, isUrgent: false)) cuts++;
        Assert.Equal(10 * batches, cuts);

        pacer.BatchBegins(share, Target, givesBack: 1000);
        Assert.True(pacer.TryCut(100, isUrgent: false));
    }

    [Fact]
    public void What_somebody_waits_for_goes_at_once_and_everything_else_after_a_while()
    {
        var pacer = new SettlePacer(_time);
        pacer.BatchBegins(0.1, Target, givesBack: 100);
        Assert.True(pacer.TryCut(100, isUrgent: false));
        Assert.True(pacer.TryCut(100, isUrgent: true));
        Assert.False(pacer.TryCut(100, isUrgent: false));
        _time.Skip(SettlePacer.Patience);
        Assert.True(pacer.TryCut(100, isUrgent: false));
        Assert.False(pacer.TryCut(100, isUrgent: false));
    }

    [Fact]
    public void A_settler_that_rests_holds_nobody_up()
    {
        var pacer = new SettlePacer(_time);
        pacer.BatchBegins(0.1, Target, givesBack: 0);
        Assert.False(pacer.TryCut(100, isUrgent: false));
        pacer.Rests();
        Assert.True(pacer.TryCut(1 << 20, isUrgent: false));
    }
}
