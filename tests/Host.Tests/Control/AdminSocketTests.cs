using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Commands;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Host.Tests.Configuration;
using ZeroFlow.Host.Tests.Serving;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Tests.Control;

// The admin endpoint on a Unix socket: who may use it, and what becomes of its file.
public sealed class AdminSocketTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TempDirectory _directory = new();
    private readonly MetricCollector _collector = new(static _ => false);

    private string Path => System.IO.Path.Combine(_directory.Path, "socket");

    [Fact]
    public async Task Commands_reach_the_server_by_its_socket_without_a_token_and_by_its_address_only_with_one()
    {
        await using var server = new ControlServer();
        await server.InitializeAsync();
        Assert.Equal(Private, File.GetUnixFileMode(server.SocketPath) & (UnixFileMode)0b111_111_111);
        string[] elsewhere = ["--data", _directory.Path];
        Assert.Equal((0, ""), await RunAsync(["export", "create", "disk", "1M", "--admin", $"unix:{server.SocketPath}", .. elsewhere]));
        Assert.Equal((0, ""), await RunAsync(["snapshot", "s", "disk", "--admin", $"unix:{server.SocketPath}", .. elsewhere]));
        Assert.Equal(7, (await RunAsync(["export", "ls", "--admin", server.Address, .. elsewhere])).Code);
        Assert.Contains("disk@s", await server.DoAsync("export", "ls"), StringComparison.Ordinal);
        var (code, error) = await RunAsync(["stats", "--admin", $"unix:{Path}"]);
        Assert.Equal(1, code);
        Assert.StartsWith($"zeroflow: There is no ZeroFlow server to be reached at unix:{Path}: ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("unix:")]
    [InlineData("ftp://127.0.0.1")]
    [InlineData("no host")]
    public async Task An_address_that_is_none_is_told_and_not_replaced_by_the_default(string address)
    {
        Assert.Equal(
            (2, $"zeroflow: The admin address {address} is not HOST:PORT, a URL, or unix:PATH.\n"),
            await RunAsync(["stats", "--admin", address]));
    }

    [Fact]
    public async Task The_file_of_a_dead_server_is_replaced_and_goes_with_a_stop()
    {
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // A name that the socket does not know as its own stays when it closes, as after a kill.
            dead.Bind(new UnixDomainSocketEndPoint(Path + "x"));
            File.Move(Path + "x", Path);
        }

        Assert.True(File.Exists(Path));
        await using (AdminEndpoint endpoint = New())
        {
            await endpoint.StartAsync(CancellationToken.None);
            Assert.Equal((null, $"unix:{Path}:/metrics"), (endpoint.Address, endpoint.MetricsPlace));
            Assert.Equal(Private, File.GetUnixFileMode(Path) & (UnixFileMode)0b111_111_111);
        }

        Assert.False(File.Exists(Path));
    }

    [Fact]
    public async Task A_socket_in_use_or_any_other_file_is_one_sentence_and_stays()
    {
        await using AdminEndpoint first = New();
        await first.StartAsync(CancellationToken.None);
        await using AdminEndpoint second = New();
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => second.StartAsync(CancellationToken.None));
        Assert.Equal($"The admin socket {Path} (--admin-socket) cannot be listened on: it is in use; choose another path, or stop what uses it.", fault.Message);
        Assert.True(File.Exists(Path));

        string file = _directory.Write("file", "mine");
        using SettingsSource settings = SettingsSource.Complete();
        using var run = new ServerRun(new FakeParts(), settings.Read(), adminSocket: file);
        Assert.Equal(ExitCodes.StartFailed, await run.Start());
        Assert.StartsWith($"Critical: Cannot start: The admin socket {file} ", Assert.Single(run.Log), StringComparison.Ordinal);
        Assert.Equal("mine", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_socket_is_served_instead_of_the_address_unless_that_is_named_too()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Admin:Socket", "here");
        Assert.Equal(
            (null, System.IO.Path.Combine(source.WorkingDirectory, "here")),
            (source.Read().AdminListen, source.Read().AdminSocketPath));
        Assert.Equal(IPEndPoint.Parse("127.0.0.1:1"), source.Option("Admin:Listen", "127.0.0.1:1").Read().AdminListen);
        using SettingsSource tooLong = SettingsSource.Complete().Option("Admin:Socket", new string('x', 120));
        Assert.Contains("a path of at most 107 bytes", Assert.Single(tooLong.ReadErrors()), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _collector.Dispose();
        _directory.Dispose();
    }

    private static async Task<(int Code, string Error)> RunAsync(string[] arguments)
    {
        var error = new StringWriter();
        int code = await CommandTree.RunAsync(arguments, TextWriter.Null, error);
        return (code, error.ToString());
    }

    private AdminEndpoint New() =>
        new(
            null, Path,
            new LiveSources(
                _collector, new ServerState(), new RecentEvents(TimeProvider.System), TimeProvider.System, "file:///nowhere",
                new StoreOptions(), new PriceList(), null),
            liveNeedsToken: false, new ControlApi(), NullLoggerFactory.Instance);
}
