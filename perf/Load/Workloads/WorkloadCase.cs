using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace ZeroFlow.Perf.Workloads;

/// <summary>A workload at a depth and a number of connections: <c>NAME@DEPTH[xCONNECTIONS]</c>.</summary>
internal sealed record WorkloadCase(Workload Workload, int Depth, int Connections)
{
    /// <summary>4 KiB and 128 KiB each way, one at a time and many; one and eight committers; clean FLUSH.</summary>
    public static readonly string[] DefaultMatrix =
    [
        "read4k@1", "read4k@32", "write4k@1", "write4k@32",
        "read128k@1", "read128k@32", "write128k@1", "write128k@32",
        "write4k+flush@1", "write4k+flush@8", "flush@1",
    ];

    public string Name => Connections == 1
        ? string.Create(CultureInfo.InvariantCulture, $"{Workload.Name}@{Depth}")
        : string.Create(CultureInfo.InvariantCulture, $"{Workload.Name}@{Depth}x{Connections}");

    /// <summary>What is asked for, and how much of it at once, for people.</summary>
    public string Words
    {
        get
        {
            var atOnce = Depth == 1 ? "one at a time" : string.Create(CultureInfo.InvariantCulture, $"{Depth} at once");
            var each = Connections == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $" on each of {Connections} connections");
            return $"{Workload.Words}, {atOnce}{each}";
        }
    }

    /// <summary>Whether <paramref name="text"/> is of that form.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out WorkloadCase? item)
    {
        try
        {
            item = Parse(text);
            return true;
        }
        catch (FormatException)
        {
            item = null;
            return false;
        }
    }

    /// <exception cref="FormatException">Not of that form.</exception>
    public static WorkloadCase Parse(string text)
    {
        var parts = text.Split('@');
        var load = parts.Length == 2 ? parts[1].Split('x') : ["1"];
        var connections = "1";
        if (load.Length == 2) connections = load[1];
        if (parts.Length > 2 || load.Length > 2 ||
            !int.TryParse(load[0], CultureInfo.InvariantCulture, out var depth) || depth is < 1 or > 4096 ||
            !int.TryParse(connections, CultureInfo.InvariantCulture, out var count) || count is < 1 or > 64)
            throw new FormatException($"'{text}' is not WORKLOAD@DEPTH or WORKLOAD@DEPTHxCONNECTIONS");

        return new WorkloadCase(Workload.Parse(parts[0]), depth, count);
    }
}
