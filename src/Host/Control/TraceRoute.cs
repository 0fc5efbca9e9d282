using System.Text.Json;
using Microsoft.AspNetCore.Http;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Control;

/// <summary>Streams the requests to the object store to whoever asks. One task for each call.</summary>
internal static class TraceRoute
{
    private static readonly ControlJson Json = ControlJson.Default;
    private static readonly byte[] s_newLine = "\n"u8.ToArray();

    /// <summary>Answers until the client goes away, its time is over, or the server stops.</summary>
    public static async Task RunAsync(ControlCall call)
    {
        Filter filter = FilterOf(call.Context.Request.Query);
        call.Limit.IsEndless = true;
        using ObjectRequestLog.Watcher watcher = call.Store.Requests.Watch(filter.Lets) ?? throw new StorageFaultException(
            FaultKind.Conflict, $"{ObjectRequestLog.WatchersMax} others trace the requests already.");
        call.Context.Response.ContentType = "application/x-ndjson";
        call.Context.Response.Headers.CacheControl = "no-store";
        try
        {
            // The headers go out at once: from then on nothing is missed.
            await call.Context.Response.Body.FlushAsync(call.Cancellation);
            while (await watcher.Entries.WaitToReadAsync(call.Cancellation)) await DrainAsync(call, watcher);
        }
        catch (OperationCanceledException)
        {
            // It ends as it was meant to end; what was written so far is whole lines.
        }
    }

    private static async Task DrainAsync(ControlCall call, ObjectRequestLog.Watcher watcher)
    {
        if (watcher.TakeLost() is > 0 and var lost) await WriteAsync(call, new TraceLine(Lost: lost));
        while (watcher.Entries.TryRead(out ObjectRequest? request))
        {
            await WriteAsync(call, new TraceLine(new RequestView(
                request.Time, request.Kind, request.Purpose, request.Key, request.Offset, request.Bytes,
                request.Duration.TotalSeconds, request.Attempt, request.Outcome, request.Error)));
        }

        await call.Context.Response.Body.FlushAsync(call.Cancellation);
    }

    private static async Task WriteAsync(ControlCall call, TraceLine line)
    {
        await call.Context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(line, Json.TraceLine), call.Cancellation);
        await call.Context.Response.Body.WriteAsync(s_newLine, call.Cancellation);
    }

    private static Filter FilterOf(IQueryCollection query) => new(
        Named<ObjectRequestKind>(query, "kind"), Named<ObjectPurpose>(query, "purpose"), query["prefix"].ToString(),
        query["failed"].ToString() switch
        {
            "true" => true,
            "" or "false" => false,
            _ => throw new BadHttpRequestException("failed must be true or false."),
        });

    private static T? Named<T>(IQueryCollection query, string name)
        where T : struct, Enum
    {
        string text = query[name].ToString();
        if (text.Length == 0) return null;
        foreach (T value in Enum.GetValues<T>())
        {
            if (value.ToString().Equals(text, StringComparison.OrdinalIgnoreCase)) return value;
        }

        string names = string.Join(", ", Enum.GetNames<T>().Select(JsonNamingPolicy.CamelCase.ConvertName));
        throw new BadHttpRequestException($"{name} must be one of {names}.");
    }

    private sealed record Filter(ObjectRequestKind? Kind, ObjectPurpose? Purpose, string Prefix, bool FailedOnly)
    {
        public bool Lets(ObjectRequest request) =>
            (Kind is null || Kind == request.Kind) && (Purpose is null || Purpose == request.Purpose)
            && request.Key.StartsWith(Prefix, StringComparison.Ordinal) && (!FailedOnly || request.Error is not null);
    }
}
