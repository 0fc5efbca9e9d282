using System.CommandLine;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Commands;

/// <summary><c>zeroflow init</c>: tries out a store, and writes the configuration of a server for it.</summary>
internal sealed class InitCommand : Command
{
    private const string ServiceDirectory = "/var/lib/zeroflow";

    private readonly Argument<string> _store = new("STORE")
    {
        Description = "s3://bucket/prefix?region=NAME, with &endpoint=http://host:port for servers other than AWS; or a directory.",
    };

    private readonly Option<string> _config = new("--config")
    {
        HelpName = "FILE",
        Description = $"The file to write; - for standard output [default: {SettingLayers.DefaultFile}]",
    };

    private readonly Option<string> _data = new("--data")
    {
        HelpName = "DIR",
        Description = $"Directory of the local log and cache [default: {ServiceDirectory}/data where there is a {ServiceDirectory}, otherwise ./zeroflow-data]",
    };

    private readonly Option<string[]> _exports = new("--export")
    {
        HelpName = "NAME:SIZE[:LEVEL]",
        Description = "A block device; may be repeated [default: disk0:10G]",
    };

    private readonly Option<string> _passphraseFile = new("--passphrase-file")
    {
        HelpName = "FILE",
        Description = "Name this file in the configuration, and make it, with a random passphrase and mode 0600, when it is missing.",
    };

    private readonly Option<bool> _force = new("--force") { Description = "Replace a configuration that is there. A passphrase is never replaced." };
    private readonly Option<bool> _noTest = new("--no-test") { Description = "Write without trying the store out." };
    private readonly Option<bool> _json = new("--json") { Description = "Print the findings as JSON." };

    /// <summary>Makes the command.</summary>
    public InitCommand()
        : base("init", Text)
    {
        Add(_store);
        foreach (Option option in new Option[] { _config, _data, _exports, _passphraseFile, _force, _noTest, _json }) Add(option);
        SetAction(RunAsync);
    }

    private static string Text =>
        """
        Try out a store, and write a commented configuration for it.

        The store is tried as the server will use it: credentials, region, clock, bucket, permissions, conditional writes, and
        how fast it is (about 32 MiB are written, read and deleted again). What is wrong is explained, and then nothing is
        written. Secrets are never written into the configuration.

        Exit codes: 0 written; 1 the store cannot be used as it is; 2 wrong command line, or the file is there already.
        """;

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        (TextWriter output, TextWriter error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        try
        {
            string url = UrlOf(parsed.GetRequiredValue(_store));
            string config = parsed.GetValue(_config) ?? SettingLayers.DefaultFile;
            if (Problem(parsed, url, config) is { } problem) return Refuse(error, problem);

            // Where findings are not asked for as JSON, they give way to a configuration on standard output.
            TextWriter told = config == "-" ? error : output;
            (url, string? found) = await WithRegionAsync(url, cancellation);
            var findings = new List<Finding>();
            if (found is not null) findings.Add(new Finding("region", true, $"The bucket is in {found}; that is in the configuration now."));
            if (!parsed.GetValue(_noTest)) findings.AddRange(await new StoreTrial(url, TimeProvider.System).RunAsync(cancellation));
            FindingOutput.Write(findings, parsed.GetValue(_json), told);
            if (FindingOutput.ExitCode(findings) is var code and not ExitCodes.Success)
            {
                await error.WriteLineAsync("zeroflow: The store cannot be used as it is, so nothing was written. --no-test writes all the same.");
                return code;
            }

            await WriteAsync(parsed, url, config, parsed.GetValue(_json) ? error : told, output);
            return ExitCodes.Success;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            await error.WriteLineAsync($"zeroflow: {fault.Message}");
            return ExitCodes.StartFailed;
        }
    }

    private string? Problem(ParseResult parsed, string url, string config)
    {
        if (!StoreUrl.TryCheck(url, out string? problem)) return $"The store's URL {problem}";
        if (config != "-" && File.Exists(config) && !parsed.GetValue(_force))
            return $"{config} is there already; --force replaces it, --config writes elsewhere.";
        string? wrong = ExportsOf(parsed).FirstOrDefault(export => !ExportSpec.TryParse(export, out _));
        return wrong is null ? null : $"--export is \"{wrong}\", but must be {ExportSpec.Form}.";
    }

    private async Task WriteAsync(ParseResult parsed, string url, string config, TextWriter told, TextWriter output)
    {
        string? passphrase = parsed.GetValue(_passphraseFile) is { } file ? Path.GetFullPath(file) : null;
        if (passphrase is not null) await told.WriteLineAsync(EnsurePassphrase(passphrase));
        string text = new NewConfiguration(url, DataOf(parsed), passphrase, ExportsOf(parsed)).Write();
        if (config == "-")
        {
            await output.WriteAsync(text);
            return;
        }

        string path = Path.GetFullPath(config);
        string draft = path + ".new";
        await File.WriteAllTextAsync(draft, text);
        File.Move(draft, path, overwrite: true);
        await told.WriteLineAsync($"Wrote {path}. Next: zeroflow doctor --config {path}, then zeroflow serve --config {path}");
    }

    private static string EnsurePassphrase(string path)
    {
        if (File.Exists(path))
        {
            PassphraseSource.ReadFile(path);
            return $"The passphrase is that of {path}, which was there already.";
        }

        PrivateFile.CreateRandom(path);
        return $"Made the passphrase {path} with mode 0600. Keep a copy elsewhere: losing it loses the data. The server's user must own it.";
    }

    private static string DataOf(ParseResult parsed, Option<string> option) =>
        Path.GetFullPath(parsed.GetValue(option) ?? (Directory.Exists(ServiceDirectory) ? Path.Combine(ServiceDirectory, "data") : "zeroflow-data"));

    private string DataOf(ParseResult parsed) => DataOf(parsed, _data);

    private string[] ExportsOf(ParseResult parsed) => parsed.GetValue(_exports) is { Length: > 0 } named ? named : ["disk0:10G"];

    private static string UrlOf(string store) => store.Contains("://", StringComparison.Ordinal) ? store : new Uri(Path.GetFullPath(store)).AbsoluteUri;

    // Only AWS has regions that matter; other servers mostly sign for us-east-1.
    private static async Task<(string Url, string? Found)> WithRegionAsync(string url, CancellationToken cancellation)
    {
        if (!url.StartsWith("s3://", StringComparison.Ordinal)) return (url, null);
        try
        {
            var place = S3StoreOptions.Parse(url);
            bool isKnown = place.Region is not null || place.Endpoint is not null
                || Environment.GetEnvironmentVariable("AWS_REGION") is not null || Environment.GetEnvironmentVariable("AWS_DEFAULT_REGION") is not null;
            if (isKnown || await BucketRegion.FindAsync(place, cancellation) is not { } region) return (url, null);
            return (url + (url.Contains('?', StringComparison.Ordinal) ? "&" : "?") + $"region={region}", region);
        }
        catch (ObjectStoreException)
        {
            // The trial says what is wrong with the URL.
            return (url, null);
        }
    }

    private static int Refuse(TextWriter error, string message)
    {
        error.WriteLine($"zeroflow: {message}");
        return ExitCodes.Usage;
    }
}
