using System.Collections;
using ZeroFlow.Host.Commands;
using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Tests.Setup;

public sealed class InitCommandTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TempDirectory _directory = new();

    private string Config => In("zeroflow.json");

    [Fact]
    public async Task A_configuration_for_a_directory_is_one_that_the_server_reads()
    {
        (int code, string output, string error) = await RunAsync(
            "init", In("store"), "--config", Config, "--data", In("data"), "--export", "pg:200G:published", "--export", "log:1T",
            "--passphrase-file", In("passphrase"));
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("ok     throughput: ", output, StringComparison.Ordinal);
        Assert.Equal(Private, File.GetUnixFileMode(In("passphrase")));
        string passphrase = (await File.ReadAllTextAsync(In("passphrase"), TestContext.Current.CancellationToken)).TrimEnd('\n');
        Assert.Equal(43, passphrase.Length);
        Assert.DoesNotContain(passphrase, await File.ReadAllTextAsync(Config, TestContext.Current.CancellationToken) + output, StringComparison.Ordinal);

        var errors = new ConfigurationErrors();
        IDictionary nothing = new Dictionary<string, string>();
        Assert.True(ServeSettingsReader.TryRead(new ServeInputs([], nothing, Config, _directory.Path), errors, out ServeSettings? settings), string.Join('\n', errors.Messages));
        Assert.Equal(new Uri(In("store")).AbsoluteUri, settings.StoreUrl);
        Assert.Equal((In("data"), passphrase), (settings.DataDirectory, settings.Passphrase!.Reveal()));
        Assert.Equal(["pg", "log"], settings.Exports.Select(export => export.Name));
    }

    [Fact]
    public async Task Nothing_that_is_there_is_replaced_unasked()
    {
        _directory.Write("zeroflow.json", "{}");
        Assert.Equal(2, (await RunAsync("init", In("store"), "--config", Config)).Code);
        Assert.Equal("{}", await File.ReadAllTextAsync(Config, TestContext.Current.CancellationToken));

        string passphrase = _directory.Write("passphrase", "mine\n", Private);
        (int code, string output, _) = await RunAsync("init", In("store"), "--config", Config, "--force", "--passphrase-file", passphrase);
        Assert.Equal(0, code);
        Assert.Contains("which was there already", output, StringComparison.Ordinal);
        Assert.Equal("mine\n", await File.ReadAllTextAsync(passphrase, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_store_that_cannot_be_used_leaves_no_file_unless_the_test_is_left_out()
    {
        string file = _directory.Write("file", "");
        (int code, string output, string error) = await RunAsync("init", Path.Combine(file, "store"), "--config", Config, "--passphrase-file", In("passphrase"));
        Assert.Equal(1, code);
        Assert.StartsWith("CHANGE directory: ", output, StringComparison.Ordinal);
        Assert.Contains("nothing was written", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Config) || File.Exists(In("passphrase")));
        Assert.Equal(0, (await RunAsync("init", Path.Combine(file, "store"), "--config", Config, "--no-test")).Code);
        Assert.True(File.Exists(Config));
    }

    [Fact]
    public async Task The_configuration_goes_to_standard_output_alone()
    {
        (int code, string output, string error) = await RunAsync("init", In("store"), "--config", "-");
        Assert.Equal(0, code);
        Assert.StartsWith("// ZeroFlow's configuration", output, StringComparison.Ordinal);
        Assert.Contains("latency: ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ftp://host/x", "must be file:///absolute/directory or s3://bucket/prefix")]
    [InlineData("s3://key:secret@bucket/x", "holds credentials")]
    public async Task A_URL_that_is_none_is_a_wrong_command_line(string url, string says)
    {
        (int code, _, string error) = await RunAsync("init", url, "--config", Config);
        Assert.Equal(2, code);
        Assert.Contains(says, error, StringComparison.Ordinal);
        Assert.DoesNotContain("secret@", error, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Dispose();

    private string In(string name) => Path.Combine(_directory.Path, name);

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await CommandTree.RunAsync(arguments, output, error);
        return (code, output.ToString(), error.ToString());
    }
}
