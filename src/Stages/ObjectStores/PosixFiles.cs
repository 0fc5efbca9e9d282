using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The calls that durable, create-if-absent files need and .NET does not offer: link, an fsync of a directory, a mkdir
/// that creates nothing but the last name, and a rename that never copies.
/// </summary>
/// <remarks>Failures are <see cref="IOException"/> with the errno as <see cref="Exception.HResult"/>.</remarks>
internal static partial class PosixFiles
{
    public const int NoEntry = 2;
    public const int Exists = 17;

    private const int NotPermitted = 1;
    private const int Denied = 13;
    private const int NotSupported = 95;

    private const int ReadOnlyCloseOnExec = 0x80000;

    /// <summary>Gives <paramref name="existing"/> a second name; false when that name is taken.</summary>
    public static bool TryLink(string existing, string name) =>
        SucceedsUnlessExists(Link(existing, name), "link", name);

    /// <summary>Makes one directory; false when something of that name exists.</summary>
    public static bool TryMakeDirectory(string path) =>
        SucceedsUnlessExists(MakeDirectory(path, mode: 0b111_101_101), "mkdir", path);

    /// <summary>Renames within one file system, replacing what is there.</summary>
    public static void Rename(string from, string to) => ThrowIfFailed(RenameFile(from, to), "rename", to);

    /// <summary>Removes a name; one that is not there counts as removed.</summary>
    public static void Unlink(string path)
    {
        if (UnlinkFile(path) != 0 && Marshal.GetLastPInvokeError() != NoEntry) ThrowLastError("unlink", path);
    }

    /// <summary>Makes the content of a file survive power loss.</summary>
    /// <remarks>
    /// <c>RandomAccess.FlushToDisk</c> ignores EROFS, which is what fsync answers on a file system that became
    /// read-only because of an error.
    /// </remarks>
    public static void SyncFile(SafeFileHandle file, string path) => ThrowIfFailed(SyncFile(file), "fsync", path);

    /// <summary>Makes the names in a directory survive power loss.</summary>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = OpenDirectory(path);
        SyncDirectory(directory, path);
    }

    /// <summary>Opens a directory, which .NET itself does not.</summary>
    internal static SafeFileHandle OpenDirectory(string path)
    {
        int descriptor = OpenFile(path, ReadOnlyCloseOnExec);
        if (descriptor < 0) ThrowLastError("open", path);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>The same for a directory that is open.</summary>
    /// <remarks>
    /// On XFS the fsync of a directory succeeds when the file system has shut down in the meantime: its changes, given
    /// up with the log, wait for nothing any more. Touching the directory is a change that a file system refuses once it
    /// has given up, XFS as well as ext4 and btrfs with an aborted journal: where it succeeds, the fsync before it was
    /// true. A directory that is not ours to touch is one that we did not change.
    /// </remarks>
    internal static void SyncDirectory(SafeFileHandle directory, string path)
    {
        ThrowIfFailed(SyncFile(directory), "fsync", path);
        if (SetTimes(directory, times: 0) != 0 && Marshal.GetLastPInvokeError() is not (NotPermitted or Denied or NotSupported))
            ThrowLastError("futimens", path);
    }

    private static bool SucceedsUnlessExists(int result, string call, string path)
    {
        if (result == 0) return true;
        if (Marshal.GetLastPInvokeError() != Exists) ThrowLastError(call, path);
        return false;
    }

    private static void ThrowIfFailed(int result, string call, string path)
    {
        if (result != 0) ThrowLastError(call, path);
    }

    private static void ThrowLastError(string call, string path)
    {
        int error = Marshal.GetLastPInvokeError();
        throw new IOException($"{call} of '{path}' failed: {Marshal.GetPInvokeErrorMessage(error)}", error);
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Link(string existing, string name);

    [LibraryImport("libc", EntryPoint = "mkdir", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int MakeDirectory(string path, uint mode);

    [LibraryImport("libc", EntryPoint = "rename", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int RenameFile(string from, string to);

    [LibraryImport("libc", EntryPoint = "unlink", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int UnlinkFile(string path);

    // open(2) is variadic; without O_CREAT the third argument is not read, and two are passed alike on every ABI.
    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int OpenFile(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int SyncFile(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "futimens", SetLastError = true)]
    private static partial int SetTimes(SafeFileHandle file, nint times);
}
