using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Perf.Emulation;

/// <summary>A directory with one device, under its name and under the empty one.</summary>
internal sealed class OneExport(IBlockDevice device) : IExportDirectory
{
    public IReadOnlyList<ExportInfo> List() => [device.Info];

    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? found)
    {
        found = name.Length == 0 || name == device.Info.Name ? device : null;
        return found is not null;
    }
}
