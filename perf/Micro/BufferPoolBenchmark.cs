using BenchmarkDotNet.Attributes;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Micro;

/// <summary>Renting and returning one buffer, alone and with others out.</summary>
public class BufferPoolBenchmark
{
    private const int Out = 32;

    private readonly BufferPool _pool = new(256 << 20);
    private readonly BufferLease[] _leases = new BufferLease[Out];

    [Params(4096, 128 * 1024)]
    public int Bytes { get; set; }

    [Benchmark]
    public void RentAndRelease() => _pool.Rent(Bytes).Release();

    [Benchmark(OperationsPerInvoke = Out)]
    public void RentManyAndRelease()
    {
        for (var at = 0; at < Out; at++) _leases[at] = _pool.Rent(Bytes);
        foreach (var lease in _leases) lease.Release();
    }
}
