using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Telemetry;
using ZeroFlow.Nbd.Tls;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Connections;

/// <summary>What all connections of a server share.</summary>
internal sealed record ConnectionServices(
    IExportDirectory Exports,
    NbdServerOptions Options,
    BufferPool Pool,
    ByteBudget SharedBudget,
    NbdMeter Meter,
    TimeProvider Time,
    ConnectionLog Log,
    StopSignal Stop,
    TlsCredentials? Tls,
    AccessPolicy Access);

/// <summary>Whether the server was asked to stop. Set once, read on every request.</summary>
internal sealed class StopSignal
{
    private volatile bool _isRequested;

    public bool IsRequested => _isRequested;

    public void Request()
    {
        _isRequested = true;

        // Pairs with the interlocked count of operations: either the connection sees the request, or the stopper sees
        // its operation.
        Interlocked.MemoryBarrier();
    }
}
