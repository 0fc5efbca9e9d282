using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Nbd.Telemetry;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Access;

/// <summary>The exports of a server as one client sees them: those that it may not have are not there.</summary>
internal sealed class AdmittedExports(
    IExportDirectory all, AccessPolicy policy, ClientIdentity client, ConnectionLog log) : IExportDirectory
{
    /// <summary>The view of a client; the directory itself where there are no rules.</summary>
    public static IExportDirectory For(
        ClientIdentity client, IExportDirectory all, AccessPolicy policy, ConnectionLog log) =>
        policy.IsOpen ? all : new AdmittedExports(all, policy, client, log);

    public IReadOnlyList<ExportInfo> List() => [.. all.List().Where(export => GrantOf(export.Name) != AccessGrant.None)];

    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        device = null;

        // The only export that the client knows of.
        if (name.Length == 0 && (name = IExportDirectory.OnlyName(List()) ?? "").Length == 0) return false;
        AccessGrant grant = GrantOf(name);
        if (grant == AccessGrant.None)
        {
            // A name that stands for nothing may be anything, and does not belong into a log.
            if (all.List().Any(export => export.Name == name)) log.Refused(name, client);
            return false;
        }

        if (!all.TryOpen(name, out device)) return false;
        if (grant == AccessGrant.ReadOnly) device = new ReadOnlyDevice(device);
        return true;
    }

    // Who has an export has its snapshots.
    public bool TryCompare(ExportInfo export, string snapshot, [NotNullWhen(true)] out IChangedRanges? changes) =>
        all.TryCompare(export, snapshot, out changes);

    private AccessGrant GrantOf(string name) => policy.Decide(client, name);
}
