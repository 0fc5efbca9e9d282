using System.Net;
using System.Text.Json;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Tests.Control;

namespace ZeroFlow.Host.Tests.Live;

// The live view of a real server over HTTP: what it says, and to whom.
public sealed class LiveEndpointTests : IAsyncLifetime
{
    private readonly ControlServer _server = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_frame_shows_the_store_at_work()
    {
        await _server.DoAsync("export", "create", "disk", "64M");
        await _server.DoAsync("export", "create", "other", "1M", "--level", "published");
        await _server.DoAsync("snapshot", "monday", "disk");
        using HttpClient writer = _server.NewClient(_server.Token);
        using HttpClient client = _server.NewClient(null);
        await using var frames = new FrameReader(client);
        LiveFrame first = await frames.NextAsync(Cancellation);
        Assert.False(first.Server.HasRates);
        LiveFrame found = await frames.UntilAsync(
            frame => frame.Stages.Single(stage => stage.Name == "commit").MessagesPerSecond > 0,
            () => WriteAsync(writer, 1 << 20), Cancellation);

        Assert.True(found.Server.HasRates);
        Assert.Equal("healthy", found.State.Kind);
        Assert.Equal(LiveStages.InOrder.Except(["admit"]), found.Stages.Select(static stage => stage.Name));
        LiveStage journal = await frames.StageAsync("journal", stage => stage.BytesInPerSecond > 0, () => WriteAsync(writer, 1 << 20), Cancellation);
        Assert.True(journal.Latency.P50 > 0 && journal.Latency.P99 >= journal.Latency.P50);
        Assert.Equal(["disk", "other"], found.Exports.Select(static export => export.Name));
        Assert.Equal("disk@monday", Assert.Single(found.Snapshots).Name);
        Assert.True(found.Wal.LimitBytes > 0);
        LiveObjectRequests puts = found.Bucket.Requests.Single(static request => request.Kind == "create");
        Assert.True(puts.Total > 0);
        Assert.True(found.Bucket.Cost.PerDay > 0);
    }

    [Fact]
    public async Task A_write_is_behind_until_the_bucket_has_it_and_an_outage_is_told_with_its_beginning()
    {
        await _server.DoAsync("export", "create", "disk", "64M");
        await _server.DoAsync("export", "create", "idle", "1M");
        await _server.DoAsync("flush");
        using HttpClient client = _server.NewClient(_server.Token);
        await using var frames = new FrameReader(client);
        await frames.NextAsync(Cancellation);
        _server.TakeBucketAway();
        await WriteAsync(client, 4096);
        LiveFrame away = await frames.UntilAsync(static frame => frame.State.Kind == "bucketAway", null, Cancellation);
        Assert.False(away.Bucket.Reachable);
        Assert.NotNull(away.State.Since);
        Assert.True(away.Wal.DirtyBytes > 0);
        LiveFrame behind = await frames.UntilAsync(static frame => frame.Exports[0].LagSeconds > 0, null, Cancellation);
        Assert.Equal(0, behind.Exports.Single(static export => export.Name == "idle").LagSeconds);
        _server.BringBucketBack();
        LiveFrame back = await frames.UntilAsync(static frame => frame.State.Kind == "healthy" && frame.Wal.DirtyBytes == 0, null, Cancellation);
        Assert.Null(back.Bucket.Error);
        Assert.Equal(0, back.Exports[0].LagSeconds);
    }

    [Fact]
    public async Task Whoever_looks_hears_at_once_that_another_server_took_the_store_over()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        using HttpClient client = _server.NewClient(null);
        await using var frames = new FrameReader(client);
        await frames.NextAsync(Cancellation);
        await _server.TakeOverAsync();
        using HttpClient writer = _server.NewClient(_server.Token);
        LiveFrame fenced = await frames.UntilAsync(
            static frame => frame.State.Kind == "fenced",
            async () => await writer.PutAsync("/v1/exports/disk/content", new ByteArrayContent(new byte[512]), Cancellation), Cancellation);
        Assert.Equal(LiveLevel.Critical, fenced.State.Level);

        // The store is closed next, and knows it no more.
        await _server.CloseStoreAsync();
        _server.State.Enter(ServerPhase.Failed, "another server took it");
        Assert.Equal("fenced", (await frames.NextAsync(Cancellation)).State.Kind);
        Assert.Equal("fenced", (await frames.NextAsync(Cancellation)).State.Kind);
    }

    [Fact]
    public async Task The_last_numbers_stay_under_the_newest_state_and_the_stream_ends_with_the_server()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        using HttpClient client = _server.NewClient(null);
        await using var frames = new FrameReader(client);
        await frames.NextAsync(Cancellation);
        _server.State.Enter(ServerPhase.Stopping, "the server is stopping");
        await frames.UntilAsync(static frame => frame.State.Kind == "stopping", null, Cancellation);
        await _server.CloseStoreAsync();
        _server.State.Enter(ServerPhase.Failed, "the disk is gone");
        LiveFrame last = await frames.UntilAsync(static frame => frame.State.Kind == "failed", null, Cancellation);
        Assert.Equal("The disk is gone.", last.State.Reason);
        Assert.Equal("disk", Assert.Single(last.Exports).Name);
        await _server.CloseAdminAsync();
        Assert.True(await frames.HasEndedAsync(Cancellation));
    }

    [Fact]
    public async Task Looking_asks_nothing_of_the_bucket_and_nobody_looking_costs_nothing()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("flush");
        using HttpClient client = _server.NewClient(null);
        long before = await RequestsAsync(client);
        await using (var frames = new FrameReader(client))
        {
            for (int i = 0; i < 4; i++) await frames.NextAsync(Cancellation);
        }

        Assert.Equal(before, await RequestsAsync(client));
    }

    [Fact]
    public async Task A_server_that_is_told_to_asks_for_the_token_on_this_machine_too_except_on_its_socket()
    {
        await using var server = new ControlServer { LiveNeedsToken = true };
        await server.InitializeAsync();
        using HttpClient stranger = server.NewClient(null);
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync("/v1/live", Cancellation)).StatusCode);
        using HttpClient known = server.NewClient(server.Token);
        Assert.Equal(HttpStatusCode.OK, (await known.GetAsync("/v1/live", Cancellation)).StatusCode);
        Assert.StartsWith("Healthy", await server.DoAsync("top", "--once", "--admin", $"unix:{server.SocketPath}", "--data", server.PathOf("none")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task There_are_only_so_many_viewers_and_whoever_leaves_makes_room()
    {
        using HttpClient client = _server.NewClient(null);
        var watching = new List<FrameReader>();
        for (int i = 0; i < LiveFeed.ViewersMax; i++)
        {
            watching.Add(new FrameReader(client));
            await watching[^1].NextAsync(Cancellation);
        }

        using (HttpResponseMessage full = await client.GetAsync("/v1/live", Cancellation))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, full.StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/healthz", Cancellation)).StatusCode);
        await watching[0].DisposeAsync();
        HttpStatusCode again;
        do again = (await client.GetAsync("/v1/live", Cancellation)).StatusCode;
        while (again == HttpStatusCode.ServiceUnavailable);
        Assert.Equal(HttpStatusCode.OK, again);
        foreach (FrameReader reader in watching) await reader.DisposeAsync();
    }

    [Fact]
    public async Task The_page_is_of_the_program_alone_and_under_a_strict_policy()
    {
        using HttpClient client = _server.NewClient(null);
        using HttpResponseMessage page = await client.GetAsync("/", Cancellation);
        string html = await page.Content.ReadAsStringAsync(Cancellation);
        string policy = page.Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.Equal("text/html", page.Content.Headers.ContentType!.MediaType);
        foreach (string part in (string[])["base.css", "picture.css", "panels.css", "live.js", "picture.js", "icon-good.svg"])
        {
            using HttpResponseMessage file = await client.GetAsync($"/live/{part}", Cancellation);
            Assert.Equal(HttpStatusCode.OK, file.StatusCode);
            string text = await file.Content.ReadAsStringAsync(Cancellation);
            Assert.DoesNotContain("innerHTML", text, StringComparison.Ordinal);
            Assert.DoesNotContain("https://", text, StringComparison.Ordinal);
            using var known = new HttpRequestMessage(HttpMethod.Get, $"/live/{part}");
            known.Headers.IfNoneMatch.Add(file.Headers.ETag!);
            Assert.Equal(HttpStatusCode.NotModified, (await client.SendAsync(known, Cancellation)).StatusCode);
        }

        Assert.DoesNotContain("style=", html, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await client.PostAsync("/v1/live", null, Cancellation)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync("/live/..%2fadmin.token", Cancellation)).StatusCode);
    }

    [Fact]
    public async Task No_secret_is_in_a_frame()
    {
        using HttpClient client = _server.NewClient(null);
        string frame = await client.GetStringAsync("/v1/live", Cancellation);
        Assert.DoesNotContain(_server.Token, frame, StringComparison.Ordinal);
        Assert.DoesNotContain("passphrase", frame, StringComparison.Ordinal);
    }

    private static async Task<long> RequestsAsync(HttpClient client)
    {
        string json = await client.GetStringAsync("/v1/live", Cancellation);
        return JsonSerializer.Deserialize(json, LiveJson.Default.LiveFrame)!.Bucket.Requests.Sum(static request => request.Total);
    }

    private static async Task WriteAsync(HttpClient client, int bytes)
    {
        byte[] body = new byte[bytes];
        new Random(1).NextBytes(body);
        using HttpResponseMessage written = await client.PutAsync("/v1/exports/disk/content", new ByteArrayContent(body), Cancellation);
        Assert.Equal(HttpStatusCode.NoContent, written.StatusCode);
    }
}
