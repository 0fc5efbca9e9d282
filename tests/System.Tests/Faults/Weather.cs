using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Faults;

/// <summary>
/// A network and a service that change all the time, by seed: calm, slow, full of resets, throttled, lying, away. Each
/// spell lasts for a second or so.
/// </summary>
internal sealed class Weather(S3Proxy proxy, int seed)
{
    private readonly Random _random = new(seed);

    /// <summary>What the weather has been, for messages.</summary>
    public List<string> Spells { get; } = [];

    /// <summary>Changes until it is stopped, and leaves fair weather behind.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var milliseconds = Turn();
            await Task.WhenAny(Task.Delay(milliseconds, stop));
        }

        Clear();
    }

    private int Turn()
    {
        Clear();
        var kinds = Require.Long ? 8 : 7;
        var spell = _random.Next(kinds);
        var (name, milliseconds) = spell switch
        {
            0 => ("calm", _random.Next(200, 800)),
            1 => ("slow", Slow()),
            2 => ("resets", Faults((S3Fault.Refused, 100), (S3Fault.RequestCut, 150), (S3Fault.ReplyLost, 150))),
            3 => ("throttled", Faults((S3Fault.SlowDown, 700))),
            4 => ("errors", Faults((S3Fault.InternalError, 200), (S3Fault.ShortBody, 200), (S3Fault.ReplyLost, 100))),
            5 => ("late", Faults((S3Fault.Late, 300), (S3Fault.ReplyLost, 50))),
            6 => ("away", Faults((S3Fault.Refused, 1000))),
            _ => ("stalls", Faults((S3Fault.Stalled, 30), (S3Fault.Silent, 30))),
        };
        Spells.Add(name);
        return milliseconds;
    }

    private int Slow()
    {
        proxy.Latency = TimeSpan.FromMilliseconds(_random.Next(20, 400));
        proxy.Bandwidth = _random.Next(1, 8) * 1024 * 1024;
        return _random.Next(200, 1000);
    }

    private int Faults(params (S3Fault Fault, int Permille)[] rates)
    {
        proxy.Lateness = TimeSpan.FromMilliseconds(_random.Next(300, 5000));
        proxy.Choose = new FaultMix(_random.Next(), rates).Choose;
        return _random.Next(200, Require.Long ? 4000 : 800);
    }

    private void Clear()
    {
        proxy.Choose = _ => S3Fault.None;
        proxy.Latency = TimeSpan.Zero;
        proxy.Bandwidth = 0;
    }
}
