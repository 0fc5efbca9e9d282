using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// The one way to the plain bytes of a frame: memory, then the local disk, then the bucket. Thread-safe.
/// </summary>
/// <remarks>
/// <para>A hit in memory completes on the spot without allocating. Everything else runs on the thread pool, so that a
/// connection's loop neither decrypts nor waits.</para>
/// <para>Whoever misses first starts a flight; all others who want the same frame join it. A flight belongs to nobody:
/// it goes on when waiters give up, and fills the caches for the next.</para>
/// <para>A frame's key must never name other bytes during the life of this process: the memory cache trusts it.</para>
/// </remarks>
internal sealed class FrameReader : IAsyncDisposable
{
    private readonly IFrameOpener _opener;
    private readonly FrameMemoryCache _memory;
    private readonly FrameDiskCache? _disk;
    private readonly BufferPool _pool;
    private readonly FrameReaderOptions _options;
    private readonly BucketFrames _bucket;
    private readonly BucketFrames _bucketAhead;
    private readonly ByteBudget _aheadBytes;
    private readonly SemaphoreSlim _aheadPlaces;
    private readonly ConcurrentDictionary<FrameKey, FrameFlight> _flights = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly FrameLanded _land;
    private readonly FrameLanded _landAhead;
    private readonly Action<FrameFlight, Exception> _fail;
    private int _running = 1;
    private int _closed;
    private long _bucketHits;
    private long _bucketMisses;
    private long _readAheadBytes;

    /// <summary>Makes a reader.</summary>
    /// <param name="store">The bucket; it retries by itself what is worth retrying.</param>
    /// <param name="opener">Authenticates and decodes.</param>
    /// <param name="memory">Plain frames.</param>
    /// <param name="disk">Sealed frames; null for none.</param>
    /// <param name="pool">Where buffers come from.</param>
    /// <param name="metrics">Where the instruments of this reader and its caches are registered.</param>
    /// <param name="options">Bounds.</param>
    public FrameReader(
        IObjectStore store, IFrameOpener opener, FrameMemoryCache memory, FrameDiskCache? disk, BufferPool pool,
        PipelineMetrics metrics, FrameReaderOptions options)
    {
        _opener = opener;
        _memory = memory;
        _disk = disk;
        _pool = pool;
        _options = options;
        _bucket = new BucketFrames(store, opener, pool, options.GetsMax, options.FetchBytes);
        _bucketAhead = new BucketFrames(store, opener, pool, options.ReadAheadGetsMax, options.ReadAheadBytes);
        _aheadBytes = new ByteBudget(options.ReadAheadBytes);
        _aheadPlaces = new SemaphoreSlim(options.ReadAheadGetsMax, options.ReadAheadGetsMax);
        _land = LandFetched;
        _landAhead = LandAhead;
        _fail = FailFetched;
        ReadingInstruments.Register(metrics, memory, disk, this);
    }

    /// <summary>Frames that came from the bucket.</summary>
    public long BucketHits => Volatile.Read(ref _bucketHits);

    /// <summary>Frames that the bucket did not deliver.</summary>
    public long BucketMisses => Volatile.Read(ref _bucketMisses);

    /// <summary>Sealed bytes that read-ahead fetched from the bucket.</summary>
    public long ReadAheadBytes => Volatile.Read(ref _readAheadBytes);

    /// <summary>Bytes of buffers that GETs hold now, read-ahead included.</summary>
    public long FetchBytesInFlight => _bucket.BytesInFlight + _bucketAhead.BytesInFlight;

    /// <summary>The plain bytes of a frame; the caller owns one reference.</summary>
    /// <exception cref="StorageFaultException">
    /// Corrupt: what is stored is not what was written, twice in a row, or is missing. Unavailable: the bucket does
    /// not answer or refuses. Closing: the reader is being disposed.
    /// </exception>
    /// <exception cref="OperationCanceledException">This caller gave up; others who wait are not affected.</exception>
    public ValueTask<BufferLease> ReadAsync(in FrameRef frame, CancellationToken cancellation) =>
        _memory.TryGet(frame.Key, out BufferLease? lease)
            ? new ValueTask<BufferLease>(lease)
            : ReadMissAsync(frame, cancellation);

    /// <summary>
    /// Like <see cref="ReadAsync"/> for several frames at once: those that lie close together in one object share a
    /// GET. The leases go to the same places of <paramref name="leases"/>; on failure there are none.
    /// </summary>
    public ValueTask ReadManyAsync(
        IReadOnlyList<FrameRef> frames, Memory<BufferLease?> leases, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(leases.Length, frames.Count);
        int missing = 0;
        for (int i = 0; i < frames.Count; i++)
        {
            if (!_memory.TryGet(frames[i].Key, out leases.Span[i])) missing++;
        }

        return missing == 0 ? ValueTask.CompletedTask : ReadMissesAsync(frames, leases, missing, cancellation);
    }

    /// <summary>
    /// Brings frames that will probably be wanted into memory, as far as the budget of read-ahead goes, and forgets
    /// the rest. Never waits, never fails, and takes nothing from reads that somebody waits for.
    /// </summary>
    /// <returns>Where in its export the first frame lies that was forgotten; null when none was.</returns>
    public long? Prefetch(IReadOnlyList<FrameRef> frames)
    {
        FrameRef[] wanted =
            [.. frames.Where(frame => !_memory.Contains(frame.Key) && !_flights.ContainsKey(frame.Key))];
        Array.Sort(wanted, static (a, b) => FrameRuns.Compare(a, b));
        foreach (Range range in FrameRuns.Split(wanted, _options.GapBytesMax, _options.RunBytesMax))
        {
            FrameRef[] run = wanted[range];
            int cost = BufferPool.CapacityFor(FrameRuns.SpanOf(run).Bytes);
            if (!_aheadBytes.TryTake(cost)) return FirstOffset(wanted.AsSpan(range.Start));
            if (!TryBegin())
            {
                _aheadBytes.Return(cost);
                return null;
            }

            Launch(() => _ = PrefetchRunAsync(run, cost));
        }

        return null;
    }

    /// <summary>Ends what is under way; whoever still waits gets a Closing fault. The caches are not touched.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0) return;
        await _stopping.CancelAsync();
        End();
        await _idle.Task;
        _bucket.Dispose();
        _bucketAhead.Dispose();
        _aheadPlaces.Dispose();
        _stopping.Dispose();
    }

    // Runs are in the order of objects, so the first that is left out need not be the first in the export.
    private static long FirstOffset(ReadOnlySpan<FrameRef> frames)
    {
        long first = long.MaxValue;
        foreach (ref readonly FrameRef frame in frames) first = Math.Min(first, frame.ExportOffset);
        return first;
    }

    private async ValueTask<BufferLease> ReadMissAsync(FrameRef frame, CancellationToken cancellation)
    {
        FrameFlight flight = Board(frame, out bool isMine);
        if (isMine) Start([flight]);
        return await flight.WaitAsync(cancellation);
    }

    private async ValueTask ReadMissesAsync(
        IReadOnlyList<FrameRef> frames, Memory<BufferLease?> leases, int missing, CancellationToken cancellation)
    {
        var boarded = new List<(int Place, FrameFlight Flight)>(missing);
        var mine = new List<FrameFlight>(missing);
        for (int i = 0; i < frames.Count; i++)
        {
            if (leases.Span[i] is not null) continue;
            FrameFlight flight = Board(frames[i], out bool isMine);
            boarded.Add((i, flight));
            if (isMine) mine.Add(flight);
        }

        if (mine.Count > 0) Start([.. mine]);
        int landed = 0;
        try
        {
            foreach ((int place, FrameFlight flight) in boarded)
            {
                landed++;
                BufferLease lease = await flight.WaitAsync(cancellation);
                leases.Span[place] = lease;
            }
        }
        catch
        {
            foreach ((_, FrameFlight flight) in boarded[landed..]) flight.Leave();
            for (int i = 0; i < frames.Count; i++)
            {
                leases.Span[i]?.Release();
                leases.Span[i] = null;
            }

            throw;
        }
    }

    /// <summary>Joins the flight of a frame, or makes one, which the caller then has to start.</summary>
    private FrameFlight Board(FrameRef frame, out bool isMine)
    {
        while (true)
        {
            if (_flights.TryGetValue(frame.Key, out FrameFlight? flight))
            {
                isMine = false;
                // One that is over has left the board already, before it told anybody.
                if (flight.TryJoin()) return flight;
                continue;
            }

            isMine = true;
            flight = new FrameFlight(frame, waiters: 1);
            if (_flights.TryAdd(frame.Key, flight)) return flight;
        }
    }

    // Off the caller's stack: on the thread pool, or on the scheduler of a simulation.
    private static void Launch(Action work) =>
        _ = Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current);

    private void Start(FrameFlight[] flights)
    {
        if (TryBegin())
        {
            Launch(() => _ = FlyAndEndAsync(flights));
            return;
        }

        foreach (FrameFlight flight in flights) Fail(flight, ClosingFault());
    }

    private async Task FlyAndEndAsync(FrameFlight[] flights)
    {
        await FlyAsync(flights, _bucket, _land);
        End();
    }

    private async Task PrefetchRunAsync(FrameRef[] run, int cost)
    {
        try
        {
            await _aheadPlaces.WaitAsync(_stopping.Token);
            try
            {
                // On board only now: a read that joined a flight still in line would have waited for read-ahead.
                var flights = new List<FrameFlight>(run.Length);
                foreach (FrameRef frame in run)
                {
                    var flight = new FrameFlight(frame, waiters: 0);
                    if (_flights.TryAdd(frame.Key, flight)) flights.Add(flight);
                }

                await FlyAsync([.. flights], _bucketAhead, _landAhead);
            }
            finally
            {
                _aheadPlaces.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // The reader closes, and nobody waits.
        }
        finally
        {
            _aheadBytes.Return(cost);
            End();
        }
    }

    /// <summary>Ends every one of <paramref name="flights"/>, whatever happens; never fails.</summary>
    private async Task FlyAsync(FrameFlight[] flights, BucketFrames bucket, FrameLanded land)
    {
        try
        {
            FrameFlight[] missing = await LandFromCachesAsync(flights);
            if (missing.Length == 0) return;
            Array.Sort(missing, static (a, b) => FrameRuns.Compare(a.Frame, b.Frame));
            FrameRef[] frames = Array.ConvertAll(missing, static flight => flight.Frame);
            List<Range> runs = FrameRuns.Split(frames, _options.GapBytesMax, _options.RunBytesMax);
            await Task.WhenAll(runs.Select(run => FetchAsync(missing[run], bucket, land)));
        }
        catch (Exception fault)
        {
            // The error belongs to those who wait for these frames, and to nobody else.
            foreach (FrameFlight flight in flights) Fail(flight, fault);
        }
    }

    private async Task FetchAsync(FrameFlight[] run, BucketFrames bucket, FrameLanded land)
    {
        try
        {
            await bucket.FetchAsync(run, land, _fail, _stopping.Token);
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            foreach (FrameFlight flight in run) Fail(flight, ClosingFault());
        }
        catch (Exception fault)
        {
            foreach (FrameFlight flight in run) FailFetched(flight, fault);
        }
    }

    /// <summary>Lands what the caches have, and returns the rest.</summary>
    private async ValueTask<FrameFlight[]> LandFromCachesAsync(FrameFlight[] flights)
    {
        if (flights.Length == 1) return await TryLandFromCachesAsync(flights[0]) ? [] : flights;
        bool[] landed = await Task.WhenAll(flights.Select(flight => TryLandFromCachesAsync(flight).AsTask()));
        return [.. flights.Where((_, i) => !landed[i])];
    }

    private async ValueTask<bool> TryLandFromCachesAsync(FrameFlight flight)
    {
        // An earlier flight may have landed between this one's miss and its boarding.
        if (_memory.TryGetAgain(flight.Frame.Key, out BufferLease? plain))
        {
            Land(flight, plain);
            return true;
        }

        if (_disk is null) return false;
        BufferLease? sealedBytes = await _disk.TryReadAsync(flight.Frame.Key, flight.Frame.SealedBytes);
        if (sealedBytes is null) return false;
        bool isGood = TryOpenCached(flight.Frame, sealedBytes, out plain);
        sealedBytes.Release();
        if (isGood) Land(flight, plain!);
        else _disk.Drop(flight.Frame.Key);
        return isGood;
    }

    private bool TryOpenCached(in FrameRef frame, BufferLease sealedBytes, [NotNullWhen(true)] out BufferLease? plain)
    {
        plain = _pool.Rent(frame.PlainBytes);
        try
        {
            _opener.Open(frame, sealedBytes.Span, plain.Span);
            return true;
        }
        catch (StorageFaultException fault) when (fault.Kind == FaultKind.Corrupt)
        {
            plain.Release();
            plain = null;
            return false;
        }
        catch
        {
            plain.Release();
            throw;
        }
    }

    private void LandFetched(FrameFlight flight, ReadOnlySpan<byte> sealedBytes, BufferLease plain)
    {
        Interlocked.Increment(ref _bucketHits);
        _disk?.Insert(flight.Frame.Key, sealedBytes);
        Land(flight, plain);
    }

    private void LandAhead(FrameFlight flight, ReadOnlySpan<byte> sealedBytes, BufferLease plain)
    {
        Interlocked.Add(ref _readAheadBytes, sealedBytes.Length);
        LandFetched(flight, sealedBytes, plain);
    }

    /// <summary>
    /// Into memory, off the board, then to the waiters, in this order: who finds no flight finds the frame.
    /// </summary>
    private void Land(FrameFlight flight, BufferLease plain)
    {
        _memory.Add(flight.Frame.Key, plain);
        _flights.TryRemove(KeyValuePair.Create(flight.Frame.Key, flight));
        flight.Succeed(plain);
        plain.Release();
    }

    private void FailFetched(FrameFlight flight, Exception fault)
    {
        if (Fail(flight, fault)) Interlocked.Increment(ref _bucketMisses);
    }

    private bool Fail(FrameFlight flight, Exception fault)
    {
        _flights.TryRemove(KeyValuePair.Create(flight.Frame.Key, flight));
        return flight.Fail(fault);
    }

    private bool TryBegin()
    {
        Interlocked.Increment(ref _running);
        if (Volatile.Read(ref _closed) == 0) return true;
        End();
        return false;
    }

    private void End()
    {
        if (Interlocked.Decrement(ref _running) == 0) _idle.TrySetResult();
    }

    private static StorageFaultException ClosingFault() =>
        new(FaultKind.Closing, "The store is closing: this read was not finished.");
}
