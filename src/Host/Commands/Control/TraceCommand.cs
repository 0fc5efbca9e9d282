using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Commands.Control;

/// <summary><c>zeroflow s3-trace</c>.</summary>
internal static class TraceCommand
{
    private static readonly TimeSpan DefaultTime = TimeSpan.FromSeconds(10);

    /// <summary>Makes the command.</summary>
    public static ControlCommand Create()
    {
        var follow = new Option<bool>("--follow") { Description = "Go on until Ctrl+C." };
        var time = new Option<string?>("--for") { HelpName = "TIME", Description = "How long to trace, such as 1m [default: 10s]." };
        var kind = new Option<string?>("--kind") { HelpName = "KIND", Description = $"Only these: {Names<ObjectRequestKind>()}." };
        var purpose = new Option<string?>("--purpose") { HelpName = "PURPOSE", Description = $"Only requests for that: {Names<ObjectPurpose>()}." };
        var prefix = new Option<string?>("--prefix") { HelpName = "KEY", Description = "Only objects whose key begins so, such as checkpoint/." };
        var failed = new Option<bool>("--failed") { Description = "Only requests that failed." };
        var command = new ControlCommand(
            "s3-trace", "Show the requests to the object store as they end, each attempt a line, and what they would cost in a day.")
            { follow, time, kind, purpose, prefix, failed };
        command.Does(async (session, cancellation) =>
        {
            ParseResult parsed = session.Parsed;
            TimeSpan length = DefaultTime;
            if (parsed.GetValue(time) is { } text && !(Quantities.TryParseDuration(text, out length) && length > TimeSpan.Zero))
                throw new RefusedException(HttpStatusCode.BadRequest, $"The time {text} is not {Quantities.DurationForm}.");
            string query = Query(
                ("kind", parsed.GetValue(kind)), ("purpose", parsed.GetValue(purpose)), ("prefix", parsed.GetValue(prefix)),
                ("failed", parsed.GetValue(failed) ? "true" : null));
            await TraceAsync(session, query, parsed.GetValue(follow) ? Timeout.InfiniteTimeSpan : length, cancellation);
        });
        return command;
    }

    private static async Task TraceAsync(ControlSession session, string query, TimeSpan length, CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        end.CancelAfter(length);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            end.Cancel();
        });
        var summary = new TraceSummary();
        long started = TimeProvider.System.GetTimestamp();
        try
        {
            await foreach (TraceLine line in session.Client.TraceAsync(query, end.Token))
            {
                summary.Add(line);
                session.Output.WriteLine(session.Output.IsJson ? JsonSerializer.Serialize(line, ControlJson.Default.TraceLine) : Describe(line));
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // The time is over.
        }

        if (!session.Output.IsJson) summary.Write(session.Output.Writer, TimeProvider.System.GetElapsedTime(started));
    }

    private static string Describe(TraceLine line)
    {
        if (line.Request is not { } request)
            return string.Create(CultureInfo.InvariantCulture, $"... {line.Lost} requests were not seen");
        string attempt = request.Attempt > 1 ? string.Create(CultureInfo.InvariantCulture, $" attempt {request.Attempt}") : "";
        string range = request.Kind == ObjectRequestKind.Range ? string.Create(CultureInfo.InvariantCulture, $" at {request.Offset}") : "";
        string error = request.Error is null ? "" : $": {request.Error}";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{request.Time.UtcDateTime:HH:mm:ss.fff} {TraceSummary.Name(request.Kind),-6} {TraceSummary.Name(request.Purpose),-10} {request.Key}{range} {request.Bytes} B {TraceSummary.Milliseconds(request.Seconds)} {request.Outcome}{attempt}{error}");
    }

    private static string Query(params (string Name, string? Value)[] parameters)
    {
        string text = string.Join('&', parameters.Where(p => p.Value is not null).Select(p => $"{p.Name}={Uri.EscapeDataString(p.Value!)}"));
        return text.Length == 0 ? "" : $"?{text}";
    }

    private static string Names<T>()
        where T : struct, Enum => string.Join(", ", Enum.GetValues<T>().Select(TraceSummary.Name));
}
