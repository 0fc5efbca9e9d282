using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Live;

namespace ZeroFlow.Host.Tests.Live;

// The newest lines of the log, for whoever looks.
public sealed class RecentEventsTests
{
    [Fact]
    public void The_newest_come_first_the_oldest_go_and_warnings_stay_longer()
    {
        var events = new RecentEvents(TimeProvider.System);
        ILogger log = events.CreateLogger("ZeroFlow.Some");
        log.LogWarning("trouble");
        for (int i = 0; i < RecentEvents.Kept + 5; i++) log.LogInformation("line {Number}", i);
        LiveEvent[] kept = events.Newest();
        Assert.Equal(RecentEvents.Kept + 1, kept.Length);
        Assert.Equal($"line {RecentEvents.Kept + 4}", kept[0].Text);
        Assert.Equal("line 5", kept[^2].Text);
        Assert.Equal("trouble", kept[^1].Text);
    }

    // What is left out of the log on standard error is still seen here, and the frameworks' chatter is not.
    [Fact]
    public void Ours_are_kept_from_information_on_whatever_the_log_leaves_out()
    {
        var events = new RecentEvents(TimeProvider.System);
        using ILoggerFactory loggers = LoggerFactory.Create(logging =>
        {
            ServerLog.Configure(logging, LogLevel.Error);
            ServerLog.Keep(logging, events);
        });
        loggers.CreateLogger("ZeroFlow.Store").LogInformation("first\nline");
        loggers.CreateLogger("ZeroFlow.Store").LogDebug("not this");
        loggers.CreateLogger("Microsoft.AspNetCore.Server").LogInformation("nor this");
        loggers.CreateLogger("ZeroFlow.Store").LogWarning("{Long}", new string('y', 4000));
        LiveEvent[] kept = events.Newest();
        Assert.Equal(2, kept.Length);
        Assert.Equal(LiveLevel.Warning, kept[0].Level);
        Assert.True(kept[0].Text.Length < 500);
        Assert.Equal("first line", kept[1].Text);
    }
}
