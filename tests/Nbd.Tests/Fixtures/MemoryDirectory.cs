using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Tests.Fixtures;

internal sealed class MemoryDirectory(params MemoryDevice[] devices) : IExportDirectory
{
    /// <summary>Thrown instead of opening, when set.</summary>
    public Exception? OpenFault { get; set; }

    public IReadOnlyList<ExportInfo> List() =>
        [.. devices.Select(d => d.Info).OrderBy(i => i.Name, StringComparer.Ordinal)];

    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        if (OpenFault is not null) throw OpenFault;
        device = name.Length == 0 && devices.Length == 1 ? devices[0] : devices.FirstOrDefault(d => d.Info.Name == name);
        return device is not null;
    }
}
