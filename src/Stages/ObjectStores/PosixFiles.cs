using System.Runtime.InteropServices;

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

    /// <summary>Makes the names in a directory survive power loss.</summary>
    public static void SyncDirectory(string path)
    {
        int descriptor = OpenFile(path, ReadOnlyCloseOnExec);
        if (descriptor < 0) ThrowLastError("open", path);
        try
        {
            ThrowIfFailed(SyncFile(descriptor), "fsync", path);
        }
        finally
        {
            _ = CloseFile(descriptor);
        }
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
    private static partial int SyncFile(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int CloseFile(int descriptor);
}
