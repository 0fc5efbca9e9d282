using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The calls on files that .NET does not offer: link, an fsync of a directory, a mkdir that creates nothing but the last
/// name, a rename that never copies, and writing past the page cache.
/// </summary>
/// <remarks>Failures are <see cref="IOException"/> with the errno as <see cref="Exception.HResult"/>.</remarks>
internal static partial class PosixFiles
{
    public const int NoEntry = 2;
    public const int Exists = 17;

    private const int NotPermitted = 1;
    private const int Denied = 13;
    private const int IsDirectory = 21;
    private const int NoSpace = 28;
    private const int NotSupported = 95;
    private const int QuotaExceeded = 122;

    private const int ReadOnlyCloseOnExec = 0x80000;
    private const int WriteOnlyCloseOnExec = 0x80001;

    private static readonly int Direct =
        RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    // O_TMPFILE, which has O_DIRECTORY in it.
    private static readonly int NamelessFile =
        0x400000 | (RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000);

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

    /// <summary>
    /// Opens a file that is there for writing past the page cache, in whole blocks of the disk from memory that is aligned
    /// to them (O_DIRECT); null where its file system does not have that.
    /// </summary>
    public static SafeFileHandle? TryOpenDirect(string path)
    {
        int descriptor = OpenFile(path, WriteOnlyCloseOnExec | Direct);
        return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
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
    /// The fsync of a directory may succeed although the file system has given up meanwhile, when what would have to be
    /// waited for went with its log: on XFS after a shutdown; on ext4 when another thread's commit fails in the middle of
    /// the call. Making a file without a name, which leaves nothing behind, is a change, and changes are refused from then
    /// on: where it succeeds, the fsync before it was true.
    /// </remarks>
    internal static void SyncDirectory(SafeFileHandle directory, string path)
    {
        ThrowIfFailed(SyncFile(directory), "fsync", path);
        using SafeFileHandle nameless = OpenNew(path, NamelessFile | WriteOnlyCloseOnExec, mode: 0b110_000_000);

        // No space, no permission and no support for it are answers of a file system that lives.
        if (nameless.IsInvalid && Marshal.GetLastPInvokeError() is not
            (NotPermitted or Denied or IsDirectory or NoSpace or NotSupported or QuotaExceeded))
            ThrowLastError("a change after fsync", path);
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

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial SafeFileHandle OpenNew(string path, int flags, uint mode);
}
