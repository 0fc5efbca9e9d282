using System.Collections;
using System.Net.Sockets;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Systemd;

namespace ZeroFlow.Host.Tests.Systemd;

// The parts that need no process of their own; System.Tests hand real sockets to a real server.
public sealed class SystemdTests
{
    [Theory]
    [InlineData(null, null, null)]
    [InlineData("30000000", null, 30_000.0)]
    [InlineData("30000000", "42", 30_000.0)]
    [InlineData("30000000", "43", null)]
    [InlineData("0", null, null)]
    [InlineData("soon", null, null)]
    [InlineData("1", null, 2.0)]
    public void The_watchdog_is_the_one_that_was_asked_of_this_process(string? microseconds, string? owner, double? expected) =>
        Assert.Equal(expected, ServiceNotifier.WatchdogPeriod(microseconds, owner, 42)?.TotalMilliseconds);

    [Fact]
    public void A_manager_that_does_not_listen_harms_nobody_and_a_status_is_one_line()
    {
        var manager = new RecordingNotifier();
        using var notifier = new ServiceNotifier(
            manager, null, TimeSpan.FromSeconds(1), TimeProvider.System, NullLogger<ServiceNotifier>.Instance);
        notifier.Tell(new ServerState.Snapshot(ServerPhase.Failed, "one\ntwo\nREADY=1"));
        Assert.Equal(["STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000\nSTATUS=Failed: one two READY=1"], manager.Told);
        manager.Fails = true;
        notifier.Tell(new ServerState.Snapshot(ServerPhase.Ready, "clients can attach"));
        Assert.Single(manager.Told);
    }

    [Theory]
    [InlineData("7", "3", "")]
    [InlineData("42", "", "LISTEN_PID is set, but LISTEN_FDS is not a number: socket activation is incomplete.")]
    [InlineData("42", "-1", "LISTEN_PID is set, but LISTEN_FDS is not a number: socket activation is incomplete.")]
    [InlineData("42", "0", "")]
    public void Descriptors_are_taken_only_by_the_process_that_they_are_for(string process, string count, string expected)
    {
        var errors = new ConfigurationErrors();
        IDictionary environment = new Dictionary<string, string> { ["LISTEN_PID"] = process, ["LISTEN_FDS"] = count };
        var sockets = InheritedSockets.Read(environment, 42, errors);
        Assert.Empty(sockets.Nbd);
        Assert.Null(sockets.Admin);
        Assert.Equal(expected, string.Join('\n', errors.Messages));
    }

    private sealed class RecordingNotifier : ISystemdNotifier
    {
        public List<string> Told { get; } = [];

        public bool Fails { get; set; }

        public bool IsEnabled => true;

        public void Notify(ServiceState state)
        {
            if (Fails) throw new SocketException((int)SocketError.ConnectionRefused);
            Told.Add(state.ToString());
        }
    }
}
