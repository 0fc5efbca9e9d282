using System.CommandLine;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Doctor;
using ZeroFlow.Host.Setup;

namespace ZeroFlow.Host.Commands;

/// <summary><c>zeroflow doctor</c>: looks at the machine and says what to change, and why.</summary>
internal sealed class DoctorCommand : Command
{
    private readonly Option<string> _config = new("--config")
    {
        HelpName = "FILE",
        Description = $"The server's configuration, for its budgets [default: {SettingLayers.DefaultFile} when it is there]",
    };

    private readonly Option<string> _data = new("--data") { HelpName = "DIR", Description = "The server's data directory [default: that of the configuration]" };
    private readonly Option<string> _postgres = new("--postgres") { HelpName = "CONNECTION", Description = "How psql reaches PostgreSQL, such as host=/run/postgresql [default: as psql does]" };
    private readonly Option<bool> _json = new("--json") { Description = "Print the findings as JSON." };

    /// <summary>Makes the command.</summary>
    public DoctorCommand()
        : base("doctor", Text)
    {
        foreach (Option option in new Option[] { _config, _data, _postgres, _json }) Add(option);
        SetAction(RunAsync);
    }

    private static string Text =>
        """
        Look at the machine, at ZFS and at PostgreSQL, and say what to change and why.

        The disk of the data directory (file system, space, time of a sync), memory against the budgets, the clock, limits, the
        kernel's NBD client and its devices, pools on those, and PostgreSQL, as far as zpool, zfs and psql are there and answer.
        Nothing is changed; a small file is written into the data directory and deleted again.

        Exit codes: 0 nothing has to change (notes may be worth a look); 1 something has to; 2 wrong command line or configuration.
        """;

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var errors = new ConfigurationErrors();
        Setting[] given = parsed.GetValue(_data) is { } data ? [new Setting(SettingKeys.Data, data, "--data")] : [];
        var inputs = new ServeInputs(given, Environment.GetEnvironmentVariables(), parsed.GetValue(_config), Environment.CurrentDirectory);
        LocalSettings settings = ServeSettingsReader.ReadLocal(inputs, errors);
        if (errors.Any) return ParseErrors.Report(errors, parsed.InvocationConfiguration.Error);
        var examination = new Examination(settings, parsed.GetValue(_postgres), TimeProvider.System);
        IReadOnlyList<Finding> findings = await examination.RunAsync(cancellation);
        FindingOutput.Write(findings, parsed.GetValue(_json), parsed.InvocationConfiguration.Output);
        return FindingOutput.ExitCode(findings);
    }
}
