using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Tests.Fixtures;

internal sealed class MemoryDirectory(params MemoryDevice[] devices) : IExportDirectory
{
    /// <summary>Thrown instead of opening, when set.</summary>
    public Exception? OpenFault { get; set; }

    /// <summary>The comparisons that somebody holds.</summary>
    public List<ChangeList> Comparisons { get; } = [];

    /// <summary>What every comparison tells to have changed.</summary>
    public List<BlockRange> Changed { get; } = [];

    public bool TryCompare(ExportInfo export, string snapshot, [NotNullWhen(true)] out IChangedRanges? changes)
    {
        changes = null;
        if (!devices.Any(d => d.Info.Snapshot is { } s && s.Name == snapshot && d.Info.Id != export.Id)) return false;
        changes = new ChangeList(this, snapshot);
        lock (Comparisons) Comparisons.Add((ChangeList)changes);
        return true;
    }

    public IReadOnlyList<ExportInfo> List() =>
        [.. devices.Select(d => d.Info).OrderBy(i => i.Name, StringComparer.Ordinal)];

    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        if (OpenFault is not null) throw OpenFault;
        bool isOnly = name.Length == 0 && devices.Length == 1;
        device = isOnly ? devices[0] : devices.FirstOrDefault(d => d.Info.Name == name);
        return device is not null;
    }
}

/// <summary>A comparison with a snapshot, as the directory's list of changes says.</summary>
internal sealed class ChangeList(MemoryDirectory directory, string snapshot) : IChangedRanges
{
    public string Snapshot => snapshot;

    public ValueTask<int> GetAsync(BlockRange range, Memory<ChangedRun> runs, CancellationToken cancellation)
    {
        var found = new List<ChangedRun>();
        long at = range.Offset;
        foreach (BlockRange part in directory.Changed.Select(p => p.Intersect(range)).Where(p => !p.IsEmpty))
        {
            if (part.Offset > at) found.Add(new ChangedRun(part.Offset - at, IsChanged: false));
            found.Add(new ChangedRun(part.Length, IsChanged: true));
            at = part.End;
        }

        if (at < range.End) found.Add(new ChangedRun(range.End - at, IsChanged: false));
        int count = Math.Min(found.Count, runs.Length);
        found.GetRange(0, count).CopyTo(runs.Span);
        return ValueTask.FromResult(count);
    }

    public void Dispose()
    {
        lock (directory.Comparisons) directory.Comparisons.Remove(this);
    }
}
