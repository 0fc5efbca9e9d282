using ZeroFlow.Stages.Journal;

namespace ZeroFlow.TestKit.Journal;

/// <summary>
/// A WAL directory in memory that knows, sector by sector, what a power loss may take away: what was written and not
/// synced. Directory changes are durable on return, as <see cref="IWalDisk"/> promises. Thread-safe.
/// </summary>
public sealed class SimulatedWalDisk : IWalDisk
{
    /// <summary>The unit in which a disk keeps, loses or tears a write.</summary>
    public const int SectorBytes = 512;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, Content> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SortedDictionary<string, Content>> _setAside = [];

    /// <inheritdoc/>
    public string Location => "simulated-wal";

    /// <summary>Bytes that all files together may have; <see cref="Create"/> beyond it finds the disk full.</summary>
    public long CapacityBytes { get; set; } = long.MaxValue;

    /// <summary>Writes that still succeed before every one fails; null for no fault.</summary>
    public int? WritesBeforeFault { get; set; }

    /// <summary>Sectors that losses of power took from this disk.</summary>
    public int SectorsLost { get; private set; }

    /// <summary>Sectors that losses of power left half written.</summary>
    public int SectorsTorn { get; private set; }

    /// <summary>Syncs that still succeed before one fails and drops what it should have kept; null for no fault.</summary>
    public int? SyncsBeforeFault { get; set; }

    /// <summary>Makes <see cref="Create"/> fail with an error other than a full disk.</summary>
    public bool CreateFails { get; set; }

    /// <summary>Runs inside each sync, before it takes effect: a place to wait or to look.</summary>
    public Action? OnSync { get; set; }

    /// <summary>Runs inside each creation, before it takes effect.</summary>
    public Action? OnCreate { get; set; }

    /// <summary>Syncs that succeeded.</summary>
    public int Syncs { get; private set; }

    /// <summary>Files created so far.</summary>
    public int Creations { get; private set; }

    /// <summary>Names of the directories that <see cref="SetAside"/> made.</summary>
    public IReadOnlyCollection<string> SetAsidePlaces
    {
        get
        {
            lock (_lock) return [.. _setAside.Keys];
        }
    }

    /// <summary>The names in a directory that <see cref="SetAside"/> made.</summary>
    public IReadOnlyCollection<string> FilesIn(string place)
    {
        lock (_lock) return [.. _setAside[place].Keys];
    }

    /// <summary>The disk as the next process finds it when this one is killed: all that was written is there.</summary>
    public SimulatedWalDisk Kill() => CopyWith(static content => content.Copy());

    /// <summary>
    /// The disk after power loss: each sector that was written and not synced is kept, lost or torn, as
    /// <paramref name="seed"/> has it.
    /// </summary>
    public SimulatedWalDisk Crash(int seed)
    {
        var random = new Random(seed);
        double kept = random.Next(4) switch { 0 => 0, 1 => 0.98, 2 => 1, _ => random.NextDouble() };
        return CopyWith(content =>
        {
            (Content after, int lost, int torn) = content.AfterPowerLoss(random, kept);
            SectorsLost += lost;
            SectorsTorn += torn;
            return after;
        });
    }

    /// <summary>The bytes of a file themselves, for a test that damages them.</summary>
    public byte[] BytesOf(string name)
    {
        lock (_lock) return _files[name].Bytes;
    }

    /// <summary>Cuts a file to <paramref name="length"/> bytes.</summary>
    public void Truncate(string name, int length)
    {
        lock (_lock) _files[name].Bytes = _files[name].Bytes[..length];
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List()
    {
        lock (_lock) return [.. _files.Keys];
    }

    /// <inheritdoc/>
    public IWalFile Create(string name, long sizeBytes)
    {
        OnCreate?.Invoke();
        lock (_lock)
        {
            if (CreateFails) throw new IOException("Simulated: the file cannot be made.");
            if (_files.Values.Sum(f => (long)f.Bytes.Length) + sizeBytes > CapacityBytes)
                throw new WalDiskFullException("Simulated: no room.");
            Creations++;
            return new Handle(this, _files[name] = new Content(new byte[sizeBytes]));
        }
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        lock (_lock)
        {
            if (!_files.Remove(from, out Content? content)) throw new FileNotFoundException(from);
            _files[to] = content;
        }
    }

    /// <inheritdoc/>
    public IWalFile Open(string name)
    {
        lock (_lock) return new Handle(this, _files[name]);
    }

    /// <inheritdoc/>
    public void ReplaceSmallFile(string name, ReadOnlySpan<byte> content)
    {
        lock (_lock) _files[name] = new Content(content.ToArray());
    }

    /// <inheritdoc/>
    public byte[]? TryReadSmallFile(string name)
    {
        lock (_lock) return _files.TryGetValue(name, out Content? content) ? [.. content.Bytes] : null;
    }

    /// <inheritdoc/>
    public void Delete(string name)
    {
        lock (_lock) _files.Remove(name);
    }

    /// <inheritdoc/>
    public string SetAside(IReadOnlyList<string> names, string reason)
    {
        lock (_lock)
        {
            string place = $"{Location}.{reason}.{_setAside.Count + 1}";
            var files = _setAside[place] = new SortedDictionary<string, Content>(StringComparer.Ordinal);
            foreach (string name in names)
            {
                files[name] = _files[name];
                _files.Remove(name);
            }

            return place;
        }
    }

    private SimulatedWalDisk CopyWith(Func<Content, Content> copy)
    {
        var next = new SimulatedWalDisk();
        lock (_lock)
        {
            foreach (var (name, content) in _files) next._files[name] = copy(content);
            foreach (var (place, files) in _setAside)
                next._setAside[place] = new SortedDictionary<string, Content>(files, StringComparer.Ordinal);
        }

        return next;
    }

    private void Write(Content content, long offset, ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (WritesBeforeFault is { } left)
            {
                if (left == 0) throw new IOException("Simulated: the write failed.");
                WritesBeforeFault = left - 1;
            }

            content.Write(offset, bytes);
        }
    }

    private void Sync(Content content)
    {
        OnSync?.Invoke();
        lock (_lock)
        {
            if (SyncsBeforeFault is { } left)
            {
                SyncsBeforeFault = left - 1;
                if (left == 0)
                {
                    // As the kernel does: the error is told once, and the pages that it could not write are given up.
                    SyncsBeforeFault = null;
                    content.GiveUpUnsynced();
                    throw new IOException("Simulated: the sync failed.");
                }
            }

            content.Unsynced.Clear();
            Syncs++;
        }
    }

    private sealed class Content(byte[] bytes)
    {
        public byte[] Bytes { get; set; } = bytes;

        // Sector number to what stable storage still has there.
        public Dictionary<int, byte[]> Unsynced { get; private init; } = [];

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            for (long at = offset / SectorBytes * SectorBytes; at < offset + bytes.Length; at += SectorBytes)
                Unsynced.TryAdd((int)(at / SectorBytes), SectorAt(at).ToArray());
            bytes.CopyTo(Bytes.AsSpan((int)offset));
        }

        public Content Copy() => new([.. Bytes]) { Unsynced = new Dictionary<int, byte[]>(Unsynced) };

        public void GiveUpUnsynced()
        {
            foreach (var (sector, stable) in Unsynced) stable.CopyTo(SectorAt((long)sector * SectorBytes));
            Unsynced.Clear();
        }

        public (Content After, int Lost, int Torn) AfterPowerLoss(Random random, double kept)
        {
            Content after = new([.. Bytes]);
            int lost = 0, torn = 0;
            foreach (var (sector, stable) in Unsynced.OrderBy(entry => entry.Key))
            {
                if (random.NextDouble() < kept) continue;
                int from = random.Next(4) == 0 ? random.Next(stable.Length) : 0;
                stable.AsSpan(from).CopyTo(after.SectorAt((long)sector * SectorBytes)[from..]);
                lost += from == 0 ? 1 : 0;
                torn += from == 0 ? 0 : 1;
            }

            return (after, lost, torn);
        }

        private Span<byte> SectorAt(long at) => Bytes.AsSpan((int)at, (int)Math.Min(SectorBytes, Bytes.Length - at));
    }

    private sealed class Handle(SimulatedWalDisk disk, Content content) : IWalFile
    {
        private volatile bool _closed;

        public long Length => content.Bytes.Length;

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            disk.Write(content, offset, bytes);
        }

        public int Read(long offset, Span<byte> bytes)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            lock (disk._lock)
            {
                int count = (int)Math.Clamp(content.Bytes.Length - offset, 0, bytes.Length);
                content.Bytes.AsSpan((int)Math.Min(offset, content.Bytes.Length), count).CopyTo(bytes);
                return count;
            }
        }

        public void Sync()
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            disk.Sync(content);
        }

        public void Dispose() => _closed = true;
    }
}
