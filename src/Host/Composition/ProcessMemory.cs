using System.Runtime.InteropServices;

namespace ZeroFlow.Host.Composition;

/// <summary>
/// Keeps the memory of the process, which holds the passphrase, keys and plain data, out of files and out of the hands of
/// other processes of the same user.
/// </summary>
internal static partial class ProcessMemory
{
    private const int SetDumpable = 4; // PR_SET_DUMPABLE
    private const int CoreLimit = 4; // RLIMIT_CORE

    /// <summary>
    /// From now on a crash leaves no core dump, also not by way of a core pattern that is a pipe; <c>ptrace</c> and
    /// <c>/proc/PID/{mem,maps,environ}</c> are root's alone.
    /// </summary>
    /// <remarks>
    /// What it costs: <c>dotnet-dump</c>, <c>gdb</c> and <c>perf</c> need root. Counters and traces go on working, as they
    /// come over the runtime's own socket; over that socket nobody gets a dump either, since the process that would write it
    /// cannot read this one. Best effort: a system that refuses is no reason not to serve.
    /// </remarks>
    public static void Close()
    {
        _ = Prctl(SetDumpable, 0, 0, 0, 0);
        var none = default(Limit);
        _ = SetLimit(CoreLimit, in none);
    }

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int Prctl(int option, nuint one, nuint two, nuint three, nuint four);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetLimit(int resource, in Limit limit);

    [StructLayout(LayoutKind.Sequential)]
    private struct Limit
    {
        public nuint Soft;
        public nuint Hard;
    }
}
