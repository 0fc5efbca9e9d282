using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

// One WAL over its whole life, crashes included, beside a model of what was appended, handed over, synced and committed.
internal sealed class WalBench : IAsyncDisposable
{
    public const int SegmentBytes = 1024 * 1024;
    public static readonly Guid StoreId = Guid.Parse("11111111-2222-3333-4444-555555555555");
    public static readonly byte[] RootKey = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    private readonly Dictionary<ulong, Record> _records = [];
    private readonly Random _random;
    private uint _epoch;

    public WalBench(int seed = 1) => _random = new Random(seed);

    public SimulatedWalDisk Disk { get; set; } = new();

    public StoreOptions Options { get; init; } = new() { WalSegmentBytes = SegmentBytes };

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public WriteAheadLog Wal { get; private set; } = null!;

    public ulong Last { get; private set; }

    public ulong HandedOver { get; private set; }

    public ulong Synced { get; private set; }

    public ulong Committed { get; private set; }

    public List<ulong> Replayed { get; } = [];

    public Record this[ulong sequence] => _records[sequence];

    public static IEntropy Entropy(int seed) => new SeededEntropy(seed);

    // Opens the WAL that the disk holds, checks each replayed record against the model, and starts the next epoch.
    public async Task OpenAsync(byte[]? rootKey = null)
    {
        Replay(rootKey);
        Assert.InRange(Last, Synced, HandedOver);
        HandedOver = Synced = Last;
        await Wal.StartEpochAsync(++_epoch, NewGuid(), _epoch * 100, TestContext.Current.CancellationToken);
    }

    public void Replay(byte[]? rootKey = null)
    {
        Wal = new WriteAheadLog(
            Disk, rootKey ?? RootKey, StoreId, Options, Time, Entropy(_random.Next()), NullLogger.Instance);
        Replayed.Clear();
        ulong expected = Committed;
        Wal.Replay(new Sequence(Committed), (in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload) =>
        {
            Assert.Equal(++expected, header.Sequence.Value);
            Record record = _records[expected];
            Assert.Equal(record.Header, header);
            Assert.True(payload.SequenceEqual(record.Payload));
            _records[expected] = record with { Position = position };
            Replayed.Add(expected);
        });
        Last = expected;
    }

    public async Task<Record> AppendAsync(int payloadBytes, WalRecordKind kind = WalRecordKind.Data)
    {
        byte[] payload = new byte[payloadBytes];
        _random.NextBytes(payload);
        var header = new WalRecordHeader(
            new Sequence(Last + 1), kind, new ExportId(kind == WalRecordKind.Catalog ? 0 : 7u),
            kind == WalRecordKind.Catalog ? 0 : _random.NextInt64(1L << 40),
            kind switch { WalRecordKind.Data => payloadBytes, WalRecordKind.Zero => 1L << 30, _ => 0 });
        await Wal.ReserveAsync(Wal.RecordBytes(payloadBytes), TestContext.Current.CancellationToken);
        WalPosition position = Wal.Append(header, payload);
        Last++;
        return _records[Last] = new Record(header, payload, position);
    }

    public Task<Record> AppendRandomAsync() => _random.Next(10) switch
    {
        0 => AppendAsync(0, WalRecordKind.Zero),
        1 => AppendAsync(_random.Next(1, 600), WalRecordKind.Catalog),
        2 => AppendAsync(_random.Next(1, WriteAheadLog.RecordPayloadBytesMax + 1)),
        3 => AppendAsync(WriteAheadLog.RecordPayloadBytesMax),
        _ => AppendAsync(_random.Next(1, 20_000)),
    };

    public async Task HandOverAsync()
    {
        await Wal.HandOverAsync();
        HandedOver = Last;
    }

    public void Sync()
    {
        ulong point = HandedOver;
        Wal.Sync();
        Synced = point;
    }

    public void Release(ulong through)
    {
        Committed = through;
        Wal.Release(new Sequence(through));
    }

    // Appends, hands over, syncs and releases at random.
    public async Task RunAsync(int steps)
    {
        for (int step = 0; step < steps; step++)
        {
            for (int batch = _random.Next(1, 6); batch > 0; batch--) await AppendRandomAsync();
            await HandOverAsync();
            if (_random.Next(3) == 0) Sync();

            // What is in the bucket is committed, synced or not.
            if (_random.Next(8) == 0) Release(Committed + (ulong)_random.NextInt64((long)(HandedOver - Committed) + 1));
        }
    }

    public async Task CrashAsync(int seed)
    {
        SimulatedWalDisk after = Disk.Crash(seed);
        await Wal.DisposeAsync();
        Disk = after;
        Synced = Math.Max(Synced, Committed);
    }

    public async Task KillAsync()
    {
        SimulatedWalDisk after = Disk.Kill();
        await Wal.DisposeAsync();
        Disk = after;
        Synced = HandedOver;
    }

    public async Task AssertReadsBackAsync(ulong sequence)
    {
        Record record = _records[sequence];
        byte[] read = new byte[record.Payload.Length];
        Assert.True(await Wal.TryReadAsync(record.Position, record.Header, read));
        Assert.Equal(record.Payload, read);
    }

    public ValueTask DisposeAsync() => Wal.DisposeAsync();

    private Guid NewGuid()
    {
        byte[] bytes = new byte[16];
        _random.NextBytes(bytes);
        return new Guid(bytes);
    }

    internal sealed record Record(WalRecordHeader Header, byte[] Payload, WalPosition Position);

    private sealed class SeededEntropy(int seed) : IEntropy
    {
        private readonly Random _random = new(seed);
        private readonly Lock _lock = new();

        public void Fill(Span<byte> bytes)
        {
            lock (_lock) _random.NextBytes(bytes);
        }
    }
}
