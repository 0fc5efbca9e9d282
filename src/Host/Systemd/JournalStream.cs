using System.Globalization;

namespace ZeroFlow.Host.Systemd;

/// <summary>Whether this process is a service of systemd whose output goes to the journal.</summary>
internal static class JournalStream
{
    /// <summary>True when it is.</summary>
    /// <remarks>By the variables that systemd sets: a look at the parent process fails where the unit hides it (ProtectProc=).</remarks>
    public static bool IsConnected { get; } =
        Environment.GetEnvironmentVariable("JOURNAL_STREAM") is { Length: > 0 }
        && Environment.GetEnvironmentVariable("SYSTEMD_EXEC_PID") == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
}
