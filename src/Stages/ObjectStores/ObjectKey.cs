using System.Buffers;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The rules for keys, which are the same for every kind of store so that a store can be copied between them.
/// </summary>
internal static class ObjectKey
{
    /// <summary>
    /// Longest key in characters. With the longest prefix it stays below the 1024 bytes that S3 allows.
    /// </summary>
    public const int LengthMax = 512;

    // Longest name that the usual file systems take.
    private const int SegmentLengthMax = 255;

    private static readonly SearchValues<char> Allowed =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    /// <summary>
    /// Throws unless <paramref name="key"/> is made of segments of letters, digits, <c>-</c>, <c>_</c> and <c>.</c>,
    /// parted by <c>/</c>, none of them empty or with a dot in front.
    /// </summary>
    public static void Check(string key)
    {
        if (!IsValid(key))
        {
            throw new ObjectStoreException(
                ObjectStoreErrorKind.Invalid,
                $"'{key}' is not an object key: a key has at most {LengthMax} characters, in segments of letters, " +
                "digits, '-', '_' and '.' that are parted by '/' and begin with no dot.");
        }
    }

    /// <summary>True when <see cref="Check"/> accepts the key.</summary>
    public static bool IsValid(ReadOnlySpan<char> key)
    {
        if (key.Length is 0 or > LengthMax) return false;
        foreach (Range range in key.Split('/'))
        {
            ReadOnlySpan<char> segment = key[range];
            if (segment.Length is 0 or > SegmentLengthMax || segment[0] == '.') return false;
            if (segment.ContainsAnyExcept(Allowed)) return false;
        }

        return true;
    }
}
