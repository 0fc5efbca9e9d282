using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Peers;

namespace ZeroFlow.Perf.Pgbench;

/// <summary>Looks at a ZeroFlow server's lag several times a second, from its construction until it is asked.</summary>
internal sealed class LagSampler
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly StoreMeter _meter;
    private readonly Thread _thread;
    private volatile bool _isOver;
    private double _largest;

    public LagSampler(StoreMeter meter)
    {
        _meter = meter;
        _thread = new Thread(Sample) { IsBackground = true, Name = "lag" };
        _thread.Start();
    }

    /// <summary>Ends the sampling; the largest lag that was seen, in seconds.</summary>
    public double Stop()
    {
        _isOver = true;
        _thread.Join();
        return _largest;
    }

    private void Sample()
    {
        while (!_isOver)
        {
            try
            {
                _largest = Math.Max(_largest, _meter.LagSeconds());
            }
            catch (NbdException)
            {
                // A server that is away for a moment fails the measurement elsewhere.
            }

            Thread.Sleep(Pause);
        }
    }
}
