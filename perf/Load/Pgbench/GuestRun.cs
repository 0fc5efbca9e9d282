using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Pgbench;

/// <summary>
/// A guest at work: a Linux kernel as a process, with its NBD client, OpenZFS and PostgreSQL (tests/guest/run.sh). It does one
/// job, says on its console how it goes, and ends; it is ended when this is disposed of.
/// </summary>
internal sealed partial class GuestRun : IDisposable
{
    private const int SignalTerminate = 15;
    private const int TailLines = 30;

    private readonly Process _process;
    private readonly string _job;
    private readonly BlockingCollection<string> _lines = new(4096);
    private readonly Queue<string> _tail = new();
    private bool _hasEnded;

    /// <summary>Starts it with <paramref name="job"/>, a piece of bash.</summary>
    public GuestRun(string root, string job)
    {
        _job = Path.GetTempFileName();
        File.WriteAllText(_job, job);
        _process = Process.Start(new ProcessStartInfo("bash", [Path.Combine(root, "tests/guest/run.sh"), _job])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        }) ?? throw new NbdException("The guest did not start.");
        _process.OutputDataReceived += (_, line) => Take(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        AppDomain.CurrentDomain.ProcessExit += EndAtExit;
    }

    /// <summary>Where files are that jobs wait for, as /jobs/NAME.</summary>
    public static string Jobs => Path.Combine(
        Environment.GetEnvironmentVariable("ZEROFLOW_GUEST")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache/zeroflow-guest"),
        "root/jobs");

    /// <summary>The next line that begins like this.</summary>
    /// <exception cref="NbdException">The guest failed, ended, or took longer; the message has its last lines.</exception>
    public string WaitFor(string begin, TimeSpan patience)
    {
        var begun = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(begun) < patience)
        {
            if (!_lines.TryTake(out var line, TimeSpan.FromMilliseconds(200)))
            {
                if (_lines.IsCompleted) break;
                continue;
            }

            _hasEnded = line.StartsWith("GUEST END", StringComparison.Ordinal);
            if (line.StartsWith(begin, StringComparison.Ordinal)) return line;
            if (_hasEnded || line.StartsWith("GUEST FAILED", StringComparison.Ordinal)) break;
        }

        throw new NbdException($"The guest did not come to \"{begin}\".\n{Tail()}");
    }

    public void Dispose()
    {
        // One that has done its job switches itself off.
        if (_hasEnded) _process.WaitForExit(TimeSpan.FromSeconds(20));
        if (!_process.HasExited && Kill(_process.Id, SignalTerminate) == 0 && !_process.WaitForExit(TimeSpan.FromSeconds(20)))
            _process.Kill(entireProcessTree: true);
        AppDomain.CurrentDomain.ProcessExit -= EndAtExit;
        _process.WaitForExit();
        _process.Dispose();
        _lines.Dispose();
        File.Delete(_job);
    }

    /// <summary>A tool that is told to end must not leave guests behind.</summary>
    private void EndAtExit(object? sender, EventArgs arguments)
    {
        if (!_process.HasExited) _ = Kill(_process.Id, SignalTerminate);
    }

    private void Take(string? line)
    {
        Keep(line);
        if (line is null)
            _lines.CompleteAdding();
        else
            _lines.TryAdd(line.TrimEnd('\r'));
    }

    private void Keep(string? line)
    {
        if (line is null) return;
        lock (_tail)
        {
            _tail.Enqueue(line);
            if (_tail.Count > TailLines) _tail.Dequeue();
        }
    }

    private string Tail()
    {
        lock (_tail) return string.Join('\n', _tail);
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
