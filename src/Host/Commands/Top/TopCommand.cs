using System.CommandLine;
using System.Globalization;
using System.Text;
using ZeroFlow.Host.Commands.Control;
using ZeroFlow.Host.Live;

namespace ZeroFlow.Host.Commands.Top;

/// <summary><c>zeroflow top</c>: the live view in a terminal.</summary>
internal static class TopCommand
{
    private const int PlainWidth = 100;

    // How long a key, or another size of the window, may wait.
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(50);

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var once = new Option<bool>("--once") { Description = "Print it once, as plain text, after a second; so it does, too, when it does not write to a terminal." };
        var command = new ControlCommand("top", "Watch a running server: stages, exports, log, caches, bucket. q ends it.") { once };
        command.Does((session, cancellation) => RunAsync(session, session.Parsed.GetValue(once), cancellation));
        return command;
    }

    private static Task RunAsync(ControlSession session, bool once, CancellationToken cancellation)
    {
        TextWriter output = session.Parsed.InvocationConfiguration.Output;
        bool isTerminal = !Console.IsOutputRedirected && !Console.IsInputRedirected && Environment.GetEnvironmentVariable("TERM") is not ("dumb" or null or "");
        return session.Output.IsJson || once || !isTerminal
            ? PrintAsync(session, output, cancellation)
            : ShowAsync(session.Client, output, cancellation);
    }

    private static async Task PrintAsync(ControlSession session, TextWriter output, CancellationToken cancellation)
    {
        string json = await session.Client.ReadTextAsync(LiveEndpoint.FeedPath.TrimStart('/'), cancellation);
        LiveFrame frame = TopFrames.Parse(json);
        if (session.Output.IsJson)
        {
            await output.WriteLineAsync(json);
            return;
        }

        int width = int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int columns) && columns >= 40
            ? columns : PlainWidth;
        foreach (TopLine line in TopView.Render(frame, null, new TopSize(width, null, HasBlocks: false)))
            await output.WriteLineAsync(line.ToText(hasColour: false));
    }

    private static async Task ShowAsync(ControlClient client, TextWriter output, CancellationToken cancellation)
    {
        bool hasColour = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        bool hasBlocks = Console.OutputEncoding.CodePage == Encoding.UTF8.CodePage;
        using var screen = new TopScreen(output, hasColour);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation, screen.Ended);
        var frames = new TopFrames(client, TimeProvider.System);
        Task following = frames.FollowAsync(ended.Token);
        object? shown = null;
        while (!ended.IsCancellationRequested && !following.IsCompleted && !TopScreen.IsQuitTyped())
        {
            var (width, height) = TopScreen.Size;
            var now = (frames.Newest, frames.Trouble, width, height);
            if (!now.Equals(shown))
            {
                shown = now;
                var size = new TopSize(width, height, hasBlocks);
                screen.Show(TopView.Render(frames.Newest, frames.Trouble, size), new TopLine(width).Add("q", TopStyle.Bold).Add(" ends it", TopStyle.Dim), height);
            }

            await Task.WhenAny(following, Task.Delay(Look, TimeProvider.System, ended.Token));
        }

        await ended.CancelAsync();
        try
        {
            await following;
        }
        catch (OperationCanceledException)
        {
            // As asked.
        }
    }
}
