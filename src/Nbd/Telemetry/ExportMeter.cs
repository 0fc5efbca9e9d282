using System.Diagnostics;
using System.Diagnostics.Metrics;
using ZeroFlow.Nbd.Protocol;

namespace ZeroFlow.Nbd.Telemetry;

/// <summary>What the requests of one export count. Thread-safe; allocates nothing while counting.</summary>
internal sealed class ExportMeter
{
    private static readonly string[] s_operations =
        ["read", "write", "disconnect", "flush", "trim", "cache", "write_zeroes", "block_status", "unsupported"];

    private static readonly string[] s_results =
        ["ok", "EPERM", "EIO", "ENOMEM", "EINVAL", "ENOSPC", "EOVERFLOW", "ENOTSUP", "ESHUTDOWN"];

    private static readonly string[] s_names = [.. s_operations.Select(static op => $"nbd {op}")];

    private readonly string _export;
    private readonly Histogram<double> _seconds;
    private readonly TagList[] _tags;
    private readonly long[] _requests = new long[s_operations.Length * s_results.Length];
    private readonly long[] _bytes = new long[s_operations.Length];

    public ExportMeter(string export, Histogram<double> seconds)
    {
        _export = export;
        _seconds = seconds;
        _tags = [.. s_operations.Select(op => new TagList { { "export", export }, { "op", op } })];
    }

    /// <summary>Counts one answered request. Only those that succeed add their bytes.</summary>
    public void Count(NbdCommand command, NbdError error, long bytes, TimeSpan duration)
    {
        int operation = Math.Min((int)command, s_operations.Length - 1);
        Interlocked.Increment(ref _requests[(operation * s_results.Length) + ResultOf(error)]);
        if (error == NbdError.None) Interlocked.Add(ref _bytes[operation], bytes);
        if (_seconds.Enabled) _seconds.Record(duration.TotalSeconds, _tags[operation]);
    }

    /// <summary>The name of the trace of a request.</summary>
    public static string TraceName(NbdCommand command) => s_names[Math.Min((int)command, s_names.Length - 1)];

    /// <summary>Ends the trace of a request.</summary>
    public void End(Activity trace, in RequestHeader header, NbdError error)
    {
        trace.SetTag("zeroflow.export", _export).SetTag("zeroflow.offset", header.Offset).SetTag("zeroflow.length", header.Length);
        if (error != NbdError.None) trace.SetStatus(ActivityStatusCode.Error, s_results[ResultOf(error)]);
        trace.Dispose();
    }

    /// <summary>The request counts that are not zero.</summary>
    public IEnumerable<Measurement<long>> Requests()
    {
        for (int i = 0; i < _requests.Length; i++)
        {
            long count = Volatile.Read(ref _requests[i]);
            if (count == 0) continue;
            yield return new Measurement<long>(
                count,
                new("export", _export),
                new("op", s_operations[i / s_results.Length]),
                new("result", s_results[i % s_results.Length]));
        }
    }

    /// <summary>The byte counts that are not zero.</summary>
    public IEnumerable<Measurement<long>> Bytes()
    {
        for (int i = 0; i < _bytes.Length; i++)
        {
            long count = Volatile.Read(ref _bytes[i]);
            if (count == 0) continue;
            yield return new Measurement<long>(count, new("export", _export), new("op", s_operations[i]));
        }
    }

    private static int ResultOf(NbdError error) => error switch
    {
        NbdError.None => 0,
        NbdError.NotPermitted => 1,
        NbdError.InputOutput => 2,
        NbdError.NoMemory => 3,
        NbdError.Invalid => 4,
        NbdError.NoSpace => 5,
        NbdError.Overflow => 6,
        NbdError.NotSupported => 7,
        _ => 8,
    };
}
