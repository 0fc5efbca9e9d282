namespace ZeroFlow.Stages.Journal;

/// <summary>
/// Files for segments: used ones are kept to be used again, because filling a new one with zeros costs the disk as much
/// as the records that will be in it. Thread-safe.
/// </summary>
internal sealed class WalSpares : IDisposable
{
    // One to be prepared ahead, and one more for the time between a release and the next need.
    private const int SparesMin = 2;

    // A burst is followed by others: what a quarter of the WAL was once filled with zeros for is not deleted behind it.
    private const int SparesShare = 4;

    private readonly IWalDisk _disk;
    private readonly long _segmentBytes;
    private readonly int _sparesMax;
    private readonly Lock _lock = new();
    private readonly Stack<(string Name, IWalFile File)> _spares = new();
    private bool _closed;

    public WalSpares(IWalDisk disk, long segmentBytes, long walBytes)
    {
        _disk = disk;
        _segmentBytes = segmentBytes;
        _sparesMax = (int)Math.Max(SparesMin, walBytes / SparesShare / segmentBytes);
    }

    /// <summary>Bytes of files that wait.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock) return _spares.Count * _segmentBytes;
        }
    }

    /// <summary>Provides a file of this name, used before or new.</summary>
    /// <exception cref="WalDiskFullException">There is no room for a new one.</exception>
    public IWalFile Take(string name, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        (string Name, IWalFile File) spare;
        bool found;
        lock (_lock) found = _spares.TryPop(out spare);
        if (!found) return _disk.Create(name, _segmentBytes);

        // What a used file still holds carries other sequences under another salt: replay does not take it for records.
        _disk.Rename(spare.Name, name);
        return spare.File;
    }

    /// <summary>Takes a file that nobody reads any more; one that is not <paramref name="reusable"/> is deleted.</summary>
    public void Give(string name, IWalFile file, bool reusable)
    {
        lock (_lock)
        {
            if (reusable && !_closed && _spares.Count < _sparesMax && file.Length == _segmentBytes)
            {
                _spares.Push((name, file));
                return;
            }
        }

        file.Dispose();
        _disk.Delete(name);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            while (_spares.TryPop(out var spare)) spare.File.Dispose();
        }
    }
}
