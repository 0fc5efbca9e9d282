using System.CommandLine;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Commands;

/// <summary><c>zeroflow serve</c>.</summary>
internal sealed class ServeCommand : Command
{
    private readonly ServeOptions _options;

    /// <summary>Makes the command.</summary>
    public ServeCommand()
        : base("serve", Text)
    {
        _options = new ServeOptions(this);
        SetAction(parsed =>
        {
            InvocationConfiguration console = parsed.InvocationConfiguration;
            return RunAsync(parsed, console.Output, console.Error);
        });
    }

    private static string Text =>
        $"""
        Serve the block devices of a store over NBD.

        Without a store it serves the embedded default: ./zeroflow-data as the store, with an export disk0 of 10G and a
        passphrase of its own.

        Settings come from a JSON file, then from environment variables (ZEROFLOW__KEY, with __ for each ':' in a key),
        then from the command line; the later wins. Keys: Store, Data, AsOf, Listen, Socket, Tls:Mode, Tls:Certificate,
        Tls:Key, Tls:ClientCa, Admin:Listen, Admin:AllowRemote, Admin:Socket, Admin:TokenFile, Admin:MetricsTokenFile,
        Admin:LiveToken (the live view asks for the token on this machine, too), Admin:Hosts, Exports and Access (lists),
        PassphraseFile, LogLevel, LogFormat (text or json), CoreDumps (false: the memory of the process can be neither dumped
        nor read by other processes of its user), Telemetry:Otlp:Endpoint (or {TelemetrySource.Variable}),
        Telemetry:TraceOneIn (1000: one request in so many), Prices:Currency, Prices:PutsPerThousand,
        Prices:GetsPerThousand, Prices:StorageGigabyteMonth, Prices:TransferGigabyte (for the cost in the live view; the
        defaults are S3 Standard's), and below Tuning:
          {string.Join("\n  ", TuningTable.Rows.Select(row => $"{row.Name} [default: {row.Default}]"))}

        The passphrase comes from {PassphraseSource.Variable} or a file, never from the command line.

        Exit codes: 0 stopped as asked; 1 could not start (passphrase, bucket, port, disk); 2 wrong command line or
        configuration; 3 another server took the store over; 4 the local log or the store failed while serving.
        """;

    /// <summary>Serves until it is asked to stop. Reports every error of the configuration at once.</summary>
    public async Task<int> RunAsync(ParseResult parsed, TextWriter output, TextWriter error)
    {
        ConfigurationErrors errors = ParseErrors.Of(parsed);
        ServeInputs inputs = _options.Read(parsed, errors);
        if (!ServeSettingsReader.TryRead(inputs, errors, out ServeSettings? settings))
            return ParseErrors.Report(errors, error);
        try
        {
            if (settings.Embedded is { } embedded)
                settings = settings with { Passphrase = embedded.Prepare(settings.Passphrase) };
        }
        catch (IOException fault)
        {
            await error.WriteLineAsync($"zeroflow: {fault.Message}");
            return ExitCodes.StartFailed;
        }

        return await ServerHost.RunAsync(settings, output);
    }
}
