using ZeroFlow.Host.Commands;

namespace ZeroFlow.Host.Tests.Commands;

public sealed class CommandLineTests
{
    [Fact]
    public async Task Version_prints_one_line_and_succeeds()
    {
        (int code, string output, string error) = await RunAsync("version");
        Assert.Equal(0, code);
        Assert.Matches(@"^zeroflow \d+\.\d+\.\d+ \(.+\)\n$", output);
        Assert.Empty(error);
    }

    [Fact]
    public async Task Help_names_every_option_of_the_contract_and_the_exit_codes()
    {
        (int code, string output, _) = await RunAsync("serve", "--help");
        Assert.Equal(0, code);
        string[] options =
        [
            "--store", "--data", "--as-of", "--listen", "--socket", "--admin", "--admin-socket", "--admin-token-file",
            "--export", "--passphrase-file", "--config", "--set", "--tls", "--tls-certificate", "--tls-key", "--tls-client-ca",
        ];
        Assert.All(options, option => Assert.Contains(option, output, StringComparison.Ordinal));
        Assert.Contains("3 another server took the store over", output, StringComparison.Ordinal);
        Assert.Contains("ZEROFLOW_PASSPHRASE", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData()]
    [InlineData("serv")]
    [InlineData("serve", "--nope")]
    [InlineData("serve", "--store")]
    [InlineData("serve", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2")]
    [InlineData("serve", "--set", "novalue")]
    [InlineData("serve", "--export", "disk0")]
    [InlineData("serve", "@/dev/null")]
    public async Task A_wrong_command_line_ends_with_2_and_says_why(params string[] args)
    {
        (int code, string output, string error) = await RunAsync(args);
        Assert.Equal(ExitCodes.Usage, code);
        Assert.Empty(output);
        Assert.NotEmpty(error);
        Assert.All(
            error.Split('\n', StringSplitOptions.RemoveEmptyEntries),
            line => Assert.StartsWith("zeroflow: ", line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("serve", "--passphrase", "hunter2")]
    [InlineData("serve", "--passphrase=hunter2")]
    [InlineData("serve", "--set", "Passphrase=hunter2")]
    [InlineData("serve", "--set", "AwsSecretKey=hunter2")]
    [InlineData("serve", "--store", "s3://key:hunter2@bucket")]
    public async Task A_secret_on_the_command_line_is_refused_and_not_repeated(params string[] args)
    {
        (int code, _, string error) = await RunAsync(args);
        Assert.Equal(ExitCodes.Usage, code);
        Assert.DoesNotContain("hunter2", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_parser_and_what_the_settings_find_is_said_together()
    {
        (_, _, string error) = await RunAsync(
            "serve", "--nope",
            "--data", "/d", "--store", "s3://b", "--listen", "x", "--set", "A=b", "--export", "e:1X");
        Assert.Contains("There is no option --nope", error, StringComparison.Ordinal);
        Assert.Contains("Listen is \"x\" (--listen)", error, StringComparison.Ordinal);
        Assert.Contains("A (--set A)", error, StringComparison.Ordinal);
        Assert.Contains("Exports is \"e:1X\" (--export)", error, StringComparison.Ordinal);
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int code = await CommandTree.RunAsync(args, output, error);
        return (code, output.ToString(), error.ToString());
    }
}
