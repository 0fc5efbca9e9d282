using System.Diagnostics.CodeAnalysis;
using System.Net;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Tls;

namespace ZeroFlow.Host.Configuration;

/// <summary>Reads who may have which export.</summary>
internal sealed class AccessSource(SettingLayers layers, ConfigurationErrors errors)
{
    /// <summary>What a rule may look like, for messages.</summary>
    public const string Form =
        "EXPORT=WHO[+WHO][:read-only], where EXPORT is a name or * for all that no other rule names, and WHO is an address,"
        + " a network such as 10.0.0.0/8, cert:NAME for a name in the client's certificate, unix, or any";

    private const string ReadOnlySuffix = ":read-only";
    private const string CertificatePrefix = "cert:";

    /// <summary>Reads the rules; each that is wrong is an error.</summary>
    public IReadOnlyList<AccessRule> Read(TlsOptions? tls)
    {
        var rules = new List<AccessRule>();
        foreach (Setting setting in layers.FindList(SettingKeys.Access))
        {
            if (!TryParse(setting.Value, out AccessRule? rule))
                errors.Add(setting, SettingKeys.Access, Form);
            else if (rule.CertificateName is not null && tls?.ClientAuthorityFile is null)
                errors.Add(setting, SettingKeys.Access, $"without cert:, unless {SettingKeys.TlsClientCa} makes clients show certificates");
            else
                rules.Add(rule);
        }

        return rules;
    }

    /// <summary>Reads <see cref="Form"/>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out AccessRule? rule)
    {
        rule = null;
        int equals = text.LastIndexOf('=');
        if (equals <= 0 || (text[..equals] != AccessRule.AnyExport && !ExportSpec.IsName(text[..equals]))) return false;
        var read = new AccessRule { Export = text[..equals] };
        text = text[(equals + 1)..];
        if (text.EndsWith(ReadOnlySuffix, StringComparison.Ordinal))
        {
            read = read with { IsReadOnly = true };
            text = text[..^ReadOnlySuffix.Length];
        }

        foreach (string who in text.Split('+'))
        {
            if (TryAdd(read, who) is not { } more) return false;
            read = more;
        }

        rule = read;
        return true;
    }

    // Null when it is none of the forms, or says again what is said already.
    private static AccessRule? TryAdd(AccessRule rule, string who)
    {
        if (who == "any") return rule;
        if (who == "unix") return rule.Network is null && !rule.NeedsUnixSocket ? rule with { NeedsUnixSocket = true } : null;
        if (who.StartsWith(CertificatePrefix, StringComparison.Ordinal))
        {
            string name = who[CertificatePrefix.Length..];
            return name.Length > 0 && rule.CertificateName is null ? rule with { CertificateName = name } : null;
        }

        return rule.Network is null && !rule.NeedsUnixSocket && TryParseNetwork(who) is { } network
            ? rule with { Network = network }
            : null;
    }

    private static IPNetwork? TryParseNetwork(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        string literal = slash < 0 ? text : text[..slash];
        if (!IPAddress.TryParse(literal, out IPAddress? address)) return null;

        // "10.1" is an address to the parser, and surely a typing error here.
        bool isIPv4 = address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;
        if (isIPv4 && address.ToString() != literal) return null;
        if (slash < 0) return new IPNetwork(address, isIPv4 ? 32 : 128);
        return IPNetwork.TryParse(text, out IPNetwork network) && network.BaseAddress.Equals(address) ? network : null;
    }
}
