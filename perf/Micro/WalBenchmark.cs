using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;

namespace ZeroFlow.Micro;

/// <summary>
/// The WAL as the journal stage drives it: a batch of records sealed, appended and handed to the operating system, on a
/// real directory (that of TMPDIR). Without syncs; what is appended is released, so that segments are used again.
/// </summary>
public class WalBenchmark
{
    private const int BatchRecords = 32;

    private readonly string _path = Directory.CreateTempSubdirectory("zeroflow-micro-").FullName;
    private readonly byte[] _payload = new byte[128 * 1024];
    private WalDirectory _directory = null!;
    private WriteAheadLog _wal = null!;
    private ulong _sequence;

    [Params(4096, 128 * 1024)]
    public int PayloadBytes { get; set; }

    [GlobalSetup]
    public async Task OpenAsync()
    {
        new Random(1).NextBytes(_payload);
        _sequence = 0;
        var path = Directory.CreateDirectory(Path.Combine(_path, $"{PayloadBytes}-{Guid.NewGuid():N}")).FullName;
        _directory = new WalDirectory(path);
        _wal = new WriteAheadLog(
            _directory, new byte[32], Guid.NewGuid(), new StoreOptions(), TimeProvider.System, new SystemEntropy(),
            NullLogger.Instance);
        _wal.Replay(new Sequence(0), (in _, _, _) => { });
        await _wal.StartEpochAsync(1, Guid.NewGuid(), 1, CancellationToken.None);
    }

    [GlobalCleanup]
    public async Task CloseAsync()
    {
        await _wal.DisposeAsync();
        _directory.Dispose();
        Directory.Delete(_path, recursive: true);
    }

    [Benchmark(OperationsPerInvoke = BatchRecords)]
    public async Task AppendAndHandOverAsync()
    {
        for (var record = 0; record < BatchRecords; record++)
        {
            await _wal.ReserveAsync(_wal.RecordBytes(PayloadBytes), CancellationToken.None);
            var header = new WalRecordHeader(
                new Sequence(++_sequence), WalRecordKind.Data, new ExportId(1), (long)_sequence * PayloadBytes,
                PayloadBytes);
            _wal.Append(header, _payload.AsSpan(0, PayloadBytes));
        }

        await _wal.HandOverAsync();
        _wal.Release(new Sequence(_sequence));
    }
}
