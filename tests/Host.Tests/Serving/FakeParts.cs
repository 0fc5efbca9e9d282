using System.Diagnostics.CodeAnalysis;
using System.Net;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Tests.Serving;

/// <summary>Parts that write down what is asked of them, in order, and fail or wait where a test says so.</summary>
internal sealed class FakeParts : IServerParts, IStoreEngine, INbdEndpoint, IExportDirectory
{
    private readonly TaskCompletionSource<StorageFaultException> _fatal =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<string> _calls = [];
    private readonly List<ExportInfo> _exports = [];

    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_calls) return [.. _calls];
        }
    }

    public Func<CancellationToken, Task> OnOpen { get; set; } = _ => Task.CompletedTask;

    public Func<Task> OnListen { get; set; } = () => Task.CompletedTask;

    public Func<Task> OnDrain { get; set; } = () => Task.CompletedTask;

    public StopSummary Left { get; set; } = new(EverythingPublished: true, 0);

    public IExportDirectory Exports => this;

    public Task<StorageFaultException> Fatal => _fatal.Task;

    public IPEndPoint? ListeningOn { get; private set; }

    public void Break(StorageFaultException fault) => _fatal.SetResult(fault);

    public void AddExport(string name) =>
        _exports.Add(new ExportInfo(new ExportId(1), name, 1 << 20, 131072, DurabilityLevel.Journaled));

    public async Task<IStoreEngine> OpenStoreAsync(CancellationToken cancellation)
    {
        Note("open");
        await OnOpen(cancellation);
        return this;
    }

    public Task EnsureExportAsync(ExportSpec export, CancellationToken cancellation)
    {
        Note($"export {export.Name}");
        AddExport(export.Name);
        return Task.CompletedTask;
    }

    public INbdEndpoint CreateNbd(IExportDirectory exports) => this;

    public async Task StartAsync(CancellationToken cancellation)
    {
        Note("listen");
        await OnListen();
        ListeningOn = new IPEndPoint(IPAddress.Loopback, 4711);
    }

    public Task StopAsync(TimeSpan drain)
    {
        Note($"drain {drain.TotalSeconds:0}s");
        return OnDrain();
    }

    Task<StopSummary> IStoreEngine.StopAsync(TimeSpan timeout)
    {
        Note($"stop {timeout.TotalSeconds:0}s");
        return Task.FromResult(Left);
    }

    public IReadOnlyList<ExportInfo> List() => _exports;

    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        device = null;
        return false;
    }

    public ValueTask DisposeAsync()
    {
        Note("dispose");
        return ValueTask.CompletedTask;
    }

    private void Note(string call)
    {
        lock (_calls) _calls.Add(call);
    }
}
