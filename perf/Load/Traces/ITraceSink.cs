namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Takes a trace as it happens, in the order of time. One caller at a time. Disposing it completes the file.
/// </summary>
internal interface ITraceSink : IDisposable
{
    /// <summary>A connection has been negotiated; comes before its first request.</summary>
    void Connect(TraceConnection connection);

    /// <summary>A request was sent.</summary>
    void Add(in TraceRecord record);
}
