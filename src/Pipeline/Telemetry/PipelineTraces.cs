using System.Diagnostics;

namespace ZeroFlow.Pipeline.Telemetry;

/// <summary>
/// Traces of single requests on their way through the stages, as activities of the source <see cref="SourceName"/>. One
/// request in <see cref="OneIn"/> is traced, decided at its arrival; everything that it leads to, up to the commit of the
/// table that holds it, belongs to its trace. Thread-safe.
/// </summary>
/// <remarks>While it is off nothing is made: a request pays one comparison.</remarks>
public sealed class PipelineTraces
{
    /// <summary>Name of the source that an exporter listens to.</summary>
    public const string SourceName = "ZeroFlow";

    private static readonly ActivitySource s_source = new(SourceName);

    private long _requests;

    /// <summary>One request in so many is traced; zero traces none.</summary>
    public int OneIn { get; set; }

    /// <summary>False when nothing is traced.</summary>
    public bool IsOn => OneIn > 0;

    /// <summary>The activity of the request that this thread works for, if it is one of ours.</summary>
    public Activity? Current => IsOn && Activity.Current is { } current && ReferenceEquals(current.Source, s_source) ? current : null;

    /// <summary>
    /// Begins the trace of a request that arrived <paramref name="ago"/>, if its turn has come. It is current on this
    /// thread until the caller says otherwise.
    /// </summary>
    public Activity? Begin(string name, TimeSpan ago)
    {
        int oneIn = OneIn;
        if (oneIn <= 0 || Interlocked.Increment(ref _requests) % oneIn != 0) return null;
        Activity.Current = null;
        Activity? trace = s_source.StartActivity(name, ActivityKind.Server);
        trace?.SetStartTime(trace.StartTimeUtc - ago);
        return trace;
    }

    /// <summary>Begins a part of <paramref name="parent"/>, which may have ended; null without one.</summary>
    public static Activity? Begin(string name, Activity? parent, IEnumerable<ActivityLink>? links = null) => parent is null
        ? null
        : s_source.StartActivity(name, ActivityKind.Internal, parent.Context, links: links);

    /// <summary>Begins a part of whatever request this code works for; null when that is not traced.</summary>
    public static Activity? BeginPart(string name, ActivityKind kind = ActivityKind.Internal) =>
        Activity.Current is { } current && ReferenceEquals(current.Source, s_source) ? s_source.StartActivity(name, kind) : null;

    /// <summary>Adds a part of <paramref name="parent"/> that is over.</summary>
    public static void Add(string name, Activity parent, DateTime start, DateTime end)
    {
        using Activity? part = s_source.StartActivity(name, ActivityKind.Internal, parent.Context, startTime: start);
        part?.SetEndTime(end);
    }
}
