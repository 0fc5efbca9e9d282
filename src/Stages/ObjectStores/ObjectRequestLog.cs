using System.Threading.Channels;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Tells whoever watches of every attempt on the object store. While nobody does, nothing is made and nothing kept.
/// Thread-safe.
/// </summary>
public sealed class ObjectRequestLog
{
    /// <summary>Most watchers at once; each costs the requests a little.</summary>
    public const int WatchersMax = 8;

    // At 2,000 requests a second, which is beyond what one server makes, two seconds of a watcher that looks away.
    internal const int EntriesMax = 4096;

    private readonly Lock _lock = new();
    private volatile Watcher[] _watchers = [];

    /// <summary>True while somebody watches.</summary>
    public bool IsWatched => _watchers.Length > 0;

    /// <summary>
    /// Begins to watch what <paramref name="isWanted"/> lets through; null when there are too many watchers. Dispose the
    /// watcher to end.
    /// </summary>
    public Watcher? Watch(Func<ObjectRequest, bool> isWanted)
    {
        lock (_lock)
        {
            if (_watchers.Length >= WatchersMax) return null;
            var watcher = new Watcher(this, isWanted);
            _watchers = [.. _watchers, watcher];
            return watcher;
        }
    }

    /// <summary>An attempt has ended. Never waits: who does not read in time loses the oldest entries.</summary>
    public void Add(ObjectRequest request)
    {
        foreach (Watcher watcher in _watchers) watcher.Add(request);
    }

    private void Remove(Watcher watcher)
    {
        lock (_lock) _watchers = [.. _watchers.Where(other => other != watcher)];
    }

    /// <summary>One who watches. Entries wait for it up to a bound; beyond, the oldest are lost and counted.</summary>
    public sealed class Watcher : IDisposable
    {
        private readonly ObjectRequestLog _log;
        private readonly Func<ObjectRequest, bool> _isWanted;
        private readonly Channel<ObjectRequest> _entries;
        private long _lost;

        internal Watcher(ObjectRequestLog log, Func<ObjectRequest, bool> isWanted)
        {
            _log = log;
            _isWanted = isWanted;
            _entries = Channel.CreateBounded<ObjectRequest>(
                new BoundedChannelOptions(EntriesMax) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true },
                _ => Interlocked.Increment(ref _lost));
        }

        /// <summary>The entries, in the order in which their attempts ended.</summary>
        public ChannelReader<ObjectRequest> Entries => _entries.Reader;

        /// <summary>Entries that were lost since this was last asked.</summary>
        public long TakeLost() => Interlocked.Exchange(ref _lost, 0);

        /// <summary>Ends the watching, and the entries.</summary>
        public void Dispose()
        {
            _log.Remove(this);
            _entries.Writer.TryComplete();
        }

        internal void Add(ObjectRequest request)
        {
            if (_isWanted(request)) _entries.Writer.TryWrite(request);
        }
    }
}
