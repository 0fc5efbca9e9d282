using System.Globalization;
using ZeroFlow.SystemTests.Faults;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.StandIns;

// The proxy in front of the real gateway: each fault is the one that it claims to be.
public sealed class S3ProxyTests(RadosGateway gateway)
{
    private const string Key = $"/{RadosGateway.Bucket}/proxy-test";

    [Fact]
    public async Task Requests_pass_and_faults_are_what_they_say()
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        await File.WriteAllTextAsync(folder["body"], new string('x', 3_000_000), TestContext.Current.CancellationToken);
        Assert.Equal(200, await CurlAsync(proxy, "-T", folder["body"]));
        Assert.Equal(200, await CurlAsync(proxy, "-o", folder["back"]));
        Assert.Equal(3_000_000, new FileInfo(folder["back"]).Length);

        proxy.Choose = _ => S3Fault.SlowDown;
        Assert.Equal(503, await CurlAsync(proxy, "-o", folder["back"]));
        proxy.Choose = _ => S3Fault.Denied;
        Assert.Equal(403, await CurlAsync(proxy, "-o", folder["back"]));
        proxy.Choose = _ => S3Fault.ShortBody;
        Assert.Equal(18, -await CurlAsync(proxy, "-o", folder["back"]));
        proxy.Choose = _ => S3Fault.Refused;
        Assert.Equal(52, -await CurlAsync(proxy, "-o", folder["back"]));

        // Applied though the reply was lost: the object has the new size afterwards.
        await File.WriteAllTextAsync(folder["body"], "short", TestContext.Current.CancellationToken);
        proxy.Choose = _ => S3Fault.ReplyLost;
        Assert.Equal(52, -await CurlAsync(proxy, "-T", folder["body"]));
        proxy.Choose = _ => S3Fault.None;
        Assert.Equal(200, await CurlAsync(proxy, "-o", folder["back"]));
        Assert.Equal("short", await File.ReadAllTextAsync(folder["back"], TestContext.Current.CancellationToken));
        Assert.Equal(1, proxy.Count(S3Fault.ReplyLost));
    }

    [Fact]
    public async Task A_cut_request_has_no_effect_and_a_late_one_has_its_effect_later()
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        await File.WriteAllTextAsync(folder["body"], new string('x', 1_000_000), TestContext.Current.CancellationToken);
        Assert.Equal(200, await CurlAsync(proxy, "-T", folder["body"]));
        await File.WriteAllTextAsync(folder["body"], new string('y', 900_000), TestContext.Current.CancellationToken);
        proxy.Choose = _ => S3Fault.RequestCut;
        Assert.NotEqual(200, await CurlAsync(proxy, "-T", folder["body"]));
        proxy.Choose = _ => S3Fault.None;
        Assert.Equal(200, await CurlAsync(proxy, "-o", folder["back"]));
        Assert.Equal(1_000_000, new FileInfo(folder["back"]).Length);

        proxy.Choose = _ => S3Fault.Late;
        proxy.Lateness = TimeSpan.FromMilliseconds(200);
        Assert.NotEqual(200, await CurlAsync(proxy, "-T", folder["body"]));
        proxy.Choose = _ => S3Fault.None;
        for (var attempt = 0; attempt < 100 && new FileInfo(folder["back"]).Length != 900_000; attempt++)
        {
            await Task.Delay(100, TestContext.Current.CancellationToken);
            Assert.Equal(200, await CurlAsync(proxy, "-o", folder["back"]));
        }

        Assert.Equal(900_000, new FileInfo(folder["back"]).Length);
    }

    [Theory]
    [InlineData(S3Fault.Stalled)]
    [InlineData(S3Fault.Silent)]
    public async Task A_stall_lasts_until_the_client_gives_up(S3Fault fault)
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        await File.WriteAllTextAsync(folder["body"], new string('x', 1_000_000), TestContext.Current.CancellationToken);
        Assert.Equal(200, await CurlAsync(proxy, "-T", folder["body"]));
        proxy.Choose = _ => fault;
        Assert.Equal(28, -await CurlAsync(proxy, "-m", "2", "-o", folder["back"]));
        Assert.True(!File.Exists(folder["back"]) || new FileInfo(folder["back"]).Length < 1_000_000);
    }

    // The HTTP status, or minus curl's own exit status when there was no whole answer.
    private static async Task<int> CurlAsync(S3Proxy proxy, params string[] arguments)
    {
        var (status, said, output) = await Tool.TryAsync(
            "curl",
            [
                "-s", "-w", "%{stderr}%{http_code}", "--aws-sigv4", "aws:amz:us-east-1:s3",
                "--user", $"{RadosGateway.AccessKey}:{RadosGateway.SecretKey}",
                "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", .. arguments, $"http://127.0.0.1:{proxy.Port}{Key}",
            ]);
        return status != 0 ? -status : int.Parse(said[output.Length..], CultureInfo.InvariantCulture);
    }
}
