using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.CompilerServices;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

/// <summary>
/// Tables of frames in memory behind the interfaces of a bucket and an opener: counts GETs, holds them back, and spoils
/// them on demand. A sealed frame is a checksum over name and content, twelve bytes of padding, and the content.
/// </summary>
internal sealed class FrameBucket : IObjectStore, IFrameOpener
{
    public const int TagBytes = 16;

    private readonly ConcurrentDictionary<string, byte[]> _objects = new();
    private int _gets;
    private int _active;
    private int _activeMax;

    public string Location => "memory";

    public int Gets => Volatile.Read(ref _gets);

    public int ActiveMax => Volatile.Read(ref _activeMax);

    public int Active => Volatile.Read(ref _active);

    public ConcurrentQueue<(string Key, long Offset, int Length)> Log { get; } = new();

    /// <summary>What a GET waits for before it is answered.</summary>
    public Func<string, long, Task> Hold { get; set; } = static (_, _) => Task.CompletedTask;

    /// <summary>What is done to the bytes of a GET: its number, the offset, the bytes.</summary>
    public Action<int, long, Memory<byte>> Spoil { get; set; } = static (_, _, _) => { };

    /// <summary>Puts a table of frames into the bucket, <paramref name="gap"/> bytes apart.</summary>
    public FrameRef[] AddTable(int table, int frames, int plainBytes, int gap = 0)
    {
        int stride = plainBytes + TagBytes + gap;
        byte[] body = new byte[frames * stride];
        var refs = new FrameRef[frames];
        for (int i = 0; i < frames; i++)
        {
            refs[i] = new FrameRef(
                new FrameKey(table, i), i * (long)stride, plainBytes + TagBytes, FrameEncoding.Raw,
                new ExportId(1), i * (long)plainBytes, plainBytes);
            byte[] plain = PlainOf(refs[i]);
            Span<byte> target = body.AsSpan(i * stride, plainBytes + TagBytes);
            plain.CopyTo(target[TagBytes..]);
            BinaryPrimitives.WriteUInt32LittleEndian(target, TagOf(refs[i].Key, plain));
        }

        _objects[ObjectKeyOf(table)] = body;
        return refs;
    }

    public static byte[] PlainOf(in FrameRef frame)
    {
        byte[] plain = new byte[frame.PlainBytes];
        new Random((frame.Key.Table * 100_000) + frame.Key.Frame).NextBytes(plain);
        return plain;
    }

    public string ObjectKeyOf(int table) => $"table-{table}";

    public void Open(in FrameRef frame, ReadOnlySpan<byte> sealedBytes, Span<byte> plain)
    {
        sealedBytes[TagBytes..].CopyTo(plain);
        if (BinaryPrimitives.ReadUInt32LittleEndian(sealedBytes) != TagOf(frame.Key, plain))
            throw StorageFaultException.Corrupt($"Frame {frame.Key} is not what was sealed.");
    }

    public async Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        int number = Interlocked.Increment(ref _gets);
        Log.Enqueue((key, offset, destination.Length));
        int active = Interlocked.Increment(ref _active);
        for (int seen = ActiveMax; active > seen; seen = ActiveMax)
            if (Interlocked.CompareExchange(ref _activeMax, active, seen) == seen) break;
        try
        {
            await Hold(key, offset).WaitAsync(cancellation);
            if (!_objects.TryGetValue(key, out byte[]? body))
                throw new ObjectStoreException(ObjectStoreErrorKind.ObjectMissing, $"There is no {key}.");
            body.AsMemory((int)offset, destination.Length).CopyTo(destination);
            Spoil(number, offset, destination);
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }

    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        Task.FromResult(_objects.GetValueOrDefault(key));

    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        Task.FromResult(_objects.TryAdd(key, body.ToArray()));

    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        _objects[key] = body.ToArray();
        return Task.CompletedTask;
    }

    public Task DeleteAsync(string key, CancellationToken cancellation)
    {
        _objects.TryRemove(key, out _);
        return Task.CompletedTask;
    }

    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await Task.CompletedTask;
        foreach ((string key, byte[] body) in _objects.OrderBy(static entry => entry.Key, StringComparer.Ordinal))
        {
            bool isListed = key.StartsWith(prefix, StringComparison.Ordinal)
                && string.CompareOrdinal(key, startAfter) > 0;
            if (isListed) yield return new ObjectEntry(key, body.Length);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static uint TagOf(FrameKey key, ReadOnlySpan<byte> plain)
    {
        uint crc = BitOperations.Crc32C(BitOperations.Crc32C(~0u, (uint)key.Table), (uint)key.Frame);
        foreach (byte value in plain) crc = BitOperations.Crc32C(crc, value);
        return crc;
    }
}
