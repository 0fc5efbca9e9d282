using System.Diagnostics.CodeAnalysis;

namespace ZeroFlow.Pipeline.Device;

/// <summary>The exports that clients may attach. Thread-safe.</summary>
public interface IExportDirectory
{
    /// <summary>All exports, sorted by name, as they are now.</summary>
    IReadOnlyList<ExportInfo> List();

    /// <summary>
    /// Finds an export by its name. The empty name stands for the only export of a directory that has exactly one.
    /// </summary>
    bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device);
}
