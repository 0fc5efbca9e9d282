using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Tables;

/// <summary>
/// An object with frames as the process knows it: a committed table, or an object with pages of the map. Immutable but
/// for the counts.
/// </summary>
internal sealed class TableInfo
{
    private long _liveBytes;
    private volatile bool _isDying;

    /// <summary><see cref="ChainObjectKind.Table"/> or <see cref="ChainObjectKind.MapPages"/>.</summary>
    public ChainObjectKind Kind { get; init; } = ChainObjectKind.Table;

    public required uint Epoch { get; init; }

    public required ulong Number { get; init; }

    public required byte[] Salt { get; init; }

    public required byte[] Key { get; init; }

    public required long ObjectBytes { get; init; }

    public required Sequence FirstSequence { get; init; }

    public required Sequence LastSequence { get; init; }

    public required string ObjectKey { get; init; }

    /// <summary>Plain bytes of all frames.</summary>
    public long PlainBytes { get; init; }

    /// <summary>
    /// Plain bytes of the map that this object held as of the last stored checkpoint. Zero for a table that is younger.
    /// </summary>
    public long LiveBytes => Volatile.Read(ref _liveBytes);

    /// <summary>True once nothing needs the object any more and it may be deleted at any moment.</summary>
    public bool IsDying => _isDying;

    public void AddLive(long bytes) => Interlocked.Add(ref _liveBytes, bytes);

    public void Doom() => _isDying = true;
}
