using System.Diagnostics.CodeAnalysis;

namespace ZeroFlow.Host.Configuration;

/// <summary>The keys that exist. They do not distinguish case.</summary>
internal static class SettingKeys
{
    public const string Store = "Store";
    public const string Data = "Data";
    public const string AsOf = "AsOf";
    public const string Listen = "Listen";
    public const string Socket = "Socket";
    public const string TlsMode = "Tls:Mode";
    public const string TlsCertificate = "Tls:Certificate";
    public const string TlsKey = "Tls:Key";
    public const string TlsClientCa = "Tls:ClientCa";
    public const string AdminListen = "Admin:Listen";
    public const string AdminAllowRemote = "Admin:AllowRemote";
    public const string AdminSocket = "Admin:Socket";
    public const string AdminTokenFile = "Admin:TokenFile";
    public const string AdminMetricsTokenFile = "Admin:MetricsTokenFile";
    public const string AdminHosts = "Admin:Hosts";
    public const string CoreDumps = "CoreDumps";
    public const string OtlpEndpoint = "Telemetry:Otlp:Endpoint";
    public const string TraceOneIn = "Telemetry:TraceOneIn";
    public const string AdminLiveToken = "Admin:LiveToken";
    public const string PricesCurrency = "Prices:Currency";
    public const string PricesPuts = "Prices:PutsPerThousand";
    public const string PricesGets = "Prices:GetsPerThousand";
    public const string PricesStorage = "Prices:StorageGigabyteMonth";
    public const string PricesTransfer = "Prices:TransferGigabyte";
    public const string Exports = "Exports";
    public const string Access = "Access";
    public const string PassphraseFile = "PassphraseFile";
    public const string LogLevel = "LogLevel";
    public const string LogFormat = "LogFormat";

    private static readonly string[] General =
    [
        Store, Data, AsOf, Listen, Socket, TlsMode, TlsCertificate, TlsKey, TlsClientCa, AdminListen, AdminSocket,
        AdminAllowRemote, AdminTokenFile, AdminMetricsTokenFile, AdminLiveToken, AdminHosts, Exports, Access, PassphraseFile,
        LogLevel, LogFormat, CoreDumps, OtlpEndpoint, TraceOneIn,
        PricesCurrency, PricesPuts, PricesGets, PricesStorage, PricesTransfer,
    ];

    // Their elements have keys of their own, such as Exports:3.
    private static readonly string[] Lists = [Exports, Access, AdminHosts];

    private static readonly Dictionary<string, string> Canonical = General
        .Concat(TuningTable.Rows.Select(row => row.Key))
        .ToDictionary(key => key, StringComparer.OrdinalIgnoreCase);

    /// <summary>Finds the written form of a key; an element of a list belongs to its list.</summary>
    public static bool TryFind(string key, [NotNullWhen(true)] out string? known)
    {
        if (Canonical.TryGetValue(key, out known)) return true;
        known = Lists.FirstOrDefault(list => TryGetIndex(list, key, out _));
        return known is not null;
    }

    /// <summary>Reads the index from the key of an element, such as <c>Exports:3</c>.</summary>
    public static bool TryGetIndex(string list, string key, out int index)
    {
        index = 0;
        string prefix = list + ":";
        return key.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)
            && int.TryParse(
                key.AsSpan(prefix.Length), System.Globalization.NumberStyles.None,
                System.Globalization.CultureInfo.InvariantCulture, out index);
    }

    /// <summary>What may stand where an unknown key stands.</summary>
    public static string DescribeAllowed(string unknown)
    {
        if (unknown.Replace(":", "", StringComparison.Ordinal).Equals("Passphrase", StringComparison.OrdinalIgnoreCase))
        {
            return "secrets are not settings: set the environment variable ZEROFLOW_PASSPHRASE, "
                + "or name a file with PassphraseFile.";
        }

        return unknown.StartsWith(TuningTable.Section, StringComparison.OrdinalIgnoreCase)
            ? $"no such key; below Tuning there are {string.Join(", ", TuningTable.Rows.Select(row => row.Name))}."
            : $"no such key; there are {string.Join(", ", General)}, and Tuning:NAME.";
    }
}
