using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Host.Live;

/// <summary>
/// A frame a second, made once for all viewers, and only while there are any; at once when the server enters another phase.
/// A viewer that does not keep up misses frames and costs nothing. Thread-safe.
/// </summary>
internal sealed class LiveFeed : IDisposable
{
    /// <summary>Most viewers at once: each holds one of the admin endpoint's connections.</summary>
    public const int ViewersMax = 16;

    /// <summary>Time between two frames.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly LiveSources _sources;
    private readonly LiveSampler _sampler;
    private readonly ILogger _log;
    private readonly List<Channel<LiveShot>> _viewers = [];
    private readonly CancellationTokenSource _closing = new();
    private bool _isRunning;
    private bool _isClosed;
    private LiveFrame? _last;

    /// <summary>Makes a feed that nobody watches yet.</summary>
    public LiveFeed(LiveSources sources, ILoggerFactory loggers)
    {
        _sources = sources;
        _sampler = new LiveSampler(sources);
        _log = loggers.CreateLogger("ZeroFlow.Live");
        sources.State.Changed += OnPhase;
    }

    /// <summary>Viewers that there are now.</summary>
    public int Viewers
    {
        get
        {
            lock (_lock) return _viewers.Count;
        }
    }

    /// <summary>
    /// The frames from now on; null when there are too many viewers. Ends with the feed. To be given back by
    /// <see cref="Leave"/>.
    /// </summary>
    /// <param name="beginsWithLast">The newest frame that others have comes at once; otherwise all are made after the call.</param>
    public ChannelReader<LiveShot>? Watch(bool beginsWithLast)
    {
        // The newest frame is the only one worth having.
        var viewer = Channel.CreateBounded<LiveShot>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_lock)
        {
            if (_isClosed) viewer.Writer.TryComplete();
            else if (_viewers.Count >= ViewersMax) return null;
            else _viewers.Add(viewer);
            if (_isClosed) return viewer.Reader;
            if (_isRunning)
            {
                if (beginsWithLast && _last is { } last) viewer.Writer.TryWrite(Serialized(last));
            }
            else
            {
                _isRunning = true;
                _ = BackgroundLoop.Start(RunAsync, OnLoopFault, _closing.Token);
            }
        }

        return viewer.Reader;
    }

    /// <summary>That viewer is gone.</summary>
    public void Leave(ChannelReader<LiveShot> reader)
    {
        lock (_lock) _viewers.RemoveAll(viewer => viewer.Reader == reader);
    }

    /// <summary>Ends the frames of all viewers: the server is going away. They have the last state already.</summary>
    public void Close()
    {
        lock (_lock)
        {
            if (_isClosed) return;
            _isClosed = true;
            foreach (Channel<LiveShot> viewer in _viewers) viewer.Writer.TryComplete();
        }

        _closing.Cancel();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sources.State.Changed -= OnPhase;
        Close();
        _closing.Dispose();
    }

    private async Task RunAsync(CancellationToken stopping)
    {
        while (true)
        {
            lock (_lock)
            {
                if (_viewers.Count == 0)
                {
                    // Whoever comes next must not see rates over the time in which nobody looked.
                    _sampler.Forget();
                    _last = null;
                    _isRunning = false;
                    return;
                }

                Show();
            }

            await Task.Delay(Interval, _sources.Time, stopping);
        }
    }

    // Called in the middle of the server's life, which must not end because somebody looks.
    private void OnPhase()
    {
        try
        {
            lock (_lock)
            {
                if (_viewers.Count > 0 && !_isClosed) Show();
            }
        }
        catch (Exception fault)
        {
            OnFault(fault);
        }
    }

    // Under the lock. Once the store is closed its numbers are gone: the last ones stay, under the newest state, and so does
    // that it was fenced, which nobody but the store knew.
    private void Show()
    {
        LiveFrame frame = _sources.Exports is null && _last is { Exports.Count: > 0 } last
            ? last with
            {
                State = last.State.Kind == LiveStates.Fenced ? last.State : LiveStates.Of(_sources.State.Current, null, last.Wal),
                Events = _sources.Events.Newest(),
                Server = last.Server with { At = _sources.Time.GetUtcNow() },
            }
            : _sampler.Take();
        _last = frame;
        LiveShot shot = Serialized(frame);
        foreach (Channel<LiveShot> viewer in _viewers) viewer.Writer.TryWrite(shot);
    }

    private static LiveShot Serialized(LiveFrame frame) =>
        new(frame.Server.HasRates, JsonSerializer.SerializeToUtf8Bytes(frame, LiveJson.Default.LiveFrame));

    private void OnLoopFault(Exception fault)
    {
        lock (_lock) _isRunning = false;
        OnFault(fault);
    }

    private void OnFault(Exception fault)
    {
        _log.LogError(fault, "The live view failed unexpectedly; it goes on for whoever looks again.");
        lock (_lock)
        {
            _last = null;
            foreach (Channel<LiveShot> viewer in _viewers) viewer.Writer.TryComplete();
            _viewers.Clear();
        }
    }
}

/// <summary>A frame as it is sent.</summary>
/// <param name="HasRates">False for a first one, before which there was nothing to compare with.</param>
/// <param name="Json">The frame, UTF-8.</param>
internal sealed record LiveShot(bool HasRates, ReadOnlyMemory<byte> Json);
