using System.Runtime.ExceptionServices;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

/// <summary>The threads of one run, one for each connection's loop. The first loop to fail stops the others.</summary>
internal sealed class LoopThreads
{
    private readonly Thread[] _threads;
    private ExceptionDispatchInfo? _fault;

    private LoopThreads(IEnumerable<RequestLoop> loops, LoadWindow window) =>
        _threads = [.. loops.Select(loop => new Thread(() => Run(loop, window)) { IsBackground = true })];

    public static LoopThreads Start(IEnumerable<RequestLoop> loops, LoadWindow window)
    {
        var started = new LoopThreads(loops, window);
        foreach (var thread in started._threads) thread.Start();
        return started;
    }

    /// <summary>Waits for all of them.</summary>
    /// <exception cref="NbdException">A connection failed; the others were stopped.</exception>
    public void Join()
    {
        foreach (var thread in _threads) thread.Join();
        _fault?.Throw();
    }

    private void Run(RequestLoop loop, LoadWindow window)
    {
        try
        {
            loop.Run();
        }
        catch (NbdException exception)
        {
            Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(exception), null);
            window.Stop();
        }
    }
}
