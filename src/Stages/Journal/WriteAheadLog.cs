using System.Numerics;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Keys;

namespace ZeroFlow.Stages.Journal;

/// <summary>Called for each replayed record, in order; the payload is borrowed.</summary>
internal delegate void WalReplayed(in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload);

/// <summary>
/// The WAL as a run of segments, preallocated files of one size that a FasterLog fills in turn. Segments are deleted, or used again,
/// as a whole, once the committed chain covers them.
/// </summary>
/// <remarks>
/// The next segment is made ahead of need: its blocks are allocated for good before the first record goes in, so an
/// append never meets a full disk. A full disk shows where the next segment is made, and holds writes back there.
/// </remarks>
internal sealed partial class WriteAheadLog : IWriteAheadLog
{
    /// <summary>Largest payload of a record.</summary>
    public const int RecordPayloadBytesMax = 256 * 1024;

    /// <summary>Smallest page of a segment's log; a record is smaller.</summary>
    public const int PageBytesMin = 512 * 1024;

    // What the smallest record is charged: it is also an object, an index entry and a place in a queue.
    private const int RecordBytesMin = 512;
    private const int PageBytesMax = 4 * 1024 * 1024;

    // FasterLog writes whole sectors: the last one has to lie in the file.
    private const int SegmentBytesUnit = 4096;

    private static readonly TimeSpan FullDiskRetry = TimeSpan.FromMilliseconds(500);

    private readonly IWalDisk _disk;
    private readonly byte[] _rootKey;
    private readonly Guid _storeId;
    private readonly StoreOptions _options;
    private readonly TimeProvider _time;
    private readonly IEntropy _entropy;
    private readonly ILogger _log;
    private readonly WalSpares _spares;
    private readonly Lock _lock = new();
    private readonly Lock _syncing = new();
    private readonly List<WalSegment> _sealed = [];
    private readonly List<WalSegment> _unsynced = [];
    private readonly long _segmentBytes;
    private readonly int _pageBytes;
    private readonly CancellationTokenSource _closing = new();
    private bool _isDisposed;
    private FasterSegmentLog? _appending;
    private WalSegment? _active;
    private Task<IWalFile>? _next;
    private uint _epoch;
    private Guid _session;
    private ulong _chainNumber;
    private int _lastOrdinal;
    private ulong _handedOver;
    private ulong _synced;
    private volatile Exception? _fault;

    public WriteAheadLog(
        IWalDisk disk, byte[] rootKey, Guid storeId, StoreOptions options, TimeProvider time, IEntropy entropy, ILogger log)
    {
        _disk = disk;
        _rootKey = rootKey;
        _storeId = storeId;
        _options = options;
        _time = time;
        _entropy = entropy;
        _log = log;
        _segmentBytes = options.WalSegmentBytes / SegmentBytesUnit * SegmentBytesUnit;
        _spares = new WalSpares(disk, _segmentBytes, options.WalBytes);
        _pageBytes = (int)Math.Clamp(
            BitOperations.RoundUpToPowerOf2((ulong)_segmentBytes / 8), PageBytesMin, PageBytesMax);
    }

    /// <inheritdoc/>
    public int PayloadBytesMax => RecordPayloadBytesMax;

    /// <inheritdoc/>
    public long BytesOnDisk
    {
        get
        {
            lock (_lock) return _sealed.Sum(s => s.File.Length) + (_active?.File.Length ?? 0) + _spares.Bytes;
        }
    }

    /// <inheritdoc/>
    public int RecordBytes(int payloadBytes) =>
        Math.Max(RecordBytesMin, FasterSegmentLog.EntryBytes(WalRecordFormat.Bytes(payloadBytes)));

    /// <summary>
    /// Replays what the segments hold beyond <paramref name="committed"/>. Called once, before
    /// <see cref="StartEpochAsync"/>; the records stay readable until they are released.
    /// </summary>
    /// <exception cref="StorageFaultException">A record is missing that was provably synced, or the format is newer.</exception>
    public void Replay(Sequence committed, WalReplayed replayed)
    {
        var replay = new WalReplay(_disk, _rootKey, _storeId, _log);
        _sealed.AddRange(replay.Run(committed, replayed));
        _lastOrdinal = replay.HighestOrdinal;
        Sequence last = _sealed.Count > 0 ? Sequence.Max(committed, _sealed[^1].LastSequence) : committed;
        _handedOver = _synced = last.Value;

        // What a kill left in the page cache is answered but not yet stable: it must be before anything builds on it.
        foreach (WalSegment segment in _sealed) segment.File.Sync();
    }

    /// <summary>Begins this process's term: appends go to a fresh segment.</summary>
    public async Task StartEpochAsync(uint epoch, Guid session, ulong chainNumber, CancellationToken cancellation)
    {
        _epoch = epoch;
        _session = session;
        _chainNumber = chainNumber;
        await ActivateNextAsync(new Sequence(_handedOver + 1), cancellation);
    }

    /// <inheritdoc/>
    public ValueTask ReserveAsync(long bytes, CancellationToken cancellation)
    {
        ThrowIfFailed();
        WalSegment active = _active!;
        if (active.TailAddress > _segmentBytes / 2 && _next is null) PrepareNext();
        return active.HasRoomFor(bytes) ? ValueTask.CompletedTask : RollOverAsync(cancellation);
    }

    /// <inheritdoc/>
    public WalPosition Append(in WalRecordHeader header, ReadOnlySpan<byte> payload) =>
        _active!.Append(header, new Sequence(Volatile.Read(ref _synced)), payload);

    /// <inheritdoc/>
    public async ValueTask HandOverAsync()
    {
        ThrowIfFailed();
        WalSegment active = _active!;
        try
        {
            await active.HandOverAsync();
        }
        catch (Exception fault)
        {
            throw Fail(fault);
        }

        Volatile.Write(ref _handedOver, active.LastSequence.Value);
    }

    /// <inheritdoc/>
    public void Sync()
    {
        // One at a time: the kernel tells of a lost page once, and a second sync beside the failing one would succeed.
        lock (_syncing)
        {
            ThrowIfFailed();
            SyncSegments();
        }
    }

    /// <inheritdoc/>
    public ValueTask<bool> TryReadAsync(WalPosition position, WalRecordHeader header, Memory<byte> destination)
    {
        WalSegment? segment;
        lock (_lock)
        {
            segment = _active?.Header.Ordinal == position.Segment
                ? _active
                : _sealed.Find(s => s.Header.Ordinal == position.Segment);
            if (segment is null || !segment.TryAddReference()) return ValueTask.FromResult(false);
        }

        try
        {
            segment.Read(position, header, destination.Span);
            return ValueTask.FromResult(true);
        }
        finally
        {
            Drop(segment);
        }
    }

    /// <inheritdoc/>
    public void Release(Sequence through)
    {
        List<WalSegment> released = [];
        lock (_lock)
        {
            while (_sealed.Count > 0 && _sealed[0].LastSequence <= through)
            {
                // A segment that is not synced yet is needed no more either: its records are in the bucket.
                _unsynced.Remove(_sealed[0]);
                released.Add(_sealed[0]);
                _sealed.RemoveAt(0);
            }
        }

        foreach (WalSegment segment in released) Drop(segment);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        await _closing.CancelAsync();
        if (_next is { } next)
        {
            await next.ContinueWith(
                static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            if (next.IsCompletedSuccessfully) (await next).Dispose();
        }

        // What was not handed over is lost.
        _appending?.Dispose();
        _active?.Dispose();
        foreach (WalSegment segment in _sealed) segment.Dispose();
        _spares.Dispose();
        _closing.Dispose();
    }

    private void SyncSegments()
    {
        // The point is read before the segments are: a record up to it is in one of those, or was released.
        ulong point = Volatile.Read(ref _handedOver);
        WalSegment[] segments;
        lock (_lock)
        {
            segments = [.. _unsynced, _active!];
            foreach (WalSegment segment in segments) segment.TryAddReference();
        }

        try
        {
            foreach (WalSegment segment in segments) segment.File.Sync();
        }
        catch (Exception fault)
        {
            // After a failed sync the kernel may have dropped the pages: a second try would lie.
            throw Fail(fault);
        }
        finally
        {
            foreach (WalSegment segment in segments) Drop(segment);
        }

        lock (_lock)
        {
            foreach (WalSegment segment in segments[..^1]) _unsynced.Remove(segment);
            Volatile.Write(ref _synced, Math.Max(_synced, point));
        }
    }

    private async ValueTask RollOverAsync(CancellationToken cancellation)
    {
        WalSegment full = _active!;

        // First the new segment, then the switch: while the disk is full, the old one stays whole and active.
        await HandOverAsync();
        await ActivateNextAsync(full.LastSequence.Next, cancellation);
        full.EndAppending();
    }

    private async Task ActivateNextAsync(Sequence first, CancellationToken cancellation)
    {
        IWalFile file = await WaitForNextAsync(cancellation);
        byte[] salt = new byte[WalSegmentHeader.SaltBytes];
        _entropy.Fill(salt);
        var header = new WalSegmentHeader(
            _storeId, _epoch, _session, _lastOrdinal, first, new Sequence(Volatile.Read(ref _synced)), _chainNumber,
            _pageBytes, salt);
        var segment = new WalSegment(header, file, _rootKey);
        try
        {
            // The header is stable before the first record: a file without one is then known to hold nothing.
            segment.BeginAppending(_rootKey, _appending ??= new FasterSegmentLog(_pageBytes));
            await segment.HandOverAsync();
            file.Sync();
        }
        catch (Exception fault)
        {
            throw Fail(fault);
        }

        lock (_lock)
        {
            if (_active is { } full)
            {
                _sealed.Add(full);
                _unsynced.Add(full);
            }

            _active = segment;
        }
    }

    private async Task<IWalFile> WaitForNextAsync(CancellationToken cancellation)
    {
        long started = _time.GetTimestamp();
        for (bool told = false; ; told = true)
        {
            // The one that was prepared ahead may have failed long ago, and there may be room by now.
            if (_next is null or { IsFaulted: true }) PrepareNext();
            try
            {
                IWalFile file = await _next!;
                _next = null;
                return file;
            }
            catch (WalDiskFullException full)
            {
                if (!told) LogDiskFull(_disk.Location, full.Message);
                if (_time.GetElapsedTime(started) >= _options.FullDiskPatience)
                {
                    throw new StorageFaultException(
                        FaultKind.Full,
                        $"The local disk under {_disk.Location} has no room for the WAL; writes are refused until there is.", full);
                }
            }
            catch (Exception fault) when (fault is not OperationCanceledException)
            {
                throw Fail(fault);
            }

            await Task.Delay(FullDiskRetry, _time, cancellation);
        }
    }

    private void PrepareNext()
    {
        int ordinal = _next is null ? ++_lastOrdinal : _lastOrdinal;
        _next = Task.Factory.StartNew(
            () => _spares.Take(WalSegment.NameOf(ordinal), _closing.Token),
            CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current);
    }

    private void Drop(WalSegment segment)
    {
        if (segment.DropReference()) _spares.Give(WalSegment.NameOf(segment.Header.Ordinal), segment.File, segment.IsOwn);
    }

    private void ThrowIfFailed()
    {
        if (_fault is { } fault) throw Fail(fault);
    }

    private StorageFaultException Fail(Exception fault)
    {
        _fault ??= fault;
        return fault as StorageFaultException ?? new StorageFaultException(
            FaultKind.Unavailable,
            $"The WAL in {_disk.Location} failed ({fault.Message}); nothing more is acknowledged. Check the disk and restart.", fault);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The local disk under {Location} is full ({Reason}); writes wait for room, and fail after Tuning:FullDiskPatience. Make room there.")]
    private partial void LogDiskFull(string location, string reason);
}
