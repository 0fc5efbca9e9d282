using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Peers;

/// <summary>A peer that runs, from its start until it is disposed; its directory goes with it.</summary>
internal sealed partial class PeerProcess : IDisposable
{
    private const int SignalTerminate = 15;
    private const int TailLines = 40;
    private static readonly TimeSpan ReadyMax = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly string _directory;
    private readonly Queue<string> _output = new();

    private PeerProcess(Peer peer, PeerCommand command, string directory)
    {
        _directory = directory;
        Command = command;
        Peer = peer;
        var start = new ProcessStartInfo(command.Program, command.Arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory,
        };
        foreach (var (key, value) in command.Environment) start.Environment[key] = value;
        _process = Process.Start(start) ?? throw new NbdException($"{command.Program} did not start.");
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        AppDomain.CurrentDomain.ProcessExit += KillAtExit;
    }

    public Peer Peer { get; }

    public PeerCommand Command { get; }

    public int Pid => _process.Id;

    /// <summary>Starts a peer and returns when it serves.</summary>
    /// <exception cref="NbdException">It ended, or was not ready in time; the message has its last output.</exception>
    public static PeerProcess Start(Peer peer, PeerContext context)
    {
        Directory.CreateDirectory(context.Directory);
        var process = new PeerProcess(peer, peer.Prepare(context), context.Directory);
        try
        {
            process.WaitUntilReady();
            return process;
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <summary>Asks the server to end, and kills it when it does not in time.</summary>
    public void Dispose()
    {
        if (!_process.HasExited && Kill(_process.Id, SignalTerminate) == 0 && !_process.WaitForExit(StopMax))
        {
            Console.Error.WriteLine($"{Peer.Name} did not end within {StopMax.TotalSeconds} s of SIGTERM: killed.");

            // With what it started, which holds its output open: the wait for its end below is for that as well.
            _process.Kill(entireProcessTree: true);
        }

        AppDomain.CurrentDomain.ProcessExit -= KillAtExit;
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    /// <summary>A tool that is told to end must not leave servers behind.</summary>
    private void KillAtExit(object? sender, EventArgs arguments)
    {
        if (!_process.HasExited) _process.Kill();
    }

    private void WaitUntilReady()
    {
        var begun = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(begun) < ReadyMax)
        {
            if (_process.HasExited)
                throw new NbdException($"{Peer.Name} ended with {_process.ExitCode} at its start.\n{LastOutput()}");
            if (IsReady()) return;
            Thread.Sleep(50);
        }

        throw new NbdException($"{Peer.Name} was not ready within {ReadyMax.TotalSeconds} s.\n{LastOutput()}");
    }

    private bool IsReady()
    {
        try
        {
            if (Command.ReadyUri is { } ready)
            {
                using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
                using var response = http.Send(new HttpRequestMessage(HttpMethod.Get, ready));
                if (!response.IsSuccessStatusCode) return false;
            }

            using var session = NbdSession.Connect(Command.Uri);
            return true;
        }
        catch (Exception exception) when (exception is SocketException or HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    private void Keep(string? line)
    {
        if (line is null) return;
        lock (_output)
        {
            _output.Enqueue(line);
            if (_output.Count > TailLines) _output.Dequeue();
        }
    }

    private string LastOutput()
    {
        var text = new StringBuilder();
        lock (_output)
        {
            foreach (var line in _output) text.Append("  ").AppendLine(line);
        }

        return text.ToString();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
