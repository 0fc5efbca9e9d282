using ZeroFlow.Stages.Journal;

namespace ZeroFlow.TestKit.Engine;

/// <summary>
/// A WAL's directory as one process sees it: it can be killed, after which it changes nothing more, and its device can
/// fail to sync. Thread-safe.
/// </summary>
public sealed class CrashableWalDisk(IWalDisk disk) : IWalDisk, IDisposable
{
    private readonly ReaderWriterLockSlim _alive = new();
    private bool _isCut;
    private int _syncs;

    /// <summary>While set, every sync of a file fails with it.</summary>
    public IOException? SyncFault { get; set; }

    /// <summary>While set, every write to a file fails with it and has no effect.</summary>
    public IOException? WriteFault { get; set; }

    /// <summary>While set, there is no room for another file.</summary>
    public bool IsFull { get; set; }

    /// <summary>Syncs of files so far.</summary>
    public int Syncs => Volatile.Read(ref _syncs);

    /// <inheritdoc/>
    public string Location => disk.Location;

    /// <summary>The kill: when this returns, nothing that the process does reaches the directory.</summary>
    public void Cut()
    {
        _alive.EnterWriteLock();
        _isCut = true;
        _alive.ExitWriteLock();
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List() => Alive(disk.List);

    /// <inheritdoc/>
    public IWalFile Create(string name, long sizeBytes) => Alive(() => IsFull
        ? throw new WalDiskFullException($"No room in {Location}.")
        : new CrashableFile(this, disk.Create(name, sizeBytes)));

    /// <inheritdoc/>
    public void Rename(string from, string to) => Alive(() => disk.Rename(from, to));

    /// <inheritdoc/>
    public IWalFile Open(string name) => Alive(() => new CrashableFile(this, disk.Open(name)));

    /// <inheritdoc/>
    public void ReplaceSmallFile(string name, ReadOnlySpan<byte> content)
    {
        byte[] copy = content.ToArray();
        Alive(() => disk.ReplaceSmallFile(name, copy));
    }

    /// <inheritdoc/>
    public byte[]? TryReadSmallFile(string name) => Alive(() => disk.TryReadSmallFile(name));

    /// <inheritdoc/>
    public void Delete(string name) => Alive(() => disk.Delete(name));

    /// <inheritdoc/>
    public string SetAside(IReadOnlyList<string> names, string reason) => Alive(() => disk.SetAside(names, reason));

    /// <summary>Lets go of the lock; the directory under it stays with its owner.</summary>
    public void Dispose() => _alive.Dispose();

    private void Alive(Action change) => Alive(() =>
    {
        change();
        return true;
    });

    private T Alive<T>(Func<T> work)
    {
        _alive.EnterReadLock();
        try
        {
            return _isCut ? throw new IOException("This process was killed.") : work();
        }
        finally
        {
            _alive.ExitReadLock();
        }
    }

    private sealed class CrashableFile(CrashableWalDisk owner, IWalFile file) : IWalFile
    {
        public long Length => file.Length;

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            owner._alive.EnterReadLock();
            try
            {
                if (owner._isCut) throw new IOException("This process was killed.");
                if (owner.WriteFault is { } fault) throw fault;
                file.Write(offset, bytes);
            }
            finally
            {
                owner._alive.ExitReadLock();
            }
        }

        public int Read(long offset, Span<byte> bytes) => file.Read(offset, bytes);

        public void Sync() => owner.Alive(() =>
        {
            Interlocked.Increment(ref owner._syncs);
            if (owner.SyncFault is { } fault) throw fault;
            file.Sync();
        });

        public void Dispose() => file.Dispose();
    }
}
