using System.IO.Enumeration;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// A listing of one directory store in the order of the keys' bytes. Holds the entries of one directory per level, not
/// the whole listing.
/// </summary>
/// <remarks>
/// Within a directory, files sort by name and directories by name and <c>/</c>: every key below a directory begins with
/// that, so the walk comes out in byte order. Keys are ASCII, for which UTF-16 and byte order agree.
/// </remarks>
internal sealed class DirectoryListing(string root, string prefix, string? startAfter)
{
    private static readonly EnumerationOptions EverythingOrAnError = new()
    {
        IgnoreInaccessible = false,
        AttributesToSkip = 0,
        RecurseSubdirectories = false,
    };

    /// <summary>The entries, lazily. File system errors pass through.</summary>
    public IEnumerable<ObjectEntry> Walk() => Walk(root, "");

    private IEnumerable<ObjectEntry> Walk(string directory, string keyOfDirectory)
    {
        foreach (Entry entry in SortedEntries(directory, keyOfDirectory))
        {
            if (!entry.IsDirectory)
            {
                if (Matches(entry.Key)) yield return new ObjectEntry(entry.Key, entry.SizeBytes);
                continue;
            }

            if (!MayHoldMatches(entry.Key)) continue;
            foreach (ObjectEntry inner in Walk(Path.Combine(root, entry.Key), entry.Key)) yield return inner;
        }
    }

    private static List<Entry> SortedEntries(string directory, string keyOfDirectory)
    {
        var entries = new List<Entry>(new FileSystemEnumerable<Entry>(
            directory,
            (ref FileSystemEntry found) => found.IsDirectory
                ? new Entry($"{keyOfDirectory}{found.FileName}/", 0, true)
                : new Entry($"{keyOfDirectory}{found.FileName}", found.Length, false),
            EverythingOrAnError)
        {
            ShouldIncludePredicate = (ref FileSystemEntry found) => ObjectKey.IsValid(found.FileName),
        });
        entries.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        return entries;
    }

    private bool Matches(string key) =>
        key.StartsWith(prefix, StringComparison.Ordinal) &&
        (startAfter is null || string.CompareOrdinal(key, startAfter) > 0);

    private bool MayHoldMatches(string keyOfDirectory)
    {
        bool prefixFits = keyOfDirectory.StartsWith(prefix, StringComparison.Ordinal) ||
            prefix.StartsWith(keyOfDirectory, StringComparison.Ordinal);
        bool isPast = startAfter is null || string.CompareOrdinal(keyOfDirectory, startAfter) > 0 ||
            startAfter.StartsWith(keyOfDirectory, StringComparison.Ordinal);
        return prefixFits && isPast;
    }

    private readonly record struct Entry(string Key, long SizeBytes, bool IsDirectory);
}
