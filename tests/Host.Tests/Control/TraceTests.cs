using System.Net;
using System.Text.Json;

namespace ZeroFlow.Host.Tests.Control;

public sealed class TraceTests : IAsyncLifetime
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    private readonly ControlServer _server = new();

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task The_command_shows_requests_and_sums_them_up_with_their_price()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        Task<string> traced = _server.DoAsync("s3-trace", "--for", "3s");
        while (!traced.IsCompleted) await WriteAsync();
        string output = await traced;
        Assert.Contains("create drain", output, StringComparison.Ordinal);
        Assert.Matches(@"chain/0000000001/\d{16} \d+ B \d+\.\d ms ok", output);
        Assert.Matches(@"\d+ requests in \d+\.\d s: \d+\.\d\d USD a day at the list price of S3 Standard", output);
    }

    [Fact]
    public async Task Json_is_a_line_for_each_request_and_filters_leave_out_the_rest()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        Task<string> traced = _server.DoAsync("s3-trace", "--for", "3s", "--json", "--purpose", "drain", "--prefix", "chain/");
        Task<string> others = _server.DoAsync("s3-trace", "--for", "2s", "--json", "--purpose", "scrub");
        while (!traced.IsCompleted) await WriteAsync();
        string[] lines = (await traced).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.NotEmpty(lines);
        foreach (string line in lines)
        {
            JsonElement request = JsonDocument.Parse(line).RootElement.GetProperty("request");
            Assert.Equal("drain", request.GetProperty("purpose").GetString());
            Assert.Equal("create", request.GetProperty("kind").GetString());
            Assert.Equal("ok", request.GetProperty("outcome").GetString());
            Assert.True(request.GetProperty("bytes").GetInt64() > 0 && request.GetProperty("attempt").GetInt32() == 1);
        }

        Assert.Empty(await others);
    }

    // It would go on for ever, so a stop does not wait for it.
    [Fact]
    public async Task A_stop_ends_a_trace_at_once()
    {
        using HttpClient client = _server.NewClient(_server.Token);
        using HttpResponseMessage trace = await client.GetAsync(
            "/v1/requests", HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, trace.StatusCode);
        await _server.Api.CloseAsync(Timeout.InfiniteTimeSpan).WaitAsync(Long, TestContext.Current.CancellationToken);
        Assert.Empty(await trace.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("?kind=put", HttpStatusCode.BadRequest)]
    [InlineData("?purpose=1", HttpStatusCode.BadRequest)]
    [InlineData("?failed=maybe", HttpStatusCode.BadRequest)]
    public async Task What_is_not_understood_is_refused(string query, HttpStatusCode status)
    {
        using HttpClient client = _server.NewClient(_server.Token);
        using HttpResponseMessage answer = await client.GetAsync($"/v1/requests{query}", TestContext.Current.CancellationToken);
        Assert.Equal(status, answer.StatusCode);
        using HttpClient stranger = _server.NewClient(null);
        using HttpResponseMessage refused = await stranger.GetAsync("/v1/requests", TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
    }

    private async Task WriteAsync()
    {
        using HttpClient client = _server.NewClient(_server.Token);
        using HttpResponseMessage written = await client.PutAsync(
            "/v1/exports/disk/content", new ByteArrayContent(new byte[4096]), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, written.StatusCode);
        await Task.Delay(100, TestContext.Current.CancellationToken);
    }
}
