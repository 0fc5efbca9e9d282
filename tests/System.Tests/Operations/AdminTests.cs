using System.Net;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Operations;

public sealed class AdminTests(ZeroFlowBinary binary)
{
    private const string Disk = "disk";
    private const int Bytes = 16 * 1024 * 1024;

    [Fact]
    public async Task Metrics_pass_promtool_and_show_the_stages_at_work()
    {
        Require.Tool("promtool");
        using var folder = new TestFolder();
        await using var server = await ZeroFlowServer.StartAsync(await SettingsAsync(folder));
        using (var stop = new CancellationTokenSource(1500))
        {
            await new Load(new ImageHistory(Disk, 1, Bytes, new Sequencer()), 1).RunAsync(server.Port, stop.Token);
        }

        var text = await server.MetricsTextAsync();
        await File.WriteAllTextAsync(folder["metrics"], text, TestContext.Current.CancellationToken);
        var (status, said, _) = await Tool.TryAsync("bash", "-c", $"promtool check metrics < {folder["metrics"]}");
        Assert.True(status == 0, said);

        var metrics = new MetricsPage(text);
        Assert.All(
            new[] { "admit", "sequence", "journal", "chunk", "compress", "seal", "table", "upload", "commit" },
            stage => Assert.True(
                metrics.Sum(MetricNames.StageMessages, $"stage=\"{stage}\"") > 0,
                $"Stage {stage} shows no messages:\n{text}"));
        Assert.Contains(metrics.Names, name => name == MetricNames.DirtyBytes);
        Assert.Equal(0, await server.StopAsync());
    }

    // Ready says that clients can attach; healthy, that the process lives. Both end with the server.
    [Fact]
    public async Task Probes_answer_while_the_server_serves()
    {
        using var folder = new TestFolder();
        await using var server = await ZeroFlowServer.StartAsync(await SettingsAsync(folder));
        Assert.Equal(HttpStatusCode.OK, await server.StatusAsync("/healthz"));
        Assert.Equal(HttpStatusCode.OK, await server.StatusAsync("/readyz"));
        Assert.Equal(HttpStatusCode.NotFound, await server.StatusAsync("/nothing-here"));
        Assert.Equal(0, await server.StopAsync());
        Assert.Null(await server.StatusAsync("/readyz"));
    }

    private async Task<ServerSettings> SettingsAsync(TestFolder folder) =>
        new(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:journaled"],
            Tuning = new Dictionary<string, string> { ["PublishInterval"] = "100ms" },
        };
}
