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
