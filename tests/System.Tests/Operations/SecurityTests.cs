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
