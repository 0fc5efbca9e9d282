using System.Globalization;

namespace ZeroFlow.Stages.Chain;

/// <summary>A place in the chain. Number zero stands before the first table of the epoch.</summary>
internal readonly record struct ChainPosition(uint Epoch, ulong Number) : IComparable<ChainPosition>
{
    public ChainPosition NextNumber => this with { Number = Number + 1 };

    public ChainPosition NextEpoch => new(Epoch + 1, 0);

    public int CompareTo(ChainPosition other) =>
        Epoch != other.Epoch ? Epoch.CompareTo(other.Epoch) : Number.CompareTo(other.Number);

    public static bool operator <(ChainPosition a, ChainPosition b) => a.CompareTo(b) < 0;

    public static bool operator >(ChainPosition a, ChainPosition b) => a.CompareTo(b) > 0;

    public static bool operator >=(ChainPosition a, ChainPosition b) => a.CompareTo(b) >= 0;

    public static bool operator <=(ChainPosition a, ChainPosition b) => a.CompareTo(b) <= 0;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Epoch}/{Number}");
}

/// <summary>Object names of the chain: zero-padded, so that a listing sorts as the chain does.</summary>
internal static class ChainNames
{
    public const string ChainPrefix = "chain/";
    public const string CheckpointPrefix = "checkpoint/";
    public const string MapPrefix = "map/";
    public const string CheckpointCopyPrefix = "root/";

    private const int EpochDigits = 10;
    private const int NumberDigits = 16;

    public static string Table(ChainPosition at) =>
        string.Create(CultureInfo.InvariantCulture, $"{ChainPrefix}{at.Epoch:D10}/{at.Number:D16}");

    public static string Checkpoint(ChainPosition at) =>
        string.Create(CultureInfo.InvariantCulture, $"{CheckpointPrefix}{at.Epoch:D10}-{at.Number:D16}");

    /// <summary>The second copy of a checkpoint, byte for byte.</summary>
    public static string CheckpointCopy(ChainPosition at) =>
        string.Create(CultureInfo.InvariantCulture, $"{CheckpointCopyPrefix}{at.Epoch:D10}-{at.Number:D16}");

    /// <summary>An object with pages of the map: the writer of an epoch numbers its own.</summary>
    public static string MapPages(ChainPosition at) =>
        string.Create(CultureInfo.InvariantCulture, $"{MapPrefix}{at.Epoch:D10}/{at.Number:D16}");

    public static bool TryParseMapPages(string key, out ChainPosition at) => TryParse(key, MapPrefix, '/', out at);

    public static bool TryParseTable(string key, out ChainPosition at) => TryParse(key, ChainPrefix, '/', out at);

    public static bool TryParseCheckpoint(string key, out ChainPosition at) => TryParse(key, CheckpointPrefix, '-', out at);

    public static bool TryParseCheckpointCopy(string key, out ChainPosition at) => TryParse(key, CheckpointCopyPrefix, '-', out at);

    private static bool TryParse(string key, string prefix, char separator, out ChainPosition at)
    {
        at = default;
        if (key.Length != prefix.Length + EpochDigits + 1 + NumberDigits || !key.StartsWith(prefix, StringComparison.Ordinal))
            return false;
        ReadOnlySpan<char> rest = key.AsSpan(prefix.Length);
        if (rest[EpochDigits] != separator ||
            !uint.TryParse(rest[..EpochDigits], NumberStyles.None, CultureInfo.InvariantCulture, out uint epoch) ||
            !ulong.TryParse(rest[(EpochDigits + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number))
            return false;
        at = new ChainPosition(epoch, number);
        return true;
    }
}
