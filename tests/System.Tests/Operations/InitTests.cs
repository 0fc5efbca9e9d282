using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Operations;

// zeroflow init against a real S3 server, and the server on what it wrote.
public sealed class InitTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    [Fact]
    public async Task What_init_writes_for_a_bucket_is_served_and_holds_no_secret()
    {
        using var folder = new TestFolder();
        var place = StorePlace.InBucket(await gateway.PortAsync(), folder.Name);
        var (status, said) = await InitAsync(
            place.Url, place.Credentials, "--config", folder["zeroflow.json"], "--data", folder["data"],
            "--passphrase-file", folder["passphrase"], "--export", "pg:64M:published");
        Assert.True(status == 0, said);
        foreach (var what in new[] { "bucket", "conditional writes", "latency", "throughput" })
            Assert.Contains($"ok     {what}: ", said, StringComparison.Ordinal);

        var text = await File.ReadAllTextAsync(folder["zeroflow.json"], TestContext.Current.CancellationToken);
        var passphrase = (await File.ReadAllTextAsync(folder["passphrase"], TestContext.Current.CancellationToken)).Trim();
        foreach (var secret in new[] { passphrase, RadosGateway.SecretKey, $"\"{RadosGateway.AccessKey}\"" })
            Assert.DoesNotContain(secret, text + said, StringComparison.Ordinal);

        // The addresses of the file are those of a machine of one's own, not of this one.
        var port = FreePorts.Take();
        await using var server = ChildProcess.Start(
            await binary.PathAsync(),
            ["serve", "--config", folder["zeroflow.json"], "--listen", $"127.0.0.1:{port}", "--admin", "127.0.0.1:0"], place.Credentials);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!server.Said.Contains("Ready: 1 export(s)", StringComparison.Ordinal))
        {
            Assert.False(server.HasExited || patience.IsCancellationRequested, server.Said);
            await Task.Delay(50, CancellationToken.None);
        }

        Assert.Equal($"{64 << 20}", (await Tool.RunAsync("nbdinfo", "--size", $"nbd://127.0.0.1:{port}/pg")).Trim());
        server.Send(Signal.Terminate);
        Assert.Equal(0, await server.ExitAsync(TimeSpan.FromSeconds(60)));
        var (again, toldAgain) = await InitAsync(place.Url, place.Credentials, "--config", folder["other.json"]);
        Assert.True(again == 0 && toldAgain.Contains("holds a ZeroFlow store already", StringComparison.Ordinal), toldAgain);
    }

    [Theory]
    [InlineData("key", "CHANGE credentials: ", "AWS_ACCESS_KEY_ID")]
    [InlineData("secret", "CHANGE credentials: ", "AWS_SECRET_ACCESS_KEY")]
    [InlineData("bucket", "CHANGE bucket: ", "aws s3 mb s3://zeroflow-missing")]
    [InlineData("none", "CHANGE credentials: ", "AWS_ACCESS_KEY_ID")]
    public async Task What_is_wrong_with_a_bucket_is_explained(string wrong, string finding, string advice)
    {
        using var folder = new TestFolder();
        var place = StorePlace.InBucket(
            await gateway.PortAsync(), folder.Name, wrong == "bucket" ? "zeroflow-missing" : RadosGateway.Bucket);
        var credentials = new Dictionary<string, string>(place.Credentials);
        if (wrong == "key") credentials["AWS_ACCESS_KEY_ID"] = "nobody";
        if (wrong == "secret") credentials["AWS_SECRET_ACCESS_KEY"] = "not the one";
        if (wrong == "none")
        {
            credentials.Remove("AWS_ACCESS_KEY_ID");
            credentials["HOME"] = folder.Path;
        }

        var (status, said) = await InitAsync(place.Url, credentials, "--config", folder["zeroflow.json"]);
        Assert.Equal(1, status);
        Assert.Contains(finding, said, StringComparison.Ordinal);
        Assert.Contains(advice, said, StringComparison.Ordinal);
        Assert.DoesNotContain("not the one", said, StringComparison.Ordinal);
        Assert.False(File.Exists(folder["zeroflow.json"]));
    }

    private async Task<(int Status, string Said)> InitAsync(
        string url, IReadOnlyDictionary<string, string> credentials, params string[] options)
    {
        await using var init = ChildProcess.Start(await binary.PathAsync(), ["init", url, .. options], credentials);
        return (await init.ExitAsync(TimeSpan.FromMinutes(2)), init.Said);
    }
}
