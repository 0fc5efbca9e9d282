using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Systemd;
using ZeroFlow.Nbd.Tls;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Configuration;

/// <summary>
/// Turns layers of texts into <see cref="ServeSettings"/>, and says everything that is wrong at once.
/// </summary>
internal sealed class ServeSettingsReader
{
    private const string DefaultListen = "127.0.0.1:10809";
    private const string DefaultAdmin = "127.0.0.1:10810";

    // sockaddr_un holds 108 bytes, one of them the closing NUL.
    private const int SocketPathBytesMax = 107;

    private readonly ServeInputs _inputs;
    private readonly ConfigurationErrors _errors;
    private readonly SettingLayers _layers;

    private ServeSettingsReader(ServeInputs inputs, ConfigurationErrors errors)
    {
        _inputs = inputs;
        _errors = errors;
        _layers = SettingLayers.Read(inputs, errors);
    }

    /// <summary>Reads and checks; on false, <paramref name="errors"/> holds at least one message.</summary>
    public static bool TryRead(
        ServeInputs inputs, ConfigurationErrors errors, [NotNullWhen(true)] out ServeSettings? settings)
    {
        ServeSettings read = new ServeSettingsReader(inputs, errors).Read();
        settings = errors.Any ? null : read;
        return settings is not null;
    }

    /// <summary>
    /// Reads only what concerns this machine, and needs no secret for it: where the data directory is, and the budgets.
    /// </summary>
    public static LocalSettings ReadLocal(ServeInputs inputs, ConfigurationErrors errors)
    {
        var reader = new ServeSettingsReader(inputs, errors);
        string data = reader.ReadData(new EmbeddedDefault(inputs.WorkingDirectory));
        return new LocalSettings(data, reader.ReadTuning());
    }

    /// <summary>Reads and checks what it takes to reach the store, for commands that do not serve it.</summary>
    public static bool TryReadStore(
        ServeInputs inputs, ConfigurationErrors errors, [NotNullWhen(true)] out StoreAccess? access)
    {
        StoreAccess read = new ServeSettingsReader(inputs, errors).ReadAccess();
        access = errors.Any ? null : read;
        return access is not null;
    }

    private StoreAccess ReadAccess()
    {
        Setting? store = _layers.Find(SettingKeys.Store);
        EmbeddedDefault? embedded = store is null ? new EmbeddedDefault(_inputs.WorkingDirectory) : null;
        return new StoreAccess(
            embedded?.StoreUrl ?? ReadStore(store!),
            new PassphraseSource(_layers, _inputs, _errors).Read(required: embedded is null),
            embedded,
            ReadLogLevel());
    }

    private ServeSettings Read()
    {
        Setting? store = _layers.Find(SettingKeys.Store);
        EmbeddedDefault? embedded = store is null ? new EmbeddedDefault(_inputs.WorkingDirectory) : null;
        string data = ReadData(embedded);
        TlsOptions? tls = new TlsSource(_layers, _inputs, _errors).Read();
        var telemetry = new TelemetrySource(_layers, _inputs, _errors);
        var inherited = InheritedSockets.Read(_inputs.Environment, Environment.ProcessId, _errors);
        return new ServeSettings
        {
            StoreUrl = embedded?.StoreUrl ?? ReadStore(store!),
            DataDirectory = data,
            AsOf = ReadAsOf(),
            Inherited = inherited,
            Listen = ReadListen(inherited, out string? socketPath),
            SocketPath = socketPath,
            Tls = tls,
            Access = new AccessSource(_layers, _errors).Read(tls),
            AdminListen = ReadAdmin(inherited.Admin?.LocalEndPoint, out string? adminSocketPath),
            AdminSocketPath = adminSocketPath,
            AdminTokenFile = ReadTokenFile(data),
            MetricsToken = ReadMetricsToken(),
            AdminHosts = [.. _layers.FindList(SettingKeys.AdminHosts).Select(static host => host.Value)],
            CoreDumps = ReadFlag(SettingKeys.CoreDumps),
            OtlpEndpoint = telemetry.ReadEndpoint(),
            IsOtlpOn = telemetry.IsOn,
            TraceOneIn = telemetry.ReadOneIn(),
            AdminLiveToken = ReadFlag(SettingKeys.AdminLiveToken),
            Prices = new PriceSource(_layers, _errors).Read(),
            Exports = ReadExports(),
            Passphrase = new PassphraseSource(_layers, _inputs, _errors).Read(required: embedded is null),
            Tuning = ReadTuning(),
            LogLevel = ReadLogLevel(),
            LogsJson = ReadLogFormat(),
            Embedded = embedded,
        };
    }

    private string ReadStore(Setting store)
    {
        if (!StoreUrl.TryCheck(store.Value, out string? problem)) _errors.AddWithoutValue(store, problem);
        return store.Value;
    }

    private string ReadData(EmbeddedDefault? embedded)
    {
        Setting? data = _layers.Find(SettingKeys.Data);
        if (data is { Value: not "" }) return FullPath(data.Value);
        if (data is not null) _errors.Add(data, SettingKeys.Data, "a directory");
        else if (embedded is null) _errors.Add("Data is not set: name the directory of the local log with --data.");
        return embedded?.DataDirectory ?? "";
    }

    // With its zone: a moment that is an hour off looks right and is not.
    private DateTimeOffset? ReadAsOf()
    {
        if (_layers.Find(SettingKeys.AsOf) is not { } setting) return null;
        string[] forms = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mmK"];
        bool hasZone = setting.Value.EndsWith('Z') || setting.Value.LastIndexOfAny(['+', '-']) > setting.Value.IndexOf('T', StringComparison.Ordinal);
        if (hasZone && DateTimeOffset.TryParseExact(
                setting.Value, forms, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment))
            return moment;
        _errors.Add(setting, SettingKeys.AsOf, "a time with its zone, as in 2026-11-28T12:30:00Z or 2026-11-28T13:30:00+01:00");
        return null;
    }

    // A socket that is handed over is often on the very address that the configuration names, and cannot be bound again.
    private IPEndPoint? ReadListen(InheritedSockets inherited, out string? socketPath)
    {
        socketPath = ReadSocketPath(SettingKeys.Socket);
        IPEndPoint? listen = IsSocketOnly(socketPath, SettingKeys.Listen) ? null : ReadEndpoint(SettingKeys.Listen, DefaultListen, out _);
        if (inherited.Nbd.Count == 0) return listen;
        socketPath = null;
        return null;
    }

    // It takes the place of the setting of its kind.
    private IPEndPoint? ReadAdmin(EndPoint? inherited, out string? socketPath)
    {
        string? named = ReadSocketPath(SettingKeys.AdminSocket);
        socketPath = inherited is UnixDomainSocketEndPoint ? inherited.ToString() : named;
        if (inherited is not IPEndPoint && IsSocketOnly(socketPath, SettingKeys.AdminListen)) return null;
        IPEndPoint admin = ReadEndpoint(SettingKeys.AdminListen, DefaultAdmin, out Setting? setting);
        if (inherited is IPEndPoint handedOver)
        {
            admin = handedOver;
            setting = new Setting(SettingKeys.AdminListen, handedOver.ToString(), "socket activation");
        }

        if (setting is not null && !IPAddress.IsLoopback(admin.Address) && !ReadFlag(SettingKeys.AdminAllowRemote))
        {
            _errors.Add(
                setting, SettingKeys.AdminListen,
                $"a loopback address, because it is plain HTTP and its probes ask for no token, or {SettingKeys.AdminAllowRemote} must be true");
        }

        return admin;
    }

    private string? ReadSocketPath(string key)
    {
        if (_layers.Find(key) is not { } socket) return null;
        string path = FullPath(socket.Value);
        if (socket.Value.Length == 0 || Encoding.UTF8.GetByteCount(path) > SocketPathBytesMax)
            _errors.Add(socket, key, $"a path of at most {SocketPathBytesMax} bytes");
        return path;
    }

    // Whoever asks for a socket only does not get a TCP port as well.
    private bool IsSocketOnly(string? socketPath, string listenKey) =>
        socketPath is not null && _layers.Find(listenKey) is null;

    private bool ReadFlag(string key)
    {
        Setting? setting = _layers.Find(key);
        bool isSet = false;
        if (setting is not null && !bool.TryParse(setting.Value, out isSet)) _errors.Add(setting, key, "true or false");
        return isSet;
    }

    // Somebody else reads it, too, so it is made by whoever sets the two up, and must be there.
    private Secret? ReadMetricsToken()
    {
        if (_layers.Find(SettingKeys.AdminMetricsTokenFile) is not { } file) return null;
        try
        {
            const string what = "The metrics token";
            string path = Path.GetFullPath(file.Value, _inputs.WorkingDirectory);
            string token = PrivateFile.Read(what, path)?.Trim() ?? throw new IOException($"{what} {path} does not exist.");
            return token.Length > 0 ? new Secret(token) : throw new IOException($"{what} {path} is empty.");
        }
        catch (Exception fault) when (fault is IOException or ArgumentException)
        {
            _errors.AddWithoutValue(file, fault.Message);
            return null;
        }
    }

    private string ReadTokenFile(string data)
    {
        Setting? file = _layers.Find(SettingKeys.AdminTokenFile);
        if (file is { Value: "" }) _errors.Add(file, SettingKeys.AdminTokenFile, "a file");
        return file is null ? Path.Combine(data, AdminToken.FileName) : FullPath(file.Value);
    }

    private IPEndPoint ReadEndpoint(string key, string defaultText, out Setting? setting)
    {
        setting = _layers.Find(key);
        if (ListenAddress.TryParse(setting?.Value ?? defaultText, out IPEndPoint? endpoint)) return endpoint;
        _errors.Add(setting!, key, ListenAddress.Form);
        return new IPEndPoint(IPAddress.Loopback, 0);
    }

    private List<ExportSpec> ReadExports()
    {
        var exports = new List<ExportSpec>();
        foreach (Setting setting in _layers.FindList(SettingKeys.Exports))
        {
            if (!ExportSpec.TryParse(setting.Value, out ExportSpec? export))
                _errors.Add(setting, SettingKeys.Exports, ExportSpec.Form);
            else if (exports.Exists(other => other.Name == export.Name))
                _errors.Add(setting, SettingKeys.Exports, $"the only export named {export.Name}");
            else
                exports.Add(export);
        }

        return exports;
    }

    private StoreOptions ReadTuning()
    {
        var tuning = new StoreOptions();
        foreach (TuningRow row in TuningTable.Rows)
        {
            if (_layers.Find(row.Key) is not { } setting) continue;
            StoreOptions? applied = row.TryApply(tuning, setting.Value);
            if (applied is null) _errors.Add(setting, row.Key, row.Allowed);
            tuning = applied ?? tuning;
        }

        // Space comes back a whole segment at a time: with one segment, a full log could never be emptied.
        if (tuning.WalBytes < 2 * tuning.WalSegmentBytes)
        {
            _errors.Add(
                $"Tuning:WalBytes is {Quantities.FormatSize(tuning.WalBytes)}, but must be at least twice "
                + $"Tuning:WalSegmentBytes, which is {Quantities.FormatSize(tuning.WalSegmentBytes)}.");
        }

        return tuning;
    }

    private LogLevel ReadLogLevel()
    {
        Setting? setting = _layers.Find(SettingKeys.LogLevel);
        if (setting is null) return LogLevel.Information;
        foreach (LogLevel level in Enum.GetValues<LogLevel>())
        {
            if (level.ToString().Equals(setting.Value, StringComparison.OrdinalIgnoreCase)) return level;
        }

        _errors.Add(setting, SettingKeys.LogLevel, "trace, debug, information, warning, error, critical or none");
        return LogLevel.Information;
    }

    private bool ReadLogFormat()
    {
        Setting? setting = _layers.Find(SettingKeys.LogFormat);
        if (setting is not null && setting.Value is not ("text" or "json")) _errors.Add(setting, SettingKeys.LogFormat, "text or json");
        return setting?.Value == "json";
    }

    private string FullPath(string path) =>
        path.Length == 0 ? path : Path.GetFullPath(path, _inputs.WorkingDirectory);
}

/// <summary>The part of a configuration that is about the machine.</summary>
/// <param name="DataDirectory">Directory of the WAL and the disk cache, as a full path.</param>
/// <param name="Tuning">Bounds of the engine.</param>
internal sealed record LocalSettings(string DataDirectory, StoreOptions Tuning);
