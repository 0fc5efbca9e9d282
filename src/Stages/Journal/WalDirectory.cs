using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Journal;

/// <summary>
/// A WAL directory on the local disk. One process at a time: the directory is locked while this object lives.
/// </summary>
public sealed partial class WalDirectory : IWalDisk, IDisposable
{
    private const string LockName = "lock";
    private const int ZeroBytes = 1024 * 1024;
    private const int ZeroBytesUnsyncedMax = 8 * ZeroBytes;
    private const int ErrorNoSpace = 28;
    private const int ErrorQuota = 122;
    private const int ErrorNotSupported = 95;
    private const int ErrorWouldBlock = 11;
    private const int LockExclusiveNonBlocking = 2 | 4;
    private const UnixFileMode FileMode600 = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly SafeFileHandle _lock;

    /// <summary>Opens or makes the directory <paramref name="path"/> and locks it.</summary>
    /// <exception cref="StorageFaultException">Another process uses it, or it cannot be made.</exception>
    public WalDirectory(string path)
    {
        Location = Path.GetFullPath(path);
        try
        {
            Directory.CreateDirectory(Location, FileMode600 | UnixFileMode.UserExecute);
            _lock = OpenNew(Path.Combine(Location, LockName), FileMode.OpenOrCreate);
            PosixFiles.SyncDirectory(Location);
            PosixFiles.SyncDirectory(Path.GetDirectoryName(Location) ?? "/");
        }
        catch (IOException fault) when (fault.HResult == ErrorWouldBlock)
        {
            // .NET takes a shared lock when it opens a file, and meets the exclusive one of the other process.
            throw InUse();
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new StorageFaultException(FaultKind.Invalid, $"The directory {Location} for the WAL cannot be used: {fault.Message}", fault);
        }

        if (Flock(_lock, LockExclusiveNonBlocking) == 0) return;
        _lock.Dispose();
        throw InUse();
    }

    /// <inheritdoc/>
    public string Location { get; }

    /// <inheritdoc/>
    public IReadOnlyList<string> List() =>
        [.. Directory.EnumerateFiles(Location).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];

    /// <inheritdoc/>
    public IWalFile Create(string name, long sizeBytes)
    {
        string path = Path.Combine(Location, name);
        SafeFileHandle handle = OpenNew(path, FileMode.Create);
        try
        {
            // A full disk shows here, before the rest of it is used up by zeros that would be deleted again.
            if (Fallocate(handle, 0, 0, sizeBytes) != 0 && Marshal.GetLastPInvokeError() is int error and not ErrorNotSupported)
                throw new IOException(Marshal.GetPInvokeErrorMessage(error), error);
            WriteZeros(handle, path, sizeBytes);
            PosixFiles.SyncFile(handle, path);
            PosixFiles.SyncDirectory(Location);
            return new WalFile(handle);
        }
        catch (IOException fault)
        {
            handle.Dispose();
            File.Delete(path);
            throw IsFull(fault)
                ? new WalDiskFullException($"No room for a WAL segment of {sizeBytes} bytes in {Location}.", fault)
                : fault;
        }
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        File.Move(Path.Combine(Location, from), Path.Combine(Location, to), overwrite: true);
        PosixFiles.SyncDirectory(Location);
    }

    /// <inheritdoc/>
    public IWalFile Open(string name) => new WalFile(OpenNew(Path.Combine(Location, name), FileMode.Open));

    /// <inheritdoc/>
    public void ReplaceSmallFile(string name, ReadOnlySpan<byte> content)
    {
        string path = Path.Combine(Location, name);
        string fresh = path + ".new";
        using (SafeFileHandle handle = OpenNew(fresh, FileMode.Create))
        {
            RandomAccess.Write(handle, content, 0);
            PosixFiles.SyncFile(handle, fresh);
        }

        File.Move(fresh, path, overwrite: true);
        PosixFiles.SyncDirectory(Location);
    }

    /// <inheritdoc/>
    public byte[]? TryReadSmallFile(string name)
    {
        string path = Path.Combine(Location, name);
        return File.Exists(path) ? File.ReadAllBytes(path) : null;
    }

    /// <inheritdoc/>
    public void Delete(string name)
    {
        File.Delete(Path.Combine(Location, name));
        PosixFiles.SyncDirectory(Location);
    }

    /// <inheritdoc/>
    public string SetAside(IReadOnlyList<string> names, string reason)
    {
        string place = Location + "." + reason;
        for (int i = 2; Directory.Exists(place); i++)
            place = string.Create(CultureInfo.InvariantCulture, $"{Location}.{reason}.{i}");
        Directory.CreateDirectory(place, FileMode600 | UnixFileMode.UserExecute);
        foreach (string name in names) File.Move(Path.Combine(Location, name), Path.Combine(place, name));
        PosixFiles.SyncDirectory(place);
        PosixFiles.SyncDirectory(Location);
        PosixFiles.SyncDirectory(Path.GetDirectoryName(Location) ?? "/");
        return place;
    }

    /// <inheritdoc/>
    public void Dispose() => _lock.Dispose();

    private StorageFaultException InUse() => new(
        FaultKind.Invalid, $"The directory {Location} is in use by another ZeroFlow; give each server a data directory of its own.");

    private static SafeFileHandle OpenNew(string path, FileMode mode)
    {
        SafeFileHandle handle = File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (mode is FileMode.Create or FileMode.OpenOrCreate) File.SetUnixFileMode(handle, FileMode600);
        return handle;
    }

    // Zeros are written, not only promised by fallocate: the blocks are then mapped for good, and a later sync of a
    // record has no metadata to wait for. They go to the disk in portions, so that no other sync waits behind all of them.
    private static void WriteZeros(SafeFileHandle handle, string path, long sizeBytes)
    {
        byte[] zeros = new byte[ZeroBytes];
        for (long at = 0; at < sizeBytes; at += ZeroBytes)
        {
            RandomAccess.Write(handle, zeros.AsSpan(0, (int)Math.Min(ZeroBytes, sizeBytes - at)), at);
            if (at % ZeroBytesUnsyncedMax == ZeroBytesUnsyncedMax - ZeroBytes) PosixFiles.SyncFile(handle, path);
        }
    }

    private static bool IsFull(IOException fault) => (fault.HResult & 0xFFFF) is ErrorNoSpace or ErrorQuota;

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int Fdatasync(SafeFileHandle handle);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Fallocate(SafeFileHandle handle, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(SafeFileHandle handle, int operation);

    private sealed class WalFile(SafeFileHandle handle) : IWalFile
    {
        public long Length { get; } = RandomAccess.GetLength(handle);

        public void Write(long offset, ReadOnlySpan<byte> bytes) => RandomAccess.Write(handle, bytes, offset);

        public int Read(long offset, Span<byte> bytes)
        {
            int total = 0;
            while (total < bytes.Length)
            {
                int read = RandomAccess.Read(handle, bytes[total..], offset + total);
                if (read == 0) break;
                total += read;
            }

            return total;
        }

        public void Sync()
        {
            if (Fdatasync(handle) != 0)
                throw new IOException($"fdatasync of a WAL segment failed (error {Marshal.GetLastPInvokeError()}).");
        }

        public void Dispose() => handle.Dispose();
    }
}
