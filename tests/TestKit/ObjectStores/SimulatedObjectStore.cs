using System.Runtime.CompilerServices;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.TestKit.ObjectStores;

/// <summary>
/// An object store in memory that keeps all promises of <see cref="IObjectStore"/> until a test makes it misbehave: by
/// chance from a seed (<see cref="Faults"/>), by program (<see cref="FailNext"/>), or by an outage
/// (<see cref="Outage"/>). Thread-safe; deterministic when it is called from one thread.
/// </summary>
public sealed class SimulatedObjectStore : IObjectStore
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, byte[]> _objects = new(StringComparer.Ordinal);
    private readonly LinkedList<(Func<StoreCall, bool> Matches, StoreFault Fault)> _programmed = new();
    private readonly List<StoreCall> _calls = [];
    private readonly SortedDictionary<string, int> _faultCounts = new(StringComparer.Ordinal);
    private readonly TimeProvider _time;
    private readonly Random _random;

    public SimulatedObjectStore(TimeProvider time, int seed = 1)
    {
        _time = time;
        _random = new Random(seed);
    }

    /// <inheritdoc/>
    public string Location => "sim://store";

    /// <summary>Chance faults and latency; may be changed at any time.</summary>
    public StoreFaults Faults { get; set; } = StoreFaults.None;

    /// <summary>While set, every call fails in this way and has no effect.</summary>
    public ObjectStoreErrorKind? Outage { get; set; }

    /// <summary>Awaited before a call takes effect: hold it back here to model a request that is late.</summary>
    public Func<StoreCall, CancellationToken, Task>? BeforeCall { get; set; }

    /// <summary>Awaited after a call took effect, before its reply: throw here to crash in between.</summary>
    public Func<StoreCall, CancellationToken, Task>? AfterCall { get; set; }

    /// <summary>Every call so far, failed ones included, in the order in which they came.</summary>
    public IReadOnlyList<StoreCall> Calls
    {
        get
        {
            lock (_lock) return [.. _calls];
        }
    }

    /// <summary>
    /// Lets the next <paramref name="times"/> calls that match fail; programmed faults are used up in order.
    /// </summary>
    public void FailNext(StoreFault fault, int times = 1, Func<StoreCall, bool>? matches = null)
    {
        lock (_lock)
        {
            for (int i = 0; i < times; i++) _programmed.AddLast((matches ?? (static _ => true), fault));
        }
    }

    /// <summary>How many calls have failed in each way so far.</summary>
    public IReadOnlyDictionary<string, int> FaultCounts
    {
        get
        {
            lock (_lock) return new SortedDictionary<string, int>(_faultCounts);
        }
    }

    /// <summary>The keys that exist, sorted.</summary>
    public IReadOnlyList<string> Keys(string prefix = "")
    {
        lock (_lock) return [.. _objects.Keys.Where(key => key.StartsWith(prefix, StringComparison.Ordinal))];
    }

    /// <summary>A copy of an object's bytes, or null.</summary>
    public byte[]? Peek(string key)
    {
        lock (_lock) return _objects.TryGetValue(key, out byte[]? body) ? (byte[])body.Clone() : null;
    }

    /// <summary>Puts an object there, or replaces it, without a call.</summary>
    public void Plant(string key, ReadOnlySpan<byte> body)
    {
        lock (_lock) _objects[key] = body.ToArray();
    }

    /// <summary>Takes an object away without a call; false when there is none.</summary>
    public bool Remove(string key)
    {
        lock (_lock) return _objects.Remove(key);
    }

    /// <summary>Inverts all bits of one stored byte.</summary>
    public void FlipByte(string key, int offset) => Alter(key, body => body[offset] ^= 0xFF);

    /// <summary>Cuts an object off.</summary>
    public void Truncate(string key, int lengthBytes)
    {
        lock (_lock) _objects[key] = _objects[key][..lengthBytes];
    }

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        CallAsync(
            new StoreCall(StoreOperation.Read, key),
            () =>
            {
                byte[] body = _objects.TryGetValue(key, out byte[]? found)
                    ? found
                    : throw Failure(ObjectStoreErrorKind.ObjectMissing, key);
                if (offset < 0 || offset + destination.Length > body.Length)
                    throw Failure(ObjectStoreErrorKind.ShortBody, key);
                body.AsSpan((int)offset, destination.Length).CopyTo(destination.Span);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        CallAsync(
            new StoreCall(StoreOperation.TryRead, key),
            () =>
            {
                if (!_objects.TryGetValue(key, out byte[]? body)) return null;
                if (body.Length > bytesMax) throw Failure(ObjectStoreErrorKind.Invalid, key);
                return (byte[])body.Clone();
            },
            cancellation);

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        CallAsync(new StoreCall(StoreOperation.Create, key), () => _objects.TryAdd(key, body.ToArray()), cancellation);

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        CallAsync(
            new StoreCall(StoreOperation.Write, key),
            () =>
            {
                _objects[key] = body.ToArray();
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        CallAsync(
            new StoreCall(StoreOperation.Delete, key),
            () =>
            {
                _objects.Remove(key);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const int PageEntries = 1000;
        string? last = startAfter;
        while (true)
        {
            List<ObjectEntry> page = await CallAsync(
                new StoreCall(StoreOperation.List, prefix), () => Page(prefix, last, PageEntries), cancellation);
            foreach (ObjectEntry entry in page) yield return entry;
            if (page.Count < PageEntries) yield break;
            last = page[^1].Key;
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private List<ObjectEntry> Page(string prefix, string? after, int entriesMax) =>
    [
        .. _objects
            .Where(found => found.Key.StartsWith(prefix, StringComparison.Ordinal))
            .Where(found => after is null || string.CompareOrdinal(found.Key, after) > 0)
            .Take(entriesMax)
            .Select(found => new ObjectEntry(found.Key, found.Value.Length)),
    ];

    private async Task<T> CallAsync<T>(StoreCall call, Func<T> apply, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        (StoreFault? fault, TimeSpan latency) = Admit(call);
        if (latency > TimeSpan.Zero) await Task.Delay(latency, _time, cancellation);
        if (BeforeCall is { } before) await before(call, cancellation);
        if (Outage is { } outage) throw Injected("Outage", outage, call.Key);
        if (fault is { IsApplied: false }) throw Injected($"{fault.Value.Kind}", fault.Value.Kind, call.Key);

        T result;
        lock (_lock) result = apply();
        if (AfterCall is { } after) await after(call, cancellation);
        if (fault is not null) throw Injected("ReplyLost", fault.Value.Kind, call.Key);
        return result;
    }

    private (StoreFault? Fault, TimeSpan Latency) Admit(StoreCall call)
    {
        lock (_lock)
        {
            _calls.Add(call);
            StoreFaults faults = Faults;
            TimeSpan latency = faults.LatencyMin + ((faults.LatencyMax - faults.LatencyMin) * _random.NextDouble());
            return (TakeProgrammed(call) ?? DrawFault(call, faults), latency);
        }
    }

    private StoreFault? TakeProgrammed(StoreCall call)
    {
        for (var node = _programmed.First; node is not null; node = node.Next)
        {
            if (!node.Value.Matches(call)) continue;
            _programmed.Remove(node);
            return node.Value.Fault;
        }

        return null;
    }

    private StoreFault? DrawFault(StoreCall call, StoreFaults faults)
    {
        bool isRead = call.Operation is StoreOperation.Read or StoreOperation.TryRead;

        // One draw decides, so that the sequence of draws does not depend on which rates are set.
        double draw = _random.NextDouble();
        if ((draw -= faults.TransientRate) < 0) return new StoreFault(ObjectStoreErrorKind.Transient);
        if ((draw -= faults.ThrottledRate) < 0) return new StoreFault(ObjectStoreErrorKind.Throttled);
        if ((draw -= faults.ReplyLostRate) < 0) return StoreFault.ReplyLost;
        if (isRead && (draw -= faults.ShortBodyRate) < 0) return new StoreFault(ObjectStoreErrorKind.ShortBody);
        return null;
    }

    private void Alter(string key, Action<byte[]> change)
    {
        lock (_lock)
        {
            // Readers may still hold the old array.
            var copy = (byte[])_objects[key].Clone();
            change(copy);
            _objects[key] = copy;
        }
    }

    private ObjectStoreException Injected(string name, ObjectStoreErrorKind kind, string key)
    {
        lock (_lock) _faultCounts[name] = _faultCounts.GetValueOrDefault(name) + 1;
        return Failure(kind, key);
    }

    private ObjectStoreException Failure(ObjectStoreErrorKind kind, string key) =>
        new(kind, $"Simulated failure ({kind}) of '{key}' in {Location}.");
}
