using System.Runtime.InteropServices;
using System.Text;

namespace ZeroFlow.Host.Commands.Top;

/// <summary>
/// The terminal while it shows the view: the alternate screen without a cursor, given back on every way out, signals and
/// suspension included.
/// </summary>
internal sealed class TopScreen : IDisposable
{
    private const string Enter = "\e[?1049h\e[?25l\e[?7l\e[2J";
    private const string Leave = "\e[?7h\e[?25h\e[?1049l";

    private readonly TextWriter _output;
    private readonly bool _hasColour;
    private readonly Lock _lock = new();
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly CancellationTokenSource _ended = new();
    private bool _isOurs;

    /// <summary>Takes the terminal.</summary>
    public TopScreen(TextWriter output, bool hasColour)
    {
        _output = output;
        _hasColour = hasColour;
        foreach (PosixSignal signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP])
            _signals.Add(PosixSignalRegistration.Create(signal, End));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTSTP, _ => Give()));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => Take()));
        Take();
    }

    /// <summary>Cancelled when somebody wants it to end.</summary>
    public CancellationToken Ended => _ended.Token;

    /// <summary>The screen as it is now; it may change at any time.</summary>
    public static (int Width, int Height) Size
    {
        get
        {
            (int width, int height) = (Console.WindowWidth, Console.WindowHeight);
            return (width > 0 ? width : 80, height > 0 ? height : 24);
        }
    }

    /// <summary>True once 'q' was typed; whatever else was is forgotten.</summary>
    public static bool IsQuitTyped()
    {
        while (Console.KeyAvailable)
        {
            ConsoleKeyInfo key = Console.ReadKey(intercept: true);
            if (key.KeyChar is 'q' or 'Q' or '\u0003') return true;
        }

        return false;
    }

    /// <summary>Shows lines, and a last one, in one go: nothing flickers.</summary>
    public void Show(IReadOnlyList<TopLine> lines, TopLine last, int height)
    {
        var text = new StringBuilder("\e[?2026h\e[H");
        foreach (TopLine line in lines) text.Append("\e[2K").Append(line.ToText(_hasColour)).Append("\r\n");
        text.Append("\e[J").Append("\e[").Append(height).Append(";1H").Append(last.ToText(_hasColour)).Append("\e[?2026l");
        lock (_lock)
        {
            if (!_isOurs) return;
            _output.Write(text);
            _output.Flush();
        }
    }

    /// <summary>Gives the terminal back as it was.</summary>
    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
        Give();
        _ended.Dispose();
    }

    private void End(PosixSignalContext context)
    {
        context.Cancel = true;
        try
        {
            _ended.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Another handler of the same signal has ended the view.
        }
    }

    private void Take()
    {
        lock (_lock)
        {
            if (_isOurs) return;
            _isOurs = true;
            _output.Write(Enter);
            _output.Flush();
        }
    }

    private void Give()
    {
        lock (_lock)
        {
            if (!_isOurs) return;
            _isOurs = false;
            _output.Write(Leave);
            _output.Flush();
        }
    }
}
