using Microsoft.AspNetCore.Http;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Control;

/// <summary>How long a request may wait: until its client goes away, and no longer than it says itself or the server lives.</summary>
internal sealed class RequestLimit : IDisposable
{
    /// <summary>The query parameter that every route takes.</summary>
    public const string Parameter = "timeout";

    /// <summary>What it may be, for messages.</summary>
    public const string Form = $"{Quantities.DurationForm}, from 1ms to 1d";

    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    private readonly HttpContext _context;
    private readonly TimeSpan? _time;
    private readonly CancellationTokenSource _over;
    private volatile bool _isGivenUp;

    private RequestLimit(HttpContext context, TimeSpan? time)
    {
        _context = context;
        _time = time;
        _over = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        if (time is { } limit) _over.CancelAfter(limit);
    }

    /// <summary>
    /// True for a request that goes on until somebody ends it: it ends at once when the server begins to stop.
    /// </summary>
    public bool IsEndless { get; set; }

    /// <summary>Cancelled when nobody waits any more.</summary>
    public CancellationToken Token => _over.Token;

    /// <summary>
    /// True when the time is over, the request's own or the server's, and its client is still there to be told.
    /// </summary>
    public bool IsOver => _over.IsCancellationRequested && !_context.RequestAborted.IsCancellationRequested;

    /// <summary>Reads a limit.</summary>
    public static bool TryParse(string text, out TimeSpan limit) =>
        Quantities.TryParseDuration(text, out limit) && limit > TimeSpan.Zero && limit <= Longest;

    /// <summary>The limit of a request, which begins now.</summary>
    /// <exception cref="BadHttpRequestException">It is not a time.</exception>
    public static RequestLimit Of(HttpContext context)
    {
        string text = context.Request.Query[Parameter].ToString();
        if (text.Length == 0) return new RequestLimit(context, null);
        return TryParse(text, out TimeSpan limit)
            ? new RequestLimit(context, limit)
            : throw new BadHttpRequestException($"{Parameter} must be {Form}.");
    }

    /// <summary>The server cannot wait any longer. Thread-safe.</summary>
    public void GiveUp()
    {
        _isGivenUp = true;
        try
        {
            _over.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended in this moment.
        }
    }

    /// <summary>What a client is told whose time is over.</summary>
    public Problem ProblemOf(StoreStatus status)
    {
        if (_isGivenUp)
        {
            // A store that failed is why the server stops, and the better answer.
            FaultKind kind = status.IsFenced ? FaultKind.Fenced : FaultKind.Closing;
            return FaultStatuses.ProblemOf(new StorageFaultException(
                kind, status.Fault ?? "The server is shutting down; a change that was begun takes effect all the same."));
        }

        string reason = status.BucketReachable ? "" : $" The bucket is away: {status.LastStoreError?.TrimEnd('.')}.";
        return FaultStatuses.ProblemOf(
            StatusCodes.Status504GatewayTimeout,
            $"Not done within {Quantities.FormatDuration(_time ?? default)}; a change that was begun takes effect all the same.{reason}");
    }

    /// <inheritdoc/>
    public void Dispose() => _over.Dispose();
}
