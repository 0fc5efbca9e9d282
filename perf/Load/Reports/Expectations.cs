using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace ZeroFlow.Perf.Reports;

/// <summary>Which figure of a case two servers are compared by.</summary>
internal enum ExpectedFigure
{
    /// <summary>Requests a second.</summary>
    Requests,

    /// <summary>CPU time of the server for each request.</summary>
    ServerCpu,
}

/// <summary>
/// What a comparison is to show: the first server's median as a multiple of a peer's in the same run. Figures by themselves
/// are the machine's; what two servers make of the same machine, in turns, is theirs.
/// </summary>
/// <param name="Case">The case, such as <c>read4k@32</c>.</param>
/// <param name="Peer">The peer.</param>
/// <param name="Figure">What is compared.</param>
internal sealed record Expectation(string Case, string Peer, ExpectedFigure Figure)
{
    /// <summary>The ratio when it was last looked at, for people.</summary>
    public double? Measured { get; init; }

    /// <summary>The least that it may be.</summary>
    public double? AtLeast { get; init; }

    /// <summary>The most that it may be.</summary>
    public double? AtMost { get; init; }
}

/// <summary>An expectation and what came of it.</summary>
/// <param name="Expected">What was expected.</param>
/// <param name="Ratio">What was measured; null when it was not.</param>
internal sealed record ExpectationResult(Expectation Expected, double? Ratio)
{
    /// <summary>False, too, when nothing was measured.</summary>
    public bool IsMet => Ratio is { } ratio && !(ratio < Expected.AtLeast) && !(ratio > Expected.AtMost);
}

/// <summary>Stored expectations, and a comparison held against them.</summary>
internal static class Expectations
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
    };

    /// <summary>Reads a file of expectations.</summary>
    /// <exception cref="FormatException">It is not one.</exception>
    public static IReadOnlyList<Expectation> Parse(string json)
    {
        try
        {
            Expectation[]? read = JsonSerializer.Deserialize<Expectation[]>(json, Options);
            if (read is null || read.Length == 0) throw new FormatException("There are no expectations.");
            return read.FirstOrDefault(static one => one is { AtLeast: null, AtMost: null }) is { } vague
                ? throw new FormatException($"{vague.Case} against {vague.Peer} expects nothing: give atLeast or atMost.")
                : read;
        }
        catch (JsonException wrong)
        {
            throw new FormatException(wrong.Message, wrong);
        }
    }

    /// <summary>Holds the medians of a comparison against what is expected of <paramref name="server"/>.</summary>
    public static IReadOnlyList<ExpectationResult> Check(
        IReadOnlyList<Expectation> expected, IReadOnlyList<CompareLine> lines, string server) =>
        [.. expected.Select(one => new ExpectationResult(one, RatioOf(one, lines, server)))];

    /// <summary>A line for each result.</summary>
    public static string TextOf(IReadOnlyList<ExpectationResult> results)
    {
        var text = new StringBuilder();
        foreach (ExpectationResult result in results)
        {
            Expectation one = result.Expected;
            string bound = one.AtLeast is { } least ? $"at least {Times(least)}" : $"at most {Times(one.AtMost!.Value)}";
            string ratio = result.Ratio is { } measured ? Times(measured) : "not measured";
            string figure = one.Figure == ExpectedFigure.Requests ? "requests" : "CPU a request";
            text.AppendLine($"{(result.IsMet ? "ok" : "FAILED"),-6} {one.Case}, {figure}, against {one.Peer}: {ratio}, expected {bound}");
        }

        return text.ToString();
    }

    private static string Times(double ratio) => ratio.ToString("0.00", CultureInfo.InvariantCulture) + "x";

    private static double? RatioOf(Expectation one, IReadOnlyList<CompareLine> lines, string server)
    {
        double? ours = FigureOf(one, lines, server);
        double? theirs = FigureOf(one, lines, one.Peer);
        return theirs > 0 ? ours / theirs : null;
    }

    private static double? FigureOf(Expectation one, IReadOnlyList<CompareLine> lines, string peer)
    {
        CompareLine? line = lines.SingleOrDefault(line => line.Case == one.Case && line.Peer == peer);
        return one.Figure == ExpectedFigure.Requests ? line?.RequestsPerSecond.Median : line?.ServerCpuMicrosPerRequest?.Median;
    }
}
