using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Live;

/// <summary>
/// The live view over HTTP: the page, which is the same for everybody, and <c>/v1/live</c>, which has the numbers: one frame
/// as JSON, or, to whoever accepts <c>text/event-stream</c>, a frame a second as server-sent events. Reads only. Thread-safe.
/// </summary>
internal sealed class LiveEndpoint(LiveFeed feed, ControlApi control, bool needsToken)
{
    /// <summary>Where the numbers are.</summary>
    public const string FeedPath = "/v1/live";

    private const string EventStream = "text/event-stream";

    // A first frame has no rates yet; the next one is a second away.
    private static readonly TimeSpan FramePatience = TimeSpan.FromSeconds(10);

    /// <summary>True when a path is the view's.</summary>
    public static bool Has(PathString path) => path.Value == FeedPath || LivePage.Has(path.Value);

    /// <summary>Answers a GET or HEAD of such a path.</summary>
    public Task AnswerAsync(HttpContext context) =>
        context.Request.Path.Value == FeedPath ? AnswerFeedAsync(context) : LivePage.AnswerAsync(context);

    private async Task AnswerFeedAsync(HttpContext context)
    {
        LivePage.Guard(context.Response);
        if (LiveAccess.Check(context, control, needsToken) is { } refused)
        {
            await RefuseAsync(context, refused);
            return;
        }

        bool isStream = context.Request.Headers.Accept.ToString().Contains(EventStream, StringComparison.OrdinalIgnoreCase);
        context.Response.Headers.CacheControl = "no-store";
        context.Response.ContentType = isStream ? EventStream : "application/json";
        if (HttpMethods.IsHead(context.Request.Method)) return;
        if (feed.Watch(beginsWithLast: isStream) is not { } frames)
        {
            await RefuseAsync(context, FaultStatuses.ProblemOf(
                StatusCodes.Status503ServiceUnavailable, $"{LiveFeed.ViewersMax} are looking already; close one of them."));
            return;
        }

        try
        {
            if (isStream) await StreamAsync(context, frames);
            else await AnswerOnceAsync(context, frames);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody looks any more.
        }
        finally
        {
            feed.Leave(frames);
        }
    }

    private static async Task StreamAsync(HttpContext context, ChannelReader<LiveShot> frames)
    {
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        await foreach (LiveShot shot in frames.ReadAllAsync(context.RequestAborted))
        {
            Stream body = context.Response.Body;
            await body.WriteAsync("data: "u8.ToArray(), context.RequestAborted);
            await body.WriteAsync(shot.Json, context.RequestAborted);
            await body.WriteAsync("\n\n"u8.ToArray(), context.RequestAborted);
            await body.FlushAsync(context.RequestAborted);
        }
    }

    private static async Task AnswerOnceAsync(HttpContext context, ChannelReader<LiveShot> frames)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        patience.CancelAfter(FramePatience);
        try
        {
            LiveShot shot = await frames.ReadAsync(patience.Token);
            while (!shot.HasRates) shot = await frames.ReadAsync(patience.Token);
            await context.Response.Body.WriteAsync(shot.Json, context.RequestAborted);
        }
        catch (Exception fault) when (fault is ChannelClosedException or OperationCanceledException && !context.RequestAborted.IsCancellationRequested)
        {
            await RefuseAsync(context, FaultStatuses.ProblemOf(StatusCodes.Status503ServiceUnavailable, "The server is stopping."));
        }
    }

    private static Task RefuseAsync(HttpContext context, Problem problem) =>
        ControlApi.WriteAsync(context, problem, ControlJson.Default.Problem, problem.Status);
}
