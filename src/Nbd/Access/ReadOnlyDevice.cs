using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Access;

/// <summary>A device as a client has it that may only read.</summary>
internal sealed class ReadOnlyDevice(IBlockDevice inner) : IBlockDevice
{
    private ExportInfo _told = inner.Info with { IsReadOnly = true };
    private ExportInfo _asOf = inner.Info;

    // Asked for every request: a new one is made only when the export has changed. Threads that race make the same.
    public ExportInfo Info
    {
        get
        {
            ExportInfo now = inner.Info;
            if (ReferenceEquals(now, Volatile.Read(ref _asOf))) return Volatile.Read(ref _told);
            ExportInfo told = now with { IsReadOnly = true };
            Volatile.Write(ref _told, told);
            Volatile.Write(ref _asOf, now);
            return told;
        }
    }

    public IDisposable? Attach() => inner.Attach();

    public ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellation) =>
        inner.ReadAsync(offset, destination, cancellation);

    public ValueTask ReadOrBorrowAsync(
        long offset, Memory<byte> destination, List<BufferPiece> pieces, CancellationToken cancellation) =>
        inner.ReadOrBorrowAsync(offset, destination, pieces, cancellation);

    public ValueTask WriteAsync(long offset, BufferLease payload, bool forceUnitAccess, CancellationToken cancellation)
    {
        payload.Release();
        return ValueTask.FromException(Denied());
    }

    public ValueTask ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellation) =>
        ValueTask.FromException(Denied());

    public ValueTask FlushAsync(CancellationToken cancellation) => inner.FlushAsync(cancellation);

    public ValueTask ConfirmAsync() => inner.ConfirmAsync();

    public ValueTask<int> GetStatusAsync(
        BlockRange range, Memory<BlockStatus> extents, CancellationToken cancellation) =>
        inner.GetStatusAsync(range, extents, cancellation);

    public void Prefetch(BlockRange range) => inner.Prefetch(range);

    private StorageFaultException Denied() =>
        new(FaultKind.Denied, $"A client wrote to '{inner.Info.Name}', which it may only read.");
}
