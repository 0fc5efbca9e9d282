using System.Net.Http.Headers;
using System.Text;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

// What SECURITY.md promises of a whole server: where secrets and data are not to be found.
public sealed class SecurityTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const string Pattern = "a known text in the middle of a block device. ";

    // The log, the bucket and the cache, after a write, a read back from the bucket, and a stop.
    [Fact]
    public async Task A_thief_of_the_local_disk_or_a_reader_of_the_bucket_finds_nothing_of_a_known_text()
    {
        using var folder = new TestFolder();
        var store = folder.Make("store");
        var settings = new ServerSettings(await binary.PathAsync(), StorePlace.InDirectory(store), folder.Make("data"))
        {
            Exports = [$"{Disk}:64M:published"],
            Tuning = new Dictionary<string, string> { ["DiskCacheBytes"] = "64M" },
        };

        // More than the memory of the smallest cache, and of a sort that does not compress away.
        var text = new byte[24 * 1024 * 1024];
        new Random(1).NextBytes(text);
        for (var at = 0; at < text.Length; at += 4096) Encoding.ASCII.GetBytes(Pattern + Pattern).CopyTo(text, at);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
            const int Piece = 1024 * 1024;
            for (var at = 0; at < text.Length; at += Piece) await client.WriteAsync(at, text.AsMemory(at, Piece));
            await client.FlushAsync();
            Assert.True(AssertAbsent(settings.Data, Pattern, settings.Passphrase).Wal > 0, "There is no log to look into.");
            await server.KillAsync();
        }

        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
            var read = new byte[text.Length];
            for (var at = 0; at < text.Length; at += 1024 * 1024) await client.ReadAsync(at, read.AsMemory(at, 1024 * 1024));
            Assert.Equal(text, read);
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            while (AssertAbsent(settings.Data, Pattern, settings.Passphrase).Cache == 0) await Task.Delay(100, patience.Token);
            Assert.Equal(0, await server.StopAsync());
        }

        AssertAbsent(settings.Data, Pattern, settings.Passphrase);
        AssertAbsent(store, Pattern, Disk, settings.Passphrase);
    }

    // Everything that a server tells anybody, at its most talkative, also while it cannot start.
    [Fact]
    public async Task Secrets_are_in_no_log_line_metric_answer_or_process_argument()
    {
        using var folder = new TestFolder();
        var place = await StorePlace.NewAsync(StorePlace.Radosgw, folder, gateway);
        var settings = new ServerSettings(await binary.PathAsync(), place, folder.Make("data"))
        {
            Passphrase = "hush-hush-passphrase",
            Options = ["--log-level", "trace"],
            Exports = [$"{Disk}:16M:published"],
        };
        var said = new StringBuilder();
        string token;
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            token = (await File.ReadAllTextAsync(Path.Combine(settings.Data, "admin.token"), TestContext.Current.CancellationToken)).Trim();
            await using (var client = await NbdClient.ConnectAsync(server.Port, Disk))
            {
                await client.WriteAsync(0, new byte[4096]);
                await client.FlushAsync();
            }

            said.Append(await server.MetricsTextAsync());
            using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{settings.AdminPort}") };
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            foreach (var path in (string[])["/v1/status", "/v1/exports", "/v1/openapi.json", "/readyz", "/v1/exports/none", "/v1/nothing"])
            {
                using var answer = await http.GetAsync(path, TestContext.Current.CancellationToken);
                said.Append(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
            }

            said.Append(await File.ReadAllTextAsync($"/proc/{server.ProcessId}/cmdline", TestContext.Current.CancellationToken));
            Assert.Matches(@"Max core file size\s+0\s+0\s", await LimitsAsync(server));
            Assert.Equal(0, await server.StopAsync());
            said.Append(server.Log);
        }

        said.Append(await RefusedAsync(settings with { Passphrase = "hush-hush-but-wrong" }, "does not open the store"));
        var wrongKey = place with
        {
            Credentials = new Dictionary<string, string>(place.Credentials) { ["AWS_SECRET_ACCESS_KEY"] = "hush-hush-key" },
        };
        said.Append(await RefusedAsync(settings with { Store = wrongKey }, "cannot be opened"));
        foreach (var secret in (string[])["hush-hush", token, RadosGateway.SecretKey])
            Assert.DoesNotContain(secret, said.ToString(), StringComparison.Ordinal);
    }

    // The server under a user that is not root, and another process of the same user. With dumps allowed it can: that is what
    // the default keeps from it.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Another_process_of_the_same_user_can_read_neither_environment_nor_memory_unless_dumps_are_allowed(bool allowed)
    {
        Require.Root();
        Require.Tool("setpriv", "chown");
        const UnixFileMode entered = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
        string[] nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        using var folder = new TestFolder();
        var program = await binary.PathAsync();
        File.SetUnixFileMode(Path.GetDirectoryName(program)!, entered);
        File.SetUnixFileMode(folder.Path, entered);
        var place = StorePlace.InDirectory(folder.Make("store"));
        var data = folder.Make("data");
        await Tool.RunAsync("chown", "-R", "65534:65534", folder.Path);
        var settings = new ServerSettings(program, place, data);
        await using var process = ChildProcess.Start(
            "setpriv",
            [
                .. nobody, program, "serve", "--store", place.Url, "--data", data, "--listen", $"127.0.0.1:{settings.Port}",
                "--admin", $"127.0.0.1:{settings.AdminPort}", "--set", $"CoreDumps={allowed}",
            ],
            new Dictionary<string, string> { ["ZEROFLOW_PASSPHRASE"] = settings.Passphrase });
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{settings.AdminPort}") };
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await IsReadyAsync(http)) await Task.Delay(50, patience.Token);

        foreach (var file in (string[])["environ", "maps"])
        {
            var (status, said, output) = await Tool.TryAsync("setpriv", [.. nobody, "cat", $"/proc/{process.Id}/{file}"]);
            Assert.True(status == 0 == allowed, $"/proc/PID/{file}: {said}");
            Assert.Equal(allowed && file == "environ", output.Contains(settings.Passphrase, StringComparison.Ordinal));
        }

        // It can look at itself all the same.
        var metrics = new MetricsPage(await http.GetStringAsync("/metrics", TestContext.Current.CancellationToken));
        Assert.True(metrics.Sum("process_open_fds") > 0);
        Assert.Equal(0, metrics.Sum("zeroflow_metrics_failures_total"));
        process.Send(Signal.Terminate);
        Assert.Equal(0, await process.ExitAsync(TimeSpan.FromSeconds(60)));
    }

    [Fact]
    public async Task A_passphrase_file_that_others_can_read_is_refused()
    {
        using var folder = new TestFolder();
        var file = folder["passphrase"];
        await File.WriteAllTextAsync(file, "hush", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        var settings = new ServerSettings(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Options = ["--passphrase-file", file],
        };
        await RefusedAsync(settings, "can be read or written by others; allow only its owner: chmod 600");
    }

    private static async Task<string> RefusedAsync(ServerSettings settings, string reason)
    {
        await using var server = ZeroFlowServer.Launch(settings);
        Assert.NotEqual(0, await server.ExitAsync());
        Assert.Contains(reason, server.Log, StringComparison.Ordinal);
        return server.Log;
    }

    private static async Task<bool> IsReadyAsync(HttpClient http)
    {
        try
        {
            using var answer = await http.GetAsync("/readyz", TestContext.Current.CancellationToken);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static Task<string> LimitsAsync(ZeroFlowServer server) =>
        File.ReadAllTextAsync($"/proc/{server.ProcessId}/limits", TestContext.Current.CancellationToken);

    private static (int Wal, int Cache) AssertAbsent(string directory, params string[] texts)
    {
        var (wal, cache) = (0, 0);
        foreach (var file in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            // The one of these files that a running server holds for itself, empty.
            if (Path.GetFileName(file) == "lock") continue;
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            foreach (var text in texts)
                Assert.True(bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) < 0, $"{file} holds '{text}'.");
            if (file.Contains("/wal/", StringComparison.Ordinal) && bytes.AsSpan().ContainsAnyExcept((byte)0)) wal++;
            if (file.Contains("/cache/", StringComparison.Ordinal) && bytes.AsSpan().ContainsAnyExcept((byte)0)) cache++;
        }

        return (wal, cache);
    }
}
