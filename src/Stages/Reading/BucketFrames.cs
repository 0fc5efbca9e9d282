using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// Fetches runs of frames from the bucket, within a bound of GETs and of buffer bytes. Thread-safe.
/// </summary>
internal sealed class BucketFrames : IDisposable
{
    private readonly IObjectStore _store;
    private readonly IFrameOpener _opener;
    private readonly BufferPool _pool;
    private readonly ByteBudget _bytes;
    private readonly SemaphoreSlim _gets;

    /// <summary>Makes a fetcher with bounds of its own.</summary>
    public BucketFrames(IObjectStore store, IFrameOpener opener, BufferPool pool, int getsMax, long bytesMax)
    {
        _store = store;
        _opener = opener;
        _pool = pool;
        _bytes = new ByteBudget(bytesMax);
        _gets = new SemaphoreSlim(getsMax, getsMax);
    }

    /// <summary>Bytes of buffers in use by GETs now.</summary>
    public long BytesInFlight => _bytes.UsedBytes;

    /// <summary>
    /// Fetches the bytes that <paramref name="flights"/>, all of one run, span, and hands each frame to
    /// <paramref name="land"/> with its sealed bytes, borrowed for the call, and its plain bytes, of which the caller
    /// gets a reference. A frame that cannot be had goes to <paramref name="fail"/>.
    /// </summary>
    public async Task FetchAsync(
        FrameFlight[] flights,
        FrameLanded land,
        Action<FrameFlight, Exception> fail,
        CancellationToken stopping)
    {
        (long offset, int length) = FrameRuns.SpanOf(Array.ConvertAll(flights, static flight => flight.Frame));
        int cost = BufferPool.CapacityFor(length);
        await _bytes.TakeAsync(cost, stopping);
        BufferLease buffer = _pool.Rent(length);
        try
        {
            await GetAsync(flights[0].Frame.Key.Table, offset, buffer.Memory, stopping);
            foreach (FrameFlight flight in flights)
            {
                Memory<byte> sealedBytes =
                    buffer.Memory.Slice((int)(flight.Frame.ObjectOffset - offset), flight.Frame.SealedBytes);
                try
                {
                    BufferLease plain = await OpenAsync(flight.Frame, sealedBytes, stopping);
                    land(flight, sealedBytes.Span, plain);
                }
                catch (StorageFaultException fault)
                {
                    fail(flight, fault);
                }
            }
        }
        finally
        {
            buffer.Release();
            _bytes.Return(cost);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _gets.Dispose();

    /// <summary>Opens a frame. Wrong bytes are fetched once more, for the way here may be to blame.</summary>
    private async ValueTask<BufferLease> OpenAsync(
        FrameRef frame, Memory<byte> sealedBytes, CancellationToken stopping)
    {
        BufferLease plain = _pool.Rent(frame.PlainBytes);
        try
        {
            if (!TryOpen(frame, sealedBytes.Span, plain.Span))
            {
                await GetAsync(frame.Key.Table, frame.ObjectOffset, sealedBytes, stopping);
                _opener.Open(frame, sealedBytes.Span, plain.Span);
            }

            return plain;
        }
        catch
        {
            plain.Release();
            throw;
        }
    }

    private bool TryOpen(in FrameRef frame, ReadOnlySpan<byte> sealedBytes, Span<byte> plain)
    {
        try
        {
            _opener.Open(frame, sealedBytes, plain);
            return true;
        }
        catch (StorageFaultException fault) when (fault.Kind == FaultKind.Corrupt)
        {
            return false;
        }
    }

    private async Task GetAsync(int table, long offset, Memory<byte> destination, CancellationToken stopping)
    {
        string key = _opener.ObjectKeyOf(table);
        await _gets.WaitAsync(stopping);
        try
        {
            await _store.ReadRangeAsync(key, offset, destination, stopping);
        }
        catch (ObjectStoreException cause)
        {
            throw FaultOf(cause, key, offset, destination.Length);
        }
        finally
        {
            _gets.Release();
        }
    }

    private StorageFaultException FaultOf(ObjectStoreException cause, string key, long offset, int length)
    {
        string range = $"bytes [{offset}, +{length}) of {key} in {_store.Location}";
        return cause.Kind switch
        {
            ObjectStoreErrorKind.ObjectMissing => StorageFaultException.Corrupt(
                $"The table object {key}, which the store needs, is missing in {_store.Location}.", cause),
            ObjectStoreErrorKind.Invalid => new StorageFaultException(
                FaultKind.Invalid, $"The bucket refuses to read {range} as a wrong request: {cause.Message}", cause),
            ObjectStoreErrorKind.Denied => new StorageFaultException(
                FaultKind.Unavailable, $"The credentials may not read {range}; check them: {cause.Message}", cause),
            ObjectStoreErrorKind.StoreMissing => new StorageFaultException(
                FaultKind.Unavailable, $"The bucket is not there; check its name: cannot read {range}: {cause.Message}", cause),
            _ => new StorageFaultException(
                FaultKind.Unavailable, $"The bucket does not deliver {range} at present: {cause.Message}", cause),
        };
    }
}

/// <summary>Takes a fetched frame: sealed bytes are borrowed, the reference to the plain ones is the callee's.</summary>
internal delegate void FrameLanded(FrameFlight flight, ReadOnlySpan<byte> sealedBytes, BufferLease plain);
