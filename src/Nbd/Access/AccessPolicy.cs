namespace ZeroFlow.Nbd.Access;

/// <summary>What a client may do with an export.</summary>
internal enum AccessGrant
{
    /// <summary>Nothing: for the client it does not exist.</summary>
    None,

    /// <summary>Read it.</summary>
    ReadOnly,

    /// <summary>Whatever the export allows.</summary>
    Full,
}

/// <summary>Decides by the rules of the server. Immutable.</summary>
internal sealed class AccessPolicy(IReadOnlyList<AccessRule> rules)
{
    /// <summary>True when there is no rule, and everybody may have everything.</summary>
    public bool IsOpen => rules.Count == 0;

    /// <summary>What <paramref name="client"/> may do with the export or snapshot of that name, be there one or not.</summary>
    public AccessGrant Decide(ClientIdentity client, string name)
    {
        // A snapshot is its export's business; the name of an export has no '@'.
        int at = name.IndexOf('@', StringComparison.Ordinal);
        string export = at < 0 ? name : name[..at];
        bool isNamed = rules.Any(rule => rule.Export == export);
        string wanted = isNamed ? export : AccessRule.AnyExport;
        bool isRuled = false;
        AccessGrant grant = AccessGrant.None;
        foreach (AccessRule rule in rules)
        {
            if (rule.Export != wanted) continue;
            isRuled = true;
            if (!IsMet(rule, client)) continue;
            if (!rule.IsReadOnly) return AccessGrant.Full;
            grant = AccessGrant.ReadOnly;
        }

        return isRuled ? grant : AccessGrant.Full;
    }

    private static bool IsMet(AccessRule rule, ClientIdentity client)
    {
        if (rule.NeedsUnixSocket && client.Address is not null) return false;
        if (rule.Network is { } network && (client.Address is null || !network.Contains(client.Address))) return false;
        return rule.CertificateName is not { } name
            || client.CertificateNames.Contains(name, StringComparer.OrdinalIgnoreCase);
    }
}
