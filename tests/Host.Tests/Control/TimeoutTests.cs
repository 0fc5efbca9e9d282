using System.Net;
using System.Text.Json;

namespace ZeroFlow.Host.Tests.Control;

// Commands and requests that wait for a bucket that is away, and no longer than they say.
public sealed class TimeoutTests : IAsyncLifetime
{
    private readonly ControlServer _server = new();

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_flush_gives_up_with_504_and_says_that_the_bucket_is_away()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("flush", "--timeout", "30s");
        using HttpClient client = _server.NewClient(_server.Token);
        _server.TakeBucketAway();
        using HttpResponseMessage written = await client.PutAsync(
            "/v1/exports/disk/content", new ByteArrayContent(new byte[512]), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, written.StatusCode);
        while (JsonDocument.Parse(await _server.DoAsync("stats", "--json")).RootElement.GetProperty("bucketReachable").GetBoolean())
            await Task.Delay(20, TestContext.Current.CancellationToken);
        using HttpResponseMessage response = await client.PostAsync("/v1/flush?timeout=300ms", null, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        JsonElement problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;
        Assert.StartsWith("Not done within 300ms", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Contains("The bucket is away: ", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(504, problem.GetProperty("status").GetInt32());

        var (code, output, error) = await _server.RunAsync("flush", "--timeout", "200ms");
        Assert.Equal((1, ""), (code, output));
        Assert.StartsWith("zeroflow: Not done within 200ms", error, StringComparison.Ordinal);
        _server.BringBucketBack();
        await _server.DoAsync("flush", "--timeout", "30s");
    }

    [Fact]
    public async Task What_was_begun_takes_effect_when_the_bucket_comes_back()
    {
        await _server.DoAsync("export", "create", "disk", "1M", "--level", "published");
        await _server.DoAsync("flush");
        _server.TakeBucketAway();

        // Long enough to be begun, however busy the machine is.
        Assert.Equal(1, (await _server.RunAsync("snapshot", "s", "disk", "--timeout", "1s")).Code);
        Assert.Equal(1, (await _server.RunAsync("export", "grow", "disk", "2M", "--timeout", "1s")).Code);

        // It is that large already, but not in the bucket: who asks again has to wait again.
        Assert.Contains("2 MiB", await _server.DoAsync("export", "info", "disk"), StringComparison.Ordinal);
        Assert.Equal(1, (await _server.RunAsync("export", "grow", "disk", "2M", "--timeout", "1s")).Code);
        _server.BringBucketBack();
        await _server.DoAsync("export", "grow", "disk", "2M", "--timeout", "30s");
        await _server.DoAsync("flush");
        for (int i = 0; (await _server.RunAsync("export", "info", "disk@s")).Code != 0; i++)
        {
            Assert.True(i < 100, "The snapshot is not there.");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task A_scrub_ends_with_its_time_too()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("flush");
        _server.TakeBucketAway();
        var (code, _, error) = await _server.RunAsync("scrub", "--timeout", "300ms");
        Assert.Equal(1, code);
        Assert.StartsWith("zeroflow: Not done within 300ms", error, StringComparison.Ordinal);
        _server.BringBucketBack();
        await _server.DoAsync("scrub", "--timeout", "30s");
    }

    [Fact]
    public async Task Images_go_in_and_out_with_a_time_for_each_request()
    {
        byte[] bytes = new byte[1 << 20];
        new Random(1).NextBytes(bytes);
        await File.WriteAllBytesAsync(_server.PathOf("image"), bytes, TestContext.Current.CancellationToken);
        await _server.DoAsync("export", "create", "disk", "1M", "--level", "published", "--timeout", "30s");
        await _server.DoAsync("import", _server.PathOf("image"), "disk", "--timeout", "30s");
        await _server.DoAsync("export", "disk", _server.PathOf("out"), "--timeout", "30s");
        byte[] found = await File.ReadAllBytesAsync(_server.PathOf("out"), TestContext.Current.CancellationToken);
        Assert.Equal(bytes.Length, bytes.AsSpan().CommonPrefixLength(found));
        _server.TakeBucketAway();
        var (code, _, error) = await _server.RunAsync("import", _server.PathOf("image"), "disk", "--timeout", "300ms");
        Assert.Equal(1, code);
        Assert.Contains("Not done within 300ms", error, StringComparison.Ordinal);
        _server.BringBucketBack();
    }

    [Theory]
    [InlineData("soon")]
    [InlineData("30")]
    [InlineData("0s")]
    [InlineData("2d")]
    public async Task A_time_that_is_none_is_refused(string time)
    {
        var (code, _, error) = await _server.RunAsync("flush", "--timeout", time);
        Assert.Equal((2, $"zeroflow: The timeout {time} is not a whole number with ms, s, m, h or d, such as 30s, from 1ms to 1d.\n"), (code, error));
        using HttpClient client = _server.NewClient(_server.Token);
        using HttpResponseMessage response = await client.PostAsync($"/v1/flush?timeout={time}", null, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }
}
