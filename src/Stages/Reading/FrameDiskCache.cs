using System.Collections.Concurrent;
using System.Threading.Channels;
using FASTER.core;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using Session = FASTER.core.ClientSession<
    long, FASTER.core.SpanByte, int, ZeroFlow.Pipeline.Memory.BufferLease?, FASTER.core.Empty,
    ZeroFlow.Stages.Reading.FrameRecordFunctions>;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// Sealed frames on the local disk, exactly as they are in the bucket. Disposable: it starts empty, loses its oldest
/// frames when it is full, and turns itself off when its disk fails, which readers see as misses. Thread-safe.
/// </summary>
/// <remarks>
/// FASTER holds the index and the log. Frames are put in by one loop from a bounded queue, so that a slow disk costs
/// dropped frames and never a waiting caller. There are no checkpoints and no syncs: only the WAL and the bucket
/// are durable. The bytes are not trusted either; whoever opens a frame finds out whether it is the right one.
/// </remarks>
internal sealed class FrameDiskCache : IAsyncDisposable
{
    // One may wait for the disk when a frame is put in, which ends at most one page more. Of four pages, the fewest there are,
    // two take what comes in.
    private const int PageWritesMax = 1;

    private readonly FrameDiskCacheOptions _options;
    private readonly BufferPool _pool;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly FrameCacheDevice? _device;
    private readonly FasterKV<long, SpanByte>? _store;
    private readonly ConcurrentBag<Session> _idleSessions = [];
    private readonly SemaphoreSlim _reads;
    private readonly ByteBudget _queuedBytes;
    private readonly Channel<FrameChange> _changes;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _writing = Task.CompletedTask;
    private int _off;
    private long _hits;
    private long _misses;
    private long _inserts;
    private long _drops;

    /// <summary>Opens an empty cache. When its disk does not let it, the cache is off from the start.</summary>
    public FrameDiskCache(FrameDiskCacheOptions options, BufferPool pool, TimeProvider time, ILogger log)
    {
        _options = options;
        _pool = pool;
        _time = time;
        _log = log;
        _reads = new SemaphoreSlim(options.ReadsMax, options.ReadsMax);
        _queuedBytes = new ByteBudget(options.InsertQueueBytes);
        // Bytes bound the queue long before; this bounds it for frames of the smallest size class, 512 bytes.
        _changes = Channel.CreateBounded<FrameChange>(
            new BoundedChannelOptions(options.InsertQueueBytes / 512) { SingleReader = true });
        try
        {
            if (options.DiskBytes < options.DiskBytesMin)
                throw new IOException($"{options.DiskBytes} bytes are fewer than the {options.DiskBytesMin} it needs");
            Directory.CreateDirectory(options.Directory);
            _device = new FrameCacheDevice(options.Directory, options.SegmentsMax, TurnOff);
            _store = OpenStore(options, _device);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            TurnOff(fault);
            return;
        }
        catch
        {
            _device?.Dispose();
            throw;
        }

        _writing = BackgroundLoop.Start(WriteLoopAsync, TurnOff, _stopping.Token);
    }

    /// <summary>Whether the cache is in use; once false it stays false.</summary>
    public bool IsOn => Volatile.Read(ref _off) == 0;

    /// <summary>Bytes of files now.</summary>
    public long BytesOnDisk => _device?.BytesOnDisk ?? 0;

    /// <summary>Lookups that found their frame.</summary>
    public long Hits => Volatile.Read(ref _hits);

    /// <summary>Lookups that did not.</summary>
    public long Misses => Volatile.Read(ref _misses);

    /// <summary>Frames put in.</summary>
    public long Inserts => Volatile.Read(ref _inserts);

    /// <summary>Frames that were offered and not taken, because the queue was full or the frame too large.</summary>
    public long Drops => Volatile.Read(ref _drops);

    /// <summary>
    /// The sealed bytes of a frame, or null when they are not here with exactly that length. The caller owns one
    /// reference. Never fails.
    /// </summary>
    public async ValueTask<BufferLease?> TryReadAsync(FrameKey key, int sealedBytes)
    {
        if (!IsOn) return null;
        BufferLease? found = null;
        await _reads.WaitAsync();
        try
        {
            if (IsOn) found = await LookUpAsync(PackedKey(key), sealedBytes);
        }
        catch (Exception fault)
        {
            // Whatever FASTER makes of a broken log, the reader goes to the bucket.
            TurnOff(fault);
        }
        finally
        {
            _reads.Release();
        }

        Interlocked.Increment(ref found is null ? ref _misses : ref _hits);
        return found;
    }

    /// <summary>Offers a frame, which is copied. It is put in soon, or dropped when there is too much to do.</summary>
    public void Insert(FrameKey key, ReadOnlySpan<byte> sealedBytes)
    {
        if (!IsOn || sealedBytes.IsEmpty) return;
        int cost = BufferPool.CapacityFor(sealedBytes.Length);
        if (sealedBytes.Length > _options.FrameBytesMax || !_queuedBytes.TryTake(cost))
        {
            Interlocked.Increment(ref _drops);
            return;
        }

        BufferLease lease = _pool.Rent(sealedBytes.Length);
        sealedBytes.CopyTo(lease.Span);
        if (_changes.Writer.TryWrite(new FrameChange(PackedKey(key), lease, null))) return;
        GiveBack(lease);
        Interlocked.Increment(ref _drops);
    }

    /// <summary>Forgets a frame whose bytes turned out wrong.</summary>
    public void Drop(FrameKey key)
    {
        if (IsOn) _changes.Writer.TryWrite(new FrameChange(PackedKey(key), null, null));
    }

    /// <summary>Completes when all that was offered before is in, or dropped.</summary>
    internal async Task DrainAsync(CancellationToken cancellation)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _changes.Writer.WriteAsync(new FrameChange(0, null, done), cancellation);
        await done.Task.WaitAsync(cancellation);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _off, 2) == 2) return;
        _changes.Writer.TryComplete();
        await _stopping.CancelAsync();
        await _writing;
        while (_changes.Reader.TryRead(out FrameChange left)) Discard(left);
        // Every read under way holds a place; having them all means that none is left.
        for (int place = 0; place < _options.ReadsMax; place++) await _reads.WaitAsync();
        if (_device is not null) await _device.StopAsync(_time);
        while (_idleSessions.TryTake(out Session? session)) session.Dispose();
        _store?.Dispose();
        _device?.Dispose();
        _stopping.Dispose();
    }

    private static long PackedKey(FrameKey key) => ((long)key.Table << 32) | (uint)key.Frame;

    private static FasterKV<long, SpanByte> OpenStore(FrameDiskCacheOptions options, FrameCacheDevice device) =>
        new(new FasterKVSettings<long, SpanByte>
        {
            LogDevice = device,
            IndexSize = options.IndexBytes,
            PageSize = options.PageBytes,
            SegmentSize = options.SegmentBytes,
            MemorySize = options.LogMemoryBytes,
            // Half of the pages may still be written out while the other half takes what comes in.
            MutableFraction = 0.5,
            // Frames are immutable: two writes of one key write the same bytes, so records need no locks.
            ConcurrencyControlMode = ConcurrencyControlMode.None,
            CheckpointDir = options.Directory,
        });

    private async ValueTask<BufferLease?> LookUpAsync(long key, int sealedBytes)
    {
        if (!_idleSessions.TryTake(out Session? session)) session = NewSession();
        // On an exception the session is in an unknown state and is left behind: the cache is off then.
        var result = await session.ReadAsync(ref key, ref sealedBytes);
        (Status status, BufferLease? lease) = result.Complete();
        _idleSessions.Add(session);
        if (status.Found) return lease;
        lease?.Release();
        return null;
    }

    private Session NewSession() =>
        _store!.For(new FrameRecordFunctions(_pool)).NewSession<FrameRecordFunctions>();

    private async Task WriteLoopAsync(CancellationToken stopping)
    {
        using Session session = NewSession();
        while (await _changes.Reader.WaitToReadAsync(stopping))
        {
            while (!stopping.IsCancellationRequested && _changes.Reader.TryRead(out FrameChange change))
            {
                // FASTER spins when it has no page that is written: it is not asked then, and what comes meanwhile is dropped.
                await _device!.WhenQueuedAtMostAsync(PageWritesMax);
                if (IsOn) Apply(session, change);
                Discard(change);
            }
        }
    }

    private void Apply(Session session, FrameChange change)
    {
        long key = change.Key;
        if (change.Frame is { } frame)
        {
            // Leases are pinned, so their address is good for the length of the call.
            SpanByte value = SpanByte.FromFixedSpan(frame.Span);
            session.Upsert(ref key, ref value);
            Interlocked.Increment(ref _inserts);
            EvictOldest();
        }
        else if (change.Drained is null)
        {
            session.Delete(ref key);
        }
    }

    /// <summary>
    /// Lets the oldest segments go, one early, so that FASTER forgets them before their files have to go.
    /// </summary>
    private void EvictOldest()
    {
        long segmentBytes = _options.SegmentBytes;
        long tailSegment = _store!.Log.TailAddress / segmentBytes;
        long firstSegment = tailSegment - _options.SegmentsMax + 2;
        if (firstSegment > _store.Log.BeginAddress / segmentBytes)
            _store.Log.ShiftBeginAddress(firstSegment * segmentBytes, snapToPageStart: false, truncateLog: true);
    }

    private void Discard(FrameChange change)
    {
        if (change.Frame is { } frame) GiveBack(frame);
        change.Drained?.TrySetResult();
    }

    private void GiveBack(BufferLease lease)
    {
        int cost = lease.Capacity;
        lease.Release();
        _queuedBytes.Return(cost);
    }

    private void TurnOff(Exception fault)
    {
        if (Interlocked.CompareExchange(ref _off, 1, 0) != 0) return;
        // Gives the space back at once: the WAL may live on the same disk.
        _device?.Dispose();
        _log.LogWarning(
            "The disk cache in {Directory} is off until the next start, and reads go to the bucket: {Reason}.",
            _options.Directory, fault.Message);
    }

    /// <summary>A frame to put in, a frame to forget (no bytes), or a mark that tells when all before is done.</summary>
    private readonly record struct FrameChange(long Key, BufferLease? Frame, TaskCompletionSource? Drained);
}
