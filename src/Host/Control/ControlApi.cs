using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using ZeroFlow.Host.Admin;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Control;

/// <summary>
/// The control API below <c>/v1</c>: finds the route, checks the token, and turns every failure into a problem (RFC 9457).
/// Thread-safe.
/// </summary>
internal sealed class ControlApi
{
    /// <summary>Largest JSON body.</summary>
    public const int JsonBytesMax = 64 * 1024;

    // Once its time is over a request is cancelled; one that does not even react must not keep the process from ending.
    private static readonly TimeSpan AbortTimeout = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private readonly HashSet<RequestLimit> _inFlight = [];
    private TaskCompletionSource? _idle;
    private BlockStore? _store;
    private volatile AdminToken? _token;

    /// <summary>From now on the API is served; until then it answers that the store is not open.</summary>
    public void Open(BlockStore store, AdminToken token)
    {
        _token = token;
        lock (_lock) _store = store;
    }

    /// <summary>
    /// The store is about to be closed: takes no more requests, lets those in flight finish for up to
    /// <paramref name="drain"/>, and then gives up their waits. May be called again.
    /// </summary>
    public async Task CloseAsync(TimeSpan drain)
    {
        Task idle = Refuse();
        GiveUp(static limit => limit.IsEndless);
        if (await EndsWithinAsync(idle, drain)) return;
        GiveUp(static _ => true);
        _ = await EndsWithinAsync(idle, AbortTimeout);
    }

    /// <summary>Answers a request below <c>/v1</c>.</summary>
    /// <param name="context">The request.</param>
    /// <param name="reason">Why the store is not open, if it is not.</param>
    public async Task AnswerAsync(HttpContext context, string reason)
    {
        try
        {
            await RouteAsync(context, $"The store is not open: {reason.TrimEnd('.')}.");
        }
        catch (StorageFaultException fault)
        {
            await RefuseAsync(context, FaultStatuses.ProblemOf(fault));
        }
        catch (BadHttpRequestException fault)
        {
            await RefuseAsync(context, fault.StatusCode, fault.Message);
        }
        catch (ArgumentOutOfRangeException fault)
        {
            await RefuseAsync(context, StatusCodes.Status400BadRequest, fault.Message);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody listens.
        }
    }

    /// <summary>True when the request carries the token, which there is once the store has been opened.</summary>
    public bool HasToken(HttpContext context) => _token is { } token && AdminGuard.Carries(context, token);

    /// <summary>Reads the JSON body of a request.</summary>
    /// <exception cref="BadHttpRequestException">It is not what the route takes; the message says why.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type)
    {
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted)
                ?? throw new JsonException("null");
        }
        catch (JsonException malformed)
        {
            throw new BadHttpRequestException($"The body is not what is expected here: {malformed.Message}", malformed);
        }
    }

    /// <summary>Answers in JSON.</summary>
    public static Task WriteAsync<T>(HttpContext context, T answer, JsonTypeInfo<T> type, int status = StatusCodes.Status200OK)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type.Type == typeof(Problem) ? "application/problem+json" : "application/json";
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(answer, type), context.RequestAborted).AsTask();
    }

    private async Task RouteAsync(HttpContext context, string notOpen)
    {
        // Names may contain '/', escaped: the path is split as it was sent.
        string target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        string[] path = target.Split('?')[0].Split('/');
        ControlRoute[] routes = [.. ControlRoutes.All.Where(route => route.Matches(path, out _))];
        if (routes.Length == 0)
        {
            await RefuseAsync(context, StatusCodes.Status404NotFound, "There is nothing here; /v1/openapi.json says what there is.");
            return;
        }

        if (!AdminSocket.IsFromOwner(context) && !HasToken(context))
        {
            // Before there is a store there is no token either.
            if (_token is null)
            {
                await RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, notOpen);
                return;
            }

            context.Response.Headers.WWWAuthenticate = "Bearer";
            await RefuseAsync(
                context, StatusCodes.Status401Unauthorized,
                $"A token is needed, as Authorization: Bearer: the content of {AdminToken.FileName} in the server's data directory, or of its --admin-token-file.");
            return;
        }

        if (Array.Find(routes, route => route.Method == context.Request.Method) is not { } found)
        {
            context.Response.Headers.Allow = string.Join(", ", routes.Select(static route => route.Method));
            await RefuseAsync(context, StatusCodes.Status405MethodNotAllowed, $"{context.Request.Method} is not possible here.");
            return;
        }

        found.Matches(path, out string name);
        await RunAsync(found, context, name, notOpen);
    }

    private async Task RunAsync(ControlRoute route, HttpContext context, string name, string notOpen)
    {
        using var limit = RequestLimit.Of(context);
        if (Enter(limit) is not { } store)
        {
            await RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, notOpen);
            return;
        }

        try
        {
            await route.RunAsync(new ControlCall(context, store, name, limit));
        }
        catch (OperationCanceledException) when (limit.IsOver)
        {
            await RefuseAsync(context, limit.ProblemOf(store.Status));
        }
        finally
        {
            Leave(limit);
        }
    }

    private BlockStore? Enter(RequestLimit limit)
    {
        lock (_lock)
        {
            if (_store is not null) _inFlight.Add(limit);
            return _store;
        }
    }

    private void GiveUp(Func<RequestLimit, bool> whether)
    {
        RequestLimit[] waiting;
        lock (_lock) waiting = [.. _inFlight.Where(whether)];
        foreach (RequestLimit limit in waiting) limit.GiveUp();
    }

    private void Leave(RequestLimit limit)
    {
        lock (_lock)
        {
            _inFlight.Remove(limit);
            if (_inFlight.Count == 0) _idle?.TrySetResult();
        }
    }

    // From here on nobody enters; completes when the last one has left.
    private Task Refuse()
    {
        lock (_lock)
        {
            _store = null;
            _idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_inFlight.Count == 0) _idle.TrySetResult();
            return _idle.Task;
        }
    }

    private static async Task<bool> EndsWithinAsync(Task task, TimeSpan time)
    {
        try
        {
            await task.WaitAsync(time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private static Task RefuseAsync(HttpContext context, int status, string detail) =>
        RefuseAsync(context, FaultStatuses.ProblemOf(status, detail));

    private static Task RefuseAsync(HttpContext context, Problem problem)
    {
        if (context.Response.HasStarted)
        {
            // What was begun cannot be taken back: the client sees that it ends too soon.
            context.Abort();
            return Task.CompletedTask;
        }

        // The length of what would have been the answer.
        context.Response.ContentLength = null;
        return WriteAsync(context, problem, ControlJson.Default.Problem, problem.Status);
    }
}
