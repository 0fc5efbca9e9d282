using System.Runtime.InteropServices;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Micro;

/// <summary>A file written by bare system calls: no buffering, no pool threads, nothing to blame.</summary>
internal sealed unsafe partial class DurableFile : IDisposable
{
    private readonly FileStream _file;
    private readonly int _descriptor;

    /// <summary>
    /// Creates a file; with <paramref name="filledBytes"/>, full of durable zeros, so that no write grows it.
    /// </summary>
    public DurableFile(string path, long filledBytes)
    {
        _file = new FileStream(
            path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 0, FileOptions.DeleteOnClose);
        _descriptor = (int)_file.SafeFileHandle.DangerousGetHandle();
        if (filledBytes == 0) return;

        var zeros = new byte[1024 * 1024];
        for (var written = 0L; written < filledBytes; written += zeros.Length) _file.Write(zeros);
        _file.Flush(flushToDisk: true);
    }

    public void Write(NativeSocket.Piece* pieces, int count, long offset)
    {
        var length = 0L;
        for (var index = 0; index < count; index++) length += pieces[index].Length;
        var written = WriteGathered(_descriptor, pieces, count, offset);
        if (written != length) throw new IOException($"pwritev wrote {written} of {length} bytes: {LastError()}");
    }

    public void SyncData()
    {
        if (FdataSync(_descriptor) != 0) throw new IOException($"fdatasync failed: {LastError()}");
    }

    public void Dispose() => _file.Dispose();

    private static string LastError() => Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());

    [LibraryImport("libc", EntryPoint = "pwritev", SetLastError = true)]
    private static partial nint WriteGathered(int descriptor, NativeSocket.Piece* pieces, int count, long offset);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FdataSync(int descriptor);
}
