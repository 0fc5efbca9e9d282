using System.Text.Json;
using ZeroFlow.Host.Commands;

namespace ZeroFlow.Host.Tests.Control;

// zeroflow rebuild, which works on the bucket itself. What it restores is for the engine's tests.
public sealed class RebuildCommandTests : IAsyncLifetime
{
    private readonly ControlServer _server = new();

    public async ValueTask InitializeAsync()
    {
        await _server.InitializeAsync();
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("flush");
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_whole_store_is_left_alone()
    {
        string[] before = Files();
        var (code, output, _) = await RunAsync("store", "a passphrase for a test", "--apply");
        Assert.Equal(0, code);
        Assert.Contains("nothing is to be done", output, StringComparison.Ordinal);
        Assert.Contains("export disk: 1 MiB", output, StringComparison.Ordinal);
        Assert.Equal(before, Files());
    }

    // Nobody can tell any more what it was the copy of.
    [Fact]
    public async Task A_copy_without_its_checkpoint_is_damage_and_said_in_json_too()
    {
        Directory.CreateDirectory(_server.PathOf("store/root"));
        await File.WriteAllTextAsync(_server.PathOf("store/root/0000000001-0000000000000001"), "not a checkpoint", CancellationToken.None);
        string[] before = Files();
        var (code, output, _) = await RunAsync("store", "a passphrase for a test", "--json");
        Assert.Equal(8, code);
        JsonElement report = JsonDocument.Parse(output).RootElement;
        Assert.Equal("restorable", report.GetProperty("outcome").GetString());
        Assert.Equal("damaged", report.GetProperty("checkpoints")[0].GetProperty("copy").GetString());
        Assert.Equal("delete", report.GetProperty("steps")[0].GetProperty("action").GetString());
        Assert.Equal(before, Files());
    }

    [Theory]
    [InlineData("store", "another passphrase", 1)]
    [InlineData("elsewhere", "a passphrase for a test", 5)]
    public async Task What_cannot_be_reached_has_an_exit_code(string store, string passphrase, int expected)
    {
        Directory.CreateDirectory(_server.PathOf("elsewhere"));
        var (code, _, error) = await RunAsync(store, passphrase);
        Assert.Equal(expected, code);
        Assert.NotEmpty(error);
    }

    private string[] Files() => [.. Directory.EnumerateFiles(_server.PathOf("store"), "*", SearchOption.AllDirectories).Order()];

    private async Task<(int Code, string Output, string Error)> RunAsync(string store, string passphrase, params string[] more)
    {
        string file = _server.PathOf("passphrase");
        await File.WriteAllTextAsync(file, passphrase, CancellationToken.None);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var output = new StringWriter();
        var error = new StringWriter();
        int code = await CommandTree.RunAsync(
            ["rebuild", "--store", new Uri(_server.PathOf(store)).AbsoluteUri, "--passphrase-file", file, "--log-level", "error", .. more], output, error);
        return (code, output.ToString(), error.ToString());
    }
}
