using System.Text.Json;
using ZeroFlow.Host.Commands;

namespace ZeroFlow.Host.Tests.Control;

// zeroflow export, snapshot, clone, rollback, import, stats and flush, as scripts call them.
public sealed class ControlCommandTests : IAsyncLifetime
{
    private readonly ControlServer _server = new();

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task An_export_is_made_shown_changed_grown_shrunk_and_deleted()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        Assert.Contains("1 MiB", await _server.DoAsync("export", "info", "disk"), StringComparison.Ordinal);

        // Made again as it is, it stays; otherwise it is in the way.
        await _server.DoAsync("export", "create", "disk", "1M");
        Assert.Equal(6, (await _server.RunAsync("export", "create", "disk", "2M")).Code);
        await _server.DoAsync("export", "grow", "disk", "2M");
        await _server.DoAsync("export", "set", "disk", "--name", "db", "--level", "published", "--read-only", "true", "--description", "[bold]text[/]");
        JsonElement export = await InfoAsync("db");
        Assert.Equal(2 << 20, export.GetProperty("sizeBytes").GetInt64());
        Assert.Equal("published", export.GetProperty("level").GetString());
        Assert.True(export.GetProperty("readOnly").GetBoolean());
        Assert.Contains("[bold]text[/]", await _server.DoAsync("export", "ls"), StringComparison.Ordinal);
        await _server.DoAsync("export", "set", "db", "--read-only", "false");
        Assert.Equal(6, (await _server.RunAsync("export", "grow", "db", "1M")).Code);
        await _server.DoAsync("export", "set", "db", "--shrink-to", "1M");
        Assert.Equal(1 << 20, (await InfoAsync("db")).GetProperty("sizeBytes").GetInt64());
        await _server.DoAsync("export", "rm", "db");
        var (code, output, error) = await _server.RunAsync("export", "info", "db");
        Assert.Equal((5, "", "zeroflow: There is no export 'db'.\n"), (code, output, error));
    }

    [Fact]
    public async Task An_export_may_have_a_chunk_a_compression_and_no_write_cache_of_its_own()
    {
        string[] create = ["export", "create", "logs", "1M", "--chunk", "64K", "--compression", "9"];
        await _server.DoAsync(create);
        await _server.DoAsync(create);
        Assert.Equal(6, (await _server.RunAsync("export", "create", "logs", "1M", "--chunk", "128K")).Code);
        await _server.DoAsync("export", "set", "logs", "--compression", "0", "--write-through", "true");
        JsonElement export = await InfoAsync("logs");
        Assert.Equal(64 << 10, export.GetProperty("chunkBytes").GetInt32());
        Assert.Equal(0, export.GetProperty("compression").GetInt32());
        Assert.True(export.GetProperty("writeThrough").GetBoolean());
        Assert.NotEqual(0, (await _server.RunAsync("export", "set", "logs", "--compression", "20")).Code);
        Assert.NotEqual(0, (await _server.RunAsync("export", "create", "odd", "1M", "--chunk", "100000")).Code);
    }

    [Fact]
    public async Task Snapshots_clones_and_rollbacks_hold_what_was_there()
    {
        string first = Image("first", 300_000, 1), second = Image("second", 300_000, 2), out1 = _server.PathOf("out");
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("import", first, "disk");
        await _server.DoAsync("snapshot", "s", "--all");
        await _server.DoAsync("import", second, "disk");
        await _server.DoAsync("clone", "disk@s", "clone");
        await ExportsToAsync("disk", second);
        await ExportsToAsync("disk@s", first);
        await ExportsToAsync("clone", first);
        Assert.Equal(6, (await _server.RunAsync("export", "rm", "disk")).Code);
        await _server.DoAsync("rollback", "disk@s");
        await ExportsToAsync("disk", first);
        await _server.DoAsync("export", "rm", "disk", "--force");
        await ExportsToAsync("clone", first);
        string[] left = [.. List(await _server.DoAsync("export", "ls", "--json")).Select(e => e.GetProperty("name").GetString()!)];
        Assert.Equal(["clone"], left);

        async Task ExportsToAsync(string name, string image)
        {
            await _server.DoAsync("export", name, out1);
            byte[] expected = [.. await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken), .. new byte[(1 << 20) - 300_000]];
            AssertSame(expected, await File.ReadAllBytesAsync(out1, TestContext.Current.CancellationToken));
        }
    }

    // Zeros are not sent: what was there before is gone all the same.
    [Fact]
    public async Task An_import_that_was_interrupted_goes_on_and_zeros_are_zeros()
    {
        byte[] bytes = new byte[9 << 20];
        new Random(1).NextBytes(bytes.AsSpan(5 << 20, 1 << 20));
        string image = _server.PathOf("image"), other = Image("other", 9 << 20, 3), out1 = _server.PathOf("out");
        await File.WriteAllBytesAsync(image, bytes, TestContext.Current.CancellationToken);
        await _server.DoAsync("export", "create", "disk", "9M");
        await _server.DoAsync("import", other, "disk");
        await _server.DoAsync("import", image, "disk", "--from", (4 << 20).ToString(System.Globalization.CultureInfo.InvariantCulture));
        await _server.DoAsync("export", "disk", out1);
        byte[] half = [.. (await File.ReadAllBytesAsync(other, TestContext.Current.CancellationToken))[..(4 << 20)], .. bytes[(4 << 20)..]];
        AssertSame(half, await File.ReadAllBytesAsync(out1, TestContext.Current.CancellationToken));
        await _server.DoAsync("import", image, "disk");
        await _server.DoAsync("export", "disk", out1);
        AssertSame(bytes, await File.ReadAllBytesAsync(out1, TestContext.Current.CancellationToken));

        await _server.DoAsync("export", "create", "small", "1M");
        Assert.Equal(2, (await _server.RunAsync("import", image, "small")).Code);
        Assert.Equal(1, (await _server.RunAsync("import", _server.PathOf("none"), "small")).Code);
    }

    [Theory]
    [InlineData("db/main-1")]
    [InlineData("a b?c#d%2F&e=f")]
    [InlineData("Größe")]
    public async Task Names_are_names_whatever_their_letters(string name)
    {
        await _server.DoAsync("export", "create", name, "1M");
        await _server.DoAsync("snapshot", "s", name);
        Assert.Equal(name, (await InfoAsync(name)).GetProperty("name").GetString());
        await _server.DoAsync("export", "rm", $"{name}@s");
        await _server.DoAsync("export", "rm", name);
    }

    [Fact]
    public async Task Stats_and_flush_tell_and_wait()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("import", Image("image", 300_000, 1), "disk");
        await _server.DoAsync("flush");
        JsonElement status = JsonDocument.Parse(await _server.DoAsync("stats", "--json")).RootElement;
        Assert.Equal("serving", status.GetProperty("phase").GetString());
        Assert.True(status.GetProperty("tableBytes").GetInt64() >= 300_000);
        Assert.Contains("reachable", await _server.DoAsync("stats"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "export", "create", "disk", "much")]
    [InlineData(2, "export", "create", "disk", "1000")]
    [InlineData(2, "export", "create", "a@b", "1M")]
    [InlineData(2, "export", "set", "disk")]
    [InlineData(2, "export")]
    [InlineData(2, "snapshot", "s")]
    [InlineData(5, "snapshot", "s", "none")]
    [InlineData(5, "clone", "none@s", "clone")]
    [InlineData(5, "rollback", "none@s")]
    [InlineData(5, "export", "none", "/dev/null")]
    public async Task What_cannot_be_done_is_one_sentence_and_an_exit_code(int expected, params string[] arguments)
    {
        var (code, output, error) = await _server.RunAsync(arguments);
        Assert.Equal((expected, ""), (code, output));
        Assert.Matches("^zeroflow: [^\n]+\\.\n$", error);
    }

    [Fact]
    public async Task Without_a_server_or_its_token_the_sentence_says_what_to_name()
    {
        var error = new StringWriter();
        Assert.Equal(1, await CommandTree.RunAsync(["stats", "--admin", "127.0.0.1:1"], TextWriter.Null, error));
        Assert.Contains("--admin", error.ToString(), StringComparison.Ordinal);
        Assert.Equal(7, await CommandTree.RunAsync(
            ["stats", "--admin", _server.Address, "--data", _server.PathOf("elsewhere")], TextWriter.Null, error));
        Assert.Contains("admin.token", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_token_may_be_in_a_file_that_is_named()
    {
        string file = _server.PathOf("token");
        await File.WriteAllTextAsync(file, _server.Token + "\n", TestContext.Current.CancellationToken);
        string[] elsewhere = ["stats", "--admin", _server.Address, "--data", _server.PathOf("elsewhere"), "--admin-token-file"];
        Assert.Equal(0, await CommandTree.RunAsync([.. elsewhere, file], TextWriter.Null, TextWriter.Null));
        var error = new StringWriter();
        Assert.Equal(1, await CommandTree.RunAsync([.. elsewhere, file + "s"], TextWriter.Null, error));
        Assert.Equal($"zeroflow: The token file {file}s does not exist.\n", error.ToString());
    }

    private static void AssertSame(byte[] expected, byte[] found) =>
        Assert.Equal(expected.Length, expected.AsSpan().CommonPrefixLength(found));

    private async Task<JsonElement> InfoAsync(string name) =>
        JsonDocument.Parse(await _server.DoAsync("export", "info", name, "--json")).RootElement;

    private static JsonElement.ArrayEnumerator List(string json) =>
        JsonDocument.Parse(json).RootElement.GetProperty("exports").EnumerateArray();

    private string Image(string name, int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        File.WriteAllBytes(_server.PathOf(name), bytes);
        return _server.PathOf(name);
    }
}
