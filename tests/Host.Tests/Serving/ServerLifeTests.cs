using System.Net;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Tests.Configuration;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Tests.Serving;

public sealed class ServerLifeTests : IDisposable
{
    private readonly SettingsSource _source = SettingsSource.Complete()
        .Option("Exports:0", "a:1M").Option("Exports:1", "b:1M");
    private readonly FakeParts _parts = new();

    [Fact]
    public async Task The_steps_come_in_their_order_and_a_stop_ends_with_0()
    {
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);
        await server.StopAsync();

        Assert.Equal(ExitCodes.Success, await run);
        Assert.Equal(
            ["open", "export a", "export b", "listen", "drain 10s", "stop 20s", "dispose", "dispose"], _parts.Calls);
        Assert.Contains("Information: Stopped: everything is published.", server.Log);
    }

    [Fact]
    public async Task The_probes_follow_the_phases()
    {
        var opening = new TaskCompletionSource();
        var draining = new TaskCompletionSource();
        _parts.OnOpen = _ => opening.Task;
        _parts.OnDrain = () => draining.Task;
        using ServerRun server = Server();
        Task<int> run = server.Start();

        await server.WaitForAsync(ServerPhase.Starting);
        Assert.Equal(HttpStatusCode.OK, (await server.ProbeAsync("/healthz")).Code);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.ProbeAsync("/readyz")).Code);

        opening.SetResult();
        await server.WaitForAsync(ServerPhase.Ready);
        Assert.Equal(HttpStatusCode.OK, (await server.ProbeAsync("/readyz")).Code);

        await server.StopAsync();
        await server.WaitForAsync(ServerPhase.Stopping);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.ProbeAsync("/readyz")).Code);
        Assert.Equal(HttpStatusCode.OK, (await server.ProbeAsync("/healthz")).Code);
        draining.SetResult();
        await run;
    }

    [Fact]
    public async Task What_is_left_for_the_next_start_is_said()
    {
        _parts.Left = new(EverythingPublished: false, 3 << 20);
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);
        await server.StopAsync();

        Assert.Equal(ExitCodes.Success, await run);
        Assert.Contains(
            "Warning: Stopped: 3 MiB are not published yet and wait in /srv/data/wal for the next start; keep it.",
            server.Log);
    }

    [Theory]
    [InlineData(FaultKind.Fenced, ExitCodes.Fenced)]
    [InlineData(FaultKind.Corrupt, ExitCodes.StorageFailed)]
    public async Task A_store_that_must_stop_ends_the_server_without_publishing(FaultKind kind, int code)
    {
        var draining = new TaskCompletionSource();
        _parts.OnDrain = () => draining.Task;
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);
        _parts.Break(new StorageFaultException(kind, "The reason."));

        await server.WaitForAsync(ServerPhase.Failed);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "The reason."), await server.ProbeAsync("/healthz"));
        (HttpStatusCode control, string problem) = await server.GetAsync("/v1/status");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, control);
        Assert.Contains("\"The store is not open: The reason.\"", problem, StringComparison.Ordinal);
        draining.SetResult();

        Assert.Equal(code, await run);
        Assert.Contains("Critical: Not serving any more: The reason.", server.Log);
        Assert.DoesNotContain(_parts.Calls, call => call.StartsWith("stop", StringComparison.Ordinal));
        Assert.Contains("drain 0s", _parts.Calls);
    }

    // A log that cannot be synced, or a takeover, on the way down must not look like a clean end.
    [Theory]
    [InlineData(true, ExitCodes.StorageFailed)]
    [InlineData(false, ExitCodes.Fenced)]
    public async Task A_fault_during_the_stop_shows_in_the_exit_code(bool stopFails, int code)
    {
        _parts.OnStop = () =>
        {
            if (stopFails) throw new StorageFaultException(FaultKind.Unavailable, "The reason.");
            _parts.Break(StorageFaultException.Fenced("The reason."));
            return Task.CompletedTask;
        };
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);
        await server.StopAsync();

        Assert.Equal(code, await run);
        Assert.Contains("Critical: Not serving any more: The reason.", server.Log);
        Assert.DoesNotContain(server.Log, line => line.Contains("everything is published", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_store_that_cannot_be_opened_is_one_sentence_and_exit_code_1()
    {
        _parts.OnOpen = _ => throw new StorageFaultException(FaultKind.Denied, "The passphrase is wrong.");
        using ServerRun server = Server();

        Assert.Equal(ExitCodes.StartFailed, await server.Start());
        Assert.Equal(["Critical: Cannot start: The passphrase is wrong."], server.Log);
        Assert.Equal(["open"], _parts.Calls);
    }

    [Fact]
    public async Task A_listener_that_cannot_start_closes_the_store()
    {
        _parts.OnListen = () => throw new StorageFaultException(FaultKind.Invalid, "The port is in use.");
        using ServerRun server = Server();

        Assert.Equal(ExitCodes.StartFailed, await server.Start());
        Assert.Equal(["open", "export a", "export b", "listen", "dispose", "dispose"], _parts.Calls);
    }

    [Fact]
    public async Task An_admin_port_in_use_is_one_sentence_and_the_store_is_not_touched()
    {
        using var taken = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var address = (IPEndPoint)taken.LocalEndpoint;
        using ServerRun server = new(_parts, _source.Read(), address);

        Assert.Equal(ExitCodes.StartFailed, await server.Start());
        string line = Assert.Single(server.Log);
        Assert.StartsWith(
            $"Critical: Cannot start: The admin address {address} (--admin) cannot be listened on:", line,
            StringComparison.Ordinal);
        Assert.Empty(_parts.Calls);
    }

    [Fact]
    public async Task A_stop_while_the_store_is_being_opened_ends_with_0()
    {
        _parts.OnOpen = cancellation => Task.Delay(Timeout.Infinite, cancellation);
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Starting);
        await server.StopAsync();

        Assert.Equal(ExitCodes.Success, await run);
        Assert.Contains("Information: Stopped before the server was ready.", server.Log);
    }

    [Theory]
    [InlineData(false, "disk0")]
    [InlineData(true, null)]
    public async Task The_embedded_default_makes_its_export_only_in_an_empty_store(bool hasExport, string? made)
    {
        using var embedded = new SettingsSource();
        if (hasExport) _parts.AddExport("mine");
        using ServerRun server = new(_parts, embedded.Read());
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);
        await server.StopAsync();
        await run;

        Assert.Equal(
            made is null ? [] : [$"export {made}"],
            _parts.Calls.Where(c => c.StartsWith("export", StringComparison.Ordinal)));
        string text = server.Output.ToString();
        Assert.Contains($"nbdinfo nbd://127.0.0.1:4711/{made ?? "mine"}", text, StringComparison.Ordinal);
        Assert.Contains($"http://{server.AdminAddress}/metrics", text, StringComparison.Ordinal);
        string data = Path.Combine(embedded.WorkingDirectory, "zeroflow-data");
        Assert.Contains(Path.Combine(data, "passphrase"), text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_named_store_prints_nothing_to_standard_output()
    {
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);
        await server.StopAsync();
        await run;
        Assert.Empty(server.Output.ToString());
    }

    [Fact]
    public async Task The_admin_endpoint_knows_its_paths_and_changes_nothing()
    {
        using ServerRun server = Server();
        Task<int> run = server.Start();
        await server.WaitForAsync(ServerPhase.Ready);

        (HttpStatusCode code, string body) = await server.GetAsync("/metrics");
        Assert.Equal(HttpStatusCode.OK, code);
        Assert.Contains("# TYPE zeroflow_metrics_dropped_total counter\n", body, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await server.GetAsync("/other")).Code);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, await server.SendAsync(HttpMethod.Post, "/metrics"));
        Assert.Equal(HttpStatusCode.OK, await server.SendAsync(HttpMethod.Head, "/readyz"));
        await server.StopAsync();
        await run;
    }

    public void Dispose() => _source.Dispose();

    private ServerRun Server() => new(_parts, _source.Read());
}
