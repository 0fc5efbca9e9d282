using System.Net;
using System.Text.Json;

namespace ZeroFlow.Host.Tests.Control;

// Requests that are in flight when the server is asked to stop.
public sealed class ControlStopTests : IAsyncLifetime
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    private readonly ControlServer _server = new();

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_stop_waits_for_requests_in_flight_and_takes_no_others()
    {
        using HttpClient client = _server.NewClient(_server.Token);
        Task<HttpResponseMessage> flush = await BeginFlushAsync(client);
        Task closed = _server.Api.CloseAsync(Long);
        using (HttpResponseMessage refused = await client.GetAsync("/v1/exports", TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        Assert.False(flush.IsCompleted || closed.IsCompleted);
        _server.BringBucketBack();
        using HttpResponseMessage flushed = await flush;
        Assert.Equal(HttpStatusCode.NoContent, flushed.StatusCode);
        await closed.WaitAsync(Long, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task What_is_in_flight_for_too_long_is_told_that_the_server_stops()
    {
        using HttpClient client = _server.NewClient(_server.Token);
        Task<HttpResponseMessage> flush = await BeginFlushAsync(client);
        await _server.Api.CloseAsync(TimeSpan.FromMilliseconds(100)).WaitAsync(Long, TestContext.Current.CancellationToken);
        using HttpResponseMessage given = await flush.WaitAsync(Long, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, given.StatusCode);
        JsonElement problem = JsonDocument.Parse(await given.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal("closing", problem.GetProperty("fault").GetString());
        await _server.Api.CloseAsync(Long).WaitAsync(Long, TestContext.Current.CancellationToken);
        _server.BringBucketBack();
    }

    // A flush that waits for a bucket that is away, known to be under way because a shorter one was seen to wait.
    private async Task<Task<HttpResponseMessage>> BeginFlushAsync(HttpClient client)
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("flush");
        _server.TakeBucketAway();
        using HttpResponseMessage written = await client.PutAsync(
            "/v1/exports/disk/content", new ByteArrayContent(new byte[512]), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, written.StatusCode);
        Task<HttpResponseMessage> flush = client.PostAsync("/v1/flush", null, TestContext.Current.CancellationToken);
        using HttpResponseMessage shorter = await client.PostAsync("/v1/flush?timeout=300ms", null, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.GatewayTimeout, shorter.StatusCode);
        return flush;
    }
}
