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

    /// <summary>
    /// The name that the empty name stands for among <paramref name="exports"/>: that of the only export, whatever
    /// snapshots there are; null when there are none or several.
    /// </summary>
    static string? OnlyName(IEnumerable<ExportInfo> exports)
    {
        ExportInfo[] first = [.. exports.Where(static export => export.Snapshot is null).Take(2)];
        return first.Length == 1 ? first[0].Name : null;
    }

    /// <summary>
    /// Finds out where <paramref name="export"/>, which may be a snapshot, differs from a snapshot of the same export.
    /// False when there is no such snapshot. The caller disposes what it gets.
    /// </summary>
    /// <param name="export">One of the directory's exports.</param>
    /// <param name="snapshot">The snapshot's own name, the part behind the '@'.</param>
    /// <param name="changes">The difference, as of each time that it is asked.</param>
    bool TryCompare(ExportInfo export, string snapshot, [NotNullWhen(true)] out IChangedRanges? changes)
    {
        changes = null;
        return false;
    }
}
