#pragma warning disable
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Keys;
namespace ZeroFlow.Stages.Reading {
internal sealed class FrameDiskCache : IAsyncDisposable { public static FrameDiskCache? TryOpen(string? d, long b, BufferPool p, PipelineMetrics m, ILogger l) => null; public void Insert(FrameKey k, ReadOnlySpan<byte> s) {} public ValueTask DisposeAsync() => default; }
internal sealed class FrameMemoryCache { public FrameMemoryCache(long b, PipelineMetrics m) {} public bool TryGet(FrameKey k, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BufferLease? l) { l = null; return false; } }
internal sealed class FrameReader : IAsyncDisposable { IObjectStore o; IFrameOpener f; BufferPool b; public FrameReader(IObjectStore o, IFrameOpener f, FrameMemoryCache m, FrameDiskCache? d, BufferPool b, long r, PipelineMetrics pm) { this.o=o; this.f=f; this.b=b; }
 public async ValueTask<BufferLease> ReadAsync(FrameRef r, CancellationToken c) { var s = new byte[r.SealedBytes]; await o.ReadRangeAsync(f.ObjectKeyOf(r.Key.Table), r.ObjectOffset, s, c); var l = b.Rent(r.PlainBytes); f.Open(r, s, l.Span); return l; }
 public Task FetchRunAsync(IReadOnlyList<FrameRef> r, CancellationToken c) => Task.CompletedTask; public void Prefetch(IReadOnlyList<FrameRef> r) {} public ValueTask DisposeAsync() => default; }
internal sealed class ReadAheadDetector { public ReadAheadDetector(long a, int c, long d) {} public BlockRange Observe(BlockRange r) => default; }
}
namespace ZeroFlow.Stages.Journal {
public readonly record struct WriterTerm(uint Epoch, Guid Session);
public sealed record WalTerm(Guid StoreId, IReadOnlyList<WriterTerm> Terms);
public static class WalTermFile { public static WalTerm? Read(IWalDisk d) => null; public static void Write(IWalDisk d, WalTerm t) {} }
public delegate void WalReplay(in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload);
public sealed class WriteAheadLog : IWriteAheadLog {
 public static WriteAheadLog Open(IWalDisk d, byte[] k, Guid s, StoreOptions o, TimeProvider t, IEntropy e, ILoggerFactory l) => new();
 public void Replay(Sequence c, WalReplay r) {} public void StartEpoch(uint e, Guid s, ulong n, Sequence f) {}
 public static IReadOnlyList<string> SegmentFiles(IWalDisk d) => [];
 public int PayloadBytesMax => 256*1024; public long BytesOnDisk => 0; public int RecordBytes(int p) => p + 96;
 public ValueTask ReserveAsync(long b, CancellationToken c) => default; public WalPosition Append(in WalRecordHeader h, ReadOnlySpan<byte> p) => default;
 public ValueTask HandOverAsync() => default; public void Sync() {} public ValueTask<bool> TryReadAsync(WalPosition p, WalRecordHeader h, Memory<byte> d) => new(false); public void Release(Sequence s) {} public ValueTask DisposeAsync() => default; }
}
