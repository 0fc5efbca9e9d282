using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Tables;

/// <summary>A committed table as the process knows it. Immutable but for the count of live bytes.</summary>
internal sealed class TableInfo
{
    private long _liveBytes;

    public required uint Epoch { get; init; }

    public required ulong Number { get; init; }

    public required byte[] Salt { get; init; }

    public required byte[] Key { get; init; }

    public required long ObjectBytes { get; init; }

    public required Sequence FirstSequence { get; init; }

    public required Sequence LastSequence { get; init; }

    public required string ObjectKey { get; init; }

    /// <summary>Plain bytes of the map that this table still holds; at zero the table can go.</summary>
    public long LiveBytes => Volatile.Read(ref _liveBytes);

    public void AddLive(long bytes) => Interlocked.Add(ref _liveBytes, bytes);
}
