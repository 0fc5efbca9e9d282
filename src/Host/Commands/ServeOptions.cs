using System.CommandLine;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Commands;

/// <summary>
/// The options of <c>zeroflow serve</c>, each of which sets one key. Their values are checked with all others.
/// </summary>
internal sealed class ServeOptions
{
    private readonly List<(Option<string> Option, string Key)> _single = [];
    private readonly Option<string[]> _exports = new("--export")
    {
        HelpName = "NAME:SIZE[:LEVEL]",
        Description = "A block device, created when missing; may be repeated. SIZE in bytes or with K, M, G, T (1024 "
            + "each); LEVEL journaled (default: FLUSH is on the local disk) or published (FLUSH is in the bucket).",
    };

    private readonly Option<string[]> _access = new("--access")
    {
        HelpName = "EXPORT=WHO[+WHO][:read-only]",
        Description = "Lets a client have an export and its snapshots; may be repeated. An export that no rule names, and "
            + "no rule for *, is everybody's. WHO is an address, a network, cert:NAME, unix or any.",
    };

    private readonly Option<string[]> _set = new("--set")
    {
        HelpName = "KEY=VALUE",
        Description = "Any other key, such as Tuning:WalBytes=16G or Admin:AllowRemote=true; may be repeated.",
    };

    private readonly Option<string> _config = new("--config")
    {
        HelpName = "FILE",
        Description = $"JSON file with settings [default: {SettingLayers.DefaultFile} when it is there]",
    };

    /// <summary>
    /// Makes the options and adds them to <paramref name="command"/>: all of them, or those that it takes to reach a store.
    /// </summary>
    public ServeOptions(Command command, bool reachesStoreOnly = false)
    {
        Add(
            "--store", SettingKeys.Store, "URL",
            "Where the data lives: file:///dir, or s3://bucket/prefix?endpoint=http://host:port&region=name"
            + "&path-style=true with the credentials of the AWS environment variables or profile files.");
        Add(
            "--passphrase-file", SettingKeys.PassphraseFile, "FILE",
            $"File with the passphrase, readable by its owner only; otherwise {PassphraseSource.Variable} is used.");
        command.Add(_config);
        Add(
            "--log-level", SettingKeys.LogLevel, "LEVEL",
            "trace, debug, information, warning, error [default: information]");
        if (!reachesStoreOnly) AddServing(command);

        void Add(string name, string key, string value, string description) => AddSingle(command, name, key, value, description);
    }

    private void AddServing(Command command)
    {
        Add("--data", SettingKeys.Data, "DIR", "Directory of the local log (wal/) and cache (cache/).");
        Add(
            "--as-of", SettingKeys.AsOf, "TIME",
            "Serve the store as it was, read-only, beside its writer: 2026-11-28T12:30:00Z. It reaches back as far as the "
            + "writer's tuning key Retention says.");
        Add("--listen", SettingKeys.Listen, "HOST:PORT", "TCP address for NBD clients [default: 127.0.0.1:10809]");
        Add("--socket", SettingKeys.Socket, "PATH", "Unix socket for NBD clients; without --listen, instead of TCP.");
        Add(
            "--tls", SettingKeys.TlsMode, "MODE",
            "off, allow (clients choose, and those without TLS are not asked for a certificate) or require "
            + "[default: require with a certificate, otherwise off]");
        Add(
            "--tls-certificate", SettingKeys.TlsCertificate, "FILE",
            "The server's certificate, PEM, with those between it and its root behind it. It and the next two are read "
            + "again when they change.");
        Add("--tls-key", SettingKeys.TlsKey, "FILE", "Its private key, PEM, readable by its owner only.");
        Add(
            "--tls-client-ca", SettingKeys.TlsClientCa, "FILE",
            "Root certificates, PEM: clients need a certificate of one of them.");
        Add(
            "--admin", SettingKeys.AdminListen, "HOST:PORT",
            "Address of the live view, /healthz, /readyz, /metrics and the control API [default: 127.0.0.1:10810]");
        Add(
            "--admin-socket", SettingKeys.AdminSocket, "PATH",
            "Unix socket for the same, of which its owner needs no token; without --admin, instead of TCP.");
        Add(
            "--admin-token-file", SettingKeys.AdminTokenFile, "FILE",
            "File with the secret of the control API, readable by its owner only; made when it is missing "
            + $"[default: {AdminToken.FileName} in the data directory]");
        command.Add(_exports);
        command.Add(_access);
        command.Add(_set);

        void Add(string name, string key, string value, string description) => AddSingle(command, name, key, value, description);
    }

    private void AddSingle(Command command, string name, string key, string value, string description)
    {
        var option = new Option<string>(name) { HelpName = value, Description = description };
        _single.Add((option, key));
        command.Add(option);
    }

    /// <summary>What the command line sets; a malformed <c>--set</c> is an error.</summary>
    public ServeInputs Read(ParseResult parsed, ConfigurationErrors errors)
    {
        var settings = new List<Setting>();
        foreach ((Option<string> option, string key) in _single)
        {
            if (ValueOf(parsed, option) is { } value) settings.Add(new Setting(key, value, option.Name));
        }

        string[] exports = parsed.GetValue(_exports) ?? [];
        settings.AddRange(exports.Select((export, i) => new Setting($"{SettingKeys.Exports}:{i}", export, "--export")));
        string[] access = parsed.GetValue(_access) ?? [];
        settings.AddRange(access.Select((rule, i) => new Setting($"{SettingKeys.Access}:{i}", rule, "--access")));
        foreach (string pair in parsed.GetValue(_set) ?? [])
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0) settings.Add(new Setting(pair[..equals], pair[(equals + 1)..], $"--set {pair[..equals]}"));
            else errors.Add("--set must be followed by KEY=VALUE.");
        }

        return new ServeInputs(
            settings, Environment.GetEnvironmentVariables(), ValueOf(parsed, _config), Environment.CurrentDirectory);
    }

    // An option with the wrong number of values was reported by the parser already.
    private static string? ValueOf(ParseResult parsed, Option<string> option) =>
        parsed.GetResult(option) is { } result && !result.Errors.Any() ? result.GetValueOrDefault<string>() : null;
}
