using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Host.Tests.Configuration;

namespace ZeroFlow.Host.Tests.Serving;

// Who may ask what of the admin address, and by which name.
public sealed partial class AdminGuardTests
{
    private const int GetDumpable = 3; // PR_GET_DUMPABLE

    [Theory]
    [InlineData("127.0.0.1:10810", true)]
    [InlineData("[::1]:10810", true)]
    [InlineData("192.168.7.1", true)]
    [InlineData("localhost:10810", true)]
    [InlineData("LOCALHOST", true)]
    [InlineData("", true)]
    [InlineData("storage.example:10810", true)]
    [InlineData("evil.example", false)]
    [InlineData("localhost.evil.example", false)]
    [InlineData("127.0.0.1.evil.example:10810", false)]
    public void A_name_must_be_known_and_an_address_is_nobodys(string host, bool isGood) =>
        Assert.Equal(isGood, new HostHeaderGuard(["storage.example"]).Accepts(new HostString(host)));

    // What a browser sends whose name server was made to lie.
    [Theory]
    [InlineData("/metrics")]
    [InlineData("/readyz")]
    [InlineData("/v1/status")]
    [InlineData("/")]
    public async Task A_rebound_name_gets_nothing_from_any_path(string path)
    {
        await using Running server = await Running.StartAsync(IPAddress.Loopback);
        string answer = await server.AskRawAsync(path, "evil.example");
        Assert.StartsWith("HTTP/1.1 421 ", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("HTTP/1.1 421", await server.AskRawAsync(path, $"localhost:{server.Port}"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_a_loopback_address_metrics_and_reasons_are_open()
    {
        await using Running server = await Running.StartAsync(IPAddress.Loopback);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/metrics", null)).Code);
        Assert.Contains("\"reason\"", (await server.GetAsync("/readyz", null)).Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_any_other_address_metrics_and_reasons_ask_for_a_token_and_probes_do_not()
    {
        await using Running server = await Running.StartAsync(IPAddress.Any, "only for reading");
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync("/metrics", null)).Code);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync("/metrics", "only for readinG")).Code);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/metrics", "only for reading")).Code);
        (HttpStatusCode code, string body) = await server.GetAsync("/healthz", null);
        Assert.Equal(HttpStatusCode.OK, code);
        Assert.DoesNotContain("reason", body, StringComparison.Ordinal);
        Assert.Contains("\"reason\"", (await server.GetAsync("/healthz", "only for reading")).Body, StringComparison.Ordinal);

        // It opens no other door.
        Assert.NotEqual(HttpStatusCode.OK, (await server.GetAsync("/v1/status", "only for reading")).Code);
    }

    [Theory]
    [InlineData(UnixFileMode.UserRead, null)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.GroupRead, "can be read or written by others")]
    public void The_metrics_token_is_a_file_of_its_owner(UnixFileMode mode, string? problem)
    {
        using SettingsSource source = SettingsSource.Complete();
        string path = source.File("metrics.token", "only for reading\n", mode);
        source.Option("Admin:MetricsTokenFile", path);
        if (problem is null) Assert.Equal("only for reading", source.Read().MetricsToken!.Reveal());
        else Assert.Contains(problem, Assert.Single(source.ReadErrors()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_metrics_token_that_is_not_there_is_an_error()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Admin:MetricsTokenFile", "nowhere");
        Assert.Contains("does not exist", Assert.Single(source.ReadErrors()), StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_is_closed_unless_dumps_are_asked_for()
    {
        using SettingsSource source = SettingsSource.Complete();
        Assert.False(source.Read().CoreDumps);
        Assert.True(source.Option("CoreDumps", "true").Read().CoreDumps);
        ProcessMemory.Close();
        Assert.Equal(0, Prctl(GetDumpable, 0, 0, 0, 0));
    }

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int Prctl(int option, nuint one, nuint two, nuint three, nuint four);

    private sealed class Running : IAsyncDisposable
    {
        private readonly MetricCollector _collector = new(static _ => false);
        private readonly AdminEndpoint _admin;

        private Running(IPAddress address, string? metricsToken)
        {
            var endpoint = new IPEndPoint(address, 0);
            var guard = new AdminGuard(endpoint, [], metricsToken is null ? null : new AdminToken(metricsToken));
            using SettingsSource source = SettingsSource.Complete();
            var sources = LiveSources.Of(
                source.Read(), _collector, new ServerState(), new RecentEvents(TimeProvider.System), TimeProvider.System);
            _admin = new AdminEndpoint(
                endpoint, null, sources, liveNeedsToken: false, new ControlApi(), NullLoggerFactory.Instance, guard);
        }

        public int Port => _admin.Address!.Port;

        public static async Task<Running> StartAsync(IPAddress address, string? metricsToken = null)
        {
            var running = new Running(address, metricsToken);
            await running._admin.StartAsync(TestContext.Current.CancellationToken);
            return running;
        }

        public async Task<(HttpStatusCode Code, string Body)> GetAsync(string path, string? token)
        {
            using var client = new HttpClient();
            if (token is not null) client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            using HttpResponseMessage answer = await client.GetAsync(
                new Uri($"http://127.0.0.1:{Port}{path}"), TestContext.Current.CancellationToken);
            return (answer.StatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }

        public async Task<string> AskRawAsync(string path, string host)
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, Port, TestContext.Current.CancellationToken);
            await client.GetStream().WriteAsync(
                Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), TestContext.Current.CancellationToken);
            using var reader = new StreamReader(client.GetStream());
            return await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
        }

        public async ValueTask DisposeAsync()
        {
            await _admin.DisposeAsync();
            _collector.Dispose();
        }
    }
}
