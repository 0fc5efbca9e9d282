using BenchmarkDotNet.Attributes;
using ZeroFlow.Nbd.Connections;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Micro;

/// <summary>
/// Replies to reads gathered for one send: small payloads are copied, large ones are sent from where they are.
/// </summary>
public class ReplyBatchBenchmark
{
    private const int Replies = 16;

    private readonly BufferPool _pool = new(64 << 20);
    private readonly NbdRequest[] _requests =
        [.. Enumerable.Range(0, Replies).Select(_ => new NbdRequest(static _ => { }))];

    private ReplyBatch _batch = null!;

    [Params(4096, 128 * 1024)]
    public int PayloadBytes { get; set; }

    // A name, because benchmarks are public and the forms are not.
    [Params(nameof(ReplyForm.Simple), nameof(ReplyForm.Structured), nameof(ReplyForm.Extended))]
    public string Form { get; set; } = nameof(ReplyForm.Simple);

    [GlobalSetup]
    public void Prepare()
    {
        _batch = new ReplyBatch(_pool.Rent(256 * 1024), Replies, Enum.Parse<ReplyForm>(Form));
        foreach (var (at, request) in _requests.Index())
            request.Header = new RequestHeader(default, NbdCommand.Read, (ulong)at, 0, (ulong)PayloadBytes, HasPayload: false);
    }

    [GlobalCleanup]
    public void Release() => _batch.Release();

    [Benchmark(OperationsPerInvoke = Replies)]
    public int Gather()
    {
        foreach (var request in _requests)
        {
            request.Payload = _pool.Rent(PayloadBytes);
            _batch.Append(request, NbdError.None);
        }

        var pieces = _batch.TryGetSinglePiece(out _) ? 1 : _batch.TakePieces().Count;
        _batch.Reset();
        _batch.Requests.Clear();
        return pieces;
    }
}
