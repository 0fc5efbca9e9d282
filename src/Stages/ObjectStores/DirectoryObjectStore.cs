using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Objects as files below a directory: the embedded store, and the reference for what an object store promises.
/// Thread-safe, also between processes.
/// </summary>
/// <remarks>
/// A body is written to a temporary file, made stable, and then given its name with link(2), which fails when the name
/// is taken; the directory is made stable before the call returns. So an object is whole or absent after a power loss,
/// and one that was reported stays. File calls run on the thread pool and block one of its threads each: callers bound
/// how many are under way. Deletions are not made stable: an object may be back after a power loss.
/// </remarks>
internal sealed class DirectoryObjectStore : IObjectStore
{
    // Keys have no segment with a dot in front, so that no object can lie in here.
    private const string TemporaryDirectory = ".incoming";

    // A body takes seconds to write, and a file of a process that still runs must not be taken from under it.
    private static readonly TimeSpan LeftoverAge = TimeSpan.FromHours(1);

    private readonly string _root;
    private readonly string _temporary;
    private readonly TimeProvider _time;
    private readonly DirectWriter _direct = new();
    private readonly ConcurrentDictionary<string, bool> _stableDirectories = new(StringComparer.Ordinal);
    private long _temporaryNumber;

    private DirectoryObjectStore(string root, TimeProvider time)
    {
        _root = root;
        _temporary = Path.Combine(root, TemporaryDirectory);
        _time = time;
        Location = $"file://{root}";
    }

    /// <inheritdoc/>
    public string Location { get; }

    /// <summary>
    /// Opens the store in <paramref name="root"/>, an absolute path. Makes the directory when its parent exists, and
    /// removes temporary files that a crashed process left an hour ago or earlier.
    /// </summary>
    /// <exception cref="ObjectStoreException">The directory cannot be used; the message says why.</exception>
    public static DirectoryObjectStore Open(string root, TimeProvider time)
    {
        string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root));
        var store = new DirectoryObjectStore(path, time);
        try
        {
            store.MakeRoot();
            if (PosixFiles.TryMakeDirectory(store._temporary)) PosixFiles.SyncDirectory(path);
            store.RemoveLeftovers();
            return store;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DirectoryErrors.Classify(error, "open", "", store.Location, Directory.Exists(path));
        }
    }

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        string path = PathOf(key);
        return OnPool("read", key, () => ReadRange(key, path, offset, destination.Span), cancellation);
    }

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation)
    {
        string path = PathOf(key);
        return OnPool("read", key, () => TryRead(key, path, bytesMax), cancellation);
    }

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        string path = PathOf(key);
        return OnPool("create", key, () => TryCreate(path, body.Span), cancellation);
    }

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        string path = PathOf(key);
        return OnPool("write", key, () => Write(path, body.Span), cancellation);
    }

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation)
    {
        string path = PathOf(key);
        return OnPool("delete", key, () => Delete(path), cancellation);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        // Handing over whole pages keeps the walk off the caller's thread without a hop for each entry.
        const int PageEntries = 1000;
        using IEnumerator<ObjectEntry> walk = new DirectoryListing(_root, prefix, startAfter).Walk().GetEnumerator();
        while (true)
        {
            List<ObjectEntry> page = await OnPool("list", prefix, () => TakePage(walk, PageEntries), cancellation);
            foreach (ObjectEntry entry in page) yield return entry;
            if (page.Count < PageEntries) yield break;
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static List<ObjectEntry> TakePage(IEnumerator<ObjectEntry> walk, int entriesMax)
    {
        var page = new List<ObjectEntry>();
        while (page.Count < entriesMax && walk.MoveNext()) page.Add(walk.Current);
        return page;
    }

    private bool ReadRange(string key, string path, long offset, Span<byte> destination)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        int filled = ReadFully(file, destination, offset);
        if (filled < destination.Length)
        {
            throw new ObjectStoreException(
                ObjectStoreErrorKind.ShortBody,
                $"'{key}' in {Location} gave {filled} bytes at {offset} instead of {destination.Length}.");
        }

        return true;
    }

    private byte[]? TryRead(string key, string path, int bytesMax)
    {
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(path);
        }
        catch (IOException missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            // Without its root a store knows nothing about any object: that must not pass for "no such object".
            if (!Directory.Exists(_root)) throw;
            return null;
        }

        using (file)
        {
            long length = RandomAccess.GetLength(file);
            if (length > bytesMax)
            {
                throw new ObjectStoreException(
                    ObjectStoreErrorKind.Invalid,
                    $"'{key}' in {Location} has {length} bytes, more than the {bytesMax} that it may have.");
            }

            var body = new byte[length];
            if (ReadFully(file, body, 0) == length) return body;
            throw new ObjectStoreException(
                ObjectStoreErrorKind.ShortBody, $"'{key}' in {Location} became shorter while it was read.");
        }
    }

    private bool TryCreate(string path, ReadOnlySpan<byte> body)
    {
        string directory = MakeStableParents(path);
        string? temporary = File.Exists(path) ? null : WriteTemporary(body);
        bool created = false;
        try
        {
            created = temporary is not null && PosixFiles.TryLink(temporary, path);
        }
        finally
        {
            if (temporary is not null) PosixFiles.Unlink(temporary);
        }

        // Also for a name that was taken: its creator may not have come this far yet, and "exists" must stay true.
        PosixFiles.SyncDirectory(directory);
        return created;
    }

    private bool Write(string path, ReadOnlySpan<byte> body)
    {
        string directory = MakeStableParents(path);
        string temporary = WriteTemporary(body);
        try
        {
            PosixFiles.Rename(temporary, path);
        }
        catch
        {
            PosixFiles.Unlink(temporary);
            throw;
        }

        PosixFiles.SyncDirectory(directory);
        return true;
    }

    private bool Delete(string path)
    {
        if (!Directory.Exists(_root)) throw new DirectoryNotFoundException($"'{_root}' does not exist.");
        PosixFiles.Unlink(path);
        return true;
    }

    private string WriteTemporary(ReadOnlySpan<byte> body)
    {
        string path = NextTemporaryPath();
        using SafeFileHandle file = CreateTemporary(path);
        try
        {
            int written = _direct.Write(path, body);
            RandomAccess.Write(file, body[written..], written);
            PosixFiles.SyncFile(file, path);
            return path;
        }
        catch
        {
            PosixFiles.Unlink(path);
            throw;
        }
    }

    private SafeFileHandle CreateTemporary(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.None);
        }
        catch (DirectoryNotFoundException) when (Directory.Exists(_root))
        {
            // Somebody tidied up by hand; the next attempt finds the directory again.
            PosixFiles.TryMakeDirectory(_temporary);
            throw new IOException($"'{_temporary}' was missing and has been made again.");
        }
    }

    private string NextTemporaryPath()
    {
        long number = Interlocked.Increment(ref _temporaryNumber);
        string name = string.Create(
            CultureInfo.InvariantCulture, $"{Environment.ProcessId}-{_time.GetUtcNow().Ticks:x}-{number}");
        return Path.Combine(_temporary, name);
    }

    /// <summary>Makes the directories between the root and a file, each durably, and returns the innermost.</summary>
    private string MakeStableParents(string path)
    {
        string directory = Path.GetDirectoryName(path)!;
        if (_stableDirectories.ContainsKey(directory) && Directory.Exists(directory)) return directory;
        if (directory.Length <= _root.Length) return directory;
        string parent = MakeStableParents(directory);
        PosixFiles.TryMakeDirectory(directory);

        // Also when it existed: whoever made it may not have made its name stable yet.
        PosixFiles.SyncDirectory(parent);
        _stableDirectories[directory] = true;
        return directory;
    }

    private void MakeRoot()
    {
        if (!PosixFiles.TryMakeDirectory(_root)) return;
        PosixFiles.SyncDirectory(Path.GetDirectoryName(_root)!);
    }

    private void RemoveLeftovers()
    {
        DateTime oldest = (_time.GetUtcNow() - LeftoverAge).UtcDateTime;
        foreach (FileInfo file in new DirectoryInfo(_temporary).EnumerateFiles())
        {
            if (file.LastWriteTimeUtc < oldest) PosixFiles.Unlink(file.FullName);
        }
    }

    private static int ReadFully(SafeFileHandle file, Span<byte> destination, long offset)
    {
        int filled = 0;
        while (filled < destination.Length)
        {
            int count = RandomAccess.Read(file, destination[filled..], offset + filled);
            if (count == 0) break;
            filled += count;
        }

        return filled;
    }

    private string PathOf(string key)
    {
        ObjectKey.Check(key);
        return Path.Combine(_root, key);
    }

    private Task<T> OnPool<T>(string verb, string key, Func<T> work, CancellationToken cancellation) =>
        Task.Factory.StartNew(
            () =>
            {
                try
                {
                    return work();
                }
                catch (Exception error) when (error is IOException or UnauthorizedAccessException)
                {
                    throw DirectoryErrors.Classify(error, verb, key, Location, Directory.Exists(_root));
                }
            },
            cancellation,
            TaskCreationOptions.DenyChildAttach,
            TaskScheduler.Default);
}
