using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace ZeroFlow.SystemTests.Running;

internal enum Signal
{
    HangUp = 1,
    Kill = 9,
    Terminate = 15,
    Continue = 18,
    Stop = 19,
}

/// <summary>A process that this test run started, with all that it said. Killed on disposal if it still runs.</summary>
internal sealed partial class ChildProcess : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<int, Process> Running = new();

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();
    private readonly Task _read;
    private bool _isDisposed;

    // A test host that ends early must not leave servers behind.
    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (var process in Running.Values) Send(process, Signal.Kill);
    };

    private ChildProcess(Process process)
    {
        _process = process;
        Id = process.Id;
        Running[Id] = process;
        _read = Task.WhenAll(
            CollectAsync(process.StandardOutput, _output), CollectAsync(process.StandardError, _errors));
    }

    public int Id { get; }

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    public string Output => Text(_output);

    public string Errors => Text(_errors);

    /// <summary>Both streams, the errors last: for messages and for searching.</summary>
    public string Said => Output + Errors;

    public static ChildProcess Start(
        string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(Require.Find(file) ?? file)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (key, value) in environment ?? new Dictionary<string, string>()) start.Environment[key] = value;
        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return new ChildProcess(process);
    }

    public void Send(Signal signal) => Send(_process, signal);

    /// <summary>Signals a process that this one started.</summary>
    public static void Send(int process, Signal signal) => _ = Kill(process, (int)signal);

    /// <summary>
    /// Waits for the end of the process and of its output; a process that does not end in time fails the test.
    /// </summary>
    public async Task<int> ExitAsync(TimeSpan patience)
    {
        using var timeout = new CancellationTokenSource(patience);
        try
        {
            await _process.WaitForExitAsync(timeout.Token);
            await _read.WaitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail(
                $"{_process.StartInfo.FileName} has not ended after {patience.TotalSeconds} s. It said:\n{Said}");
        }

        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        if (!_process.HasExited)
        {
            // With what it runs: strace does not take its program with it.
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }

        Running.TryRemove(Id, out _);
        _process.Dispose();
    }

    private static void Send(Process process, Signal signal)
    {
        try
        {
            if (!process.HasExited) _ = Kill(process.Id, (int)signal);
        }
        catch (InvalidOperationException)
        {
            // Disposed in the meantime, and so at its end.
        }
    }

    private static string Text(StringBuilder collected)
    {
        lock (collected) return collected.ToString();
    }

    private static async Task CollectAsync(StreamReader reader, StringBuilder into)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (into) into.AppendLine(line);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Kill(int process, int signal);
}
