using System.Runtime.InteropServices;

namespace ZeroFlow.Host.Configuration;

/// <summary>Makes the entries of a directory stable; .NET itself opens no directories.</summary>
internal static partial class DirectorySync
{
    // O_RDONLY with O_CLOEXEC, the same on x64 and arm64 (O_DIRECTORY is not).
    private const int ReadOnlyCloseOnExec = 0x80000;

    /// <summary>Syncs <paramref name="path"/>.</summary>
    /// <exception cref="IOException">The directory cannot be opened or synced.</exception>
    public static void Sync(string path)
    {
        int descriptor = Open(path, ReadOnlyCloseOnExec);
        if (descriptor < 0) throw Failure(path);
        try
        {
            if (FSync(descriptor) != 0) throw Failure(path);
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    private static IOException Failure(string path) =>
        new($"The directory {path} cannot be synced: {Marshal.GetLastPInvokeErrorMessage()}.");

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
