using System.Globalization;
using System.Text.Json;
using Spectre.Console;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>What a trace amounts to: requests by kind and purpose, and what they would cost in a day.</summary>
internal sealed class TraceSummary
{
    private readonly SortedDictionary<(ObjectRequestKind Kind, ObjectPurpose Purpose), Sum> _sums = [];

    /// <summary>Requests that were not seen, because they came faster than they were read.</summary>
    public long Lost { get; private set; }

    /// <summary>Requests that were seen.</summary>
    public long Requests => _sums.Values.Sum(static sum => sum.Requests);

    /// <summary>Counts a line of the trace.</summary>
    public void Add(TraceLine line)
    {
        Lost += line.Lost ?? 0;
        if (line.Request is not { } request) return;
        if (!_sums.TryGetValue((request.Kind, request.Purpose), out Sum? sum)) _sums[(request.Kind, request.Purpose)] = sum = new Sum();
        sum.Requests++;
        sum.Seconds += request.Seconds;
        sum.SecondsMax = Math.Max(sum.SecondsMax, request.Seconds);
        if (request.Error is not null) sum.Failed++;
        else sum.Bytes += request.Bytes;
    }

    /// <summary>US dollars a day, if it went on like that.</summary>
    public double DollarsADay(TimeSpan traced) =>
        _sums.Sum(static sum => sum.Value.Requests * ListPrice.Of(sum.Key.Kind)) * (TimeSpan.FromDays(1) / traced);

    /// <summary>Writes it for people.</summary>
    public void Write(TextWriter output, TimeSpan traced)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(output),
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
        });
        console.Profile.Width = 120;
        Table table = new Table().Border(TableBorder.None).AddColumns("request", "for");
        foreach (string name in (string[])["requests", "failed", "bytes", "mean", "longest", "USD a day"])
            table.AddColumn(new TableColumn(name).RightAligned());
        foreach (var ((kind, purpose), sum) in _sums)
        {
            table.AddRow(
                Name(kind), Name(purpose), Number(sum.Requests), Number(sum.Failed), Quantities.FormatSize(sum.Bytes),
                Milliseconds(sum.Seconds / sum.Requests), Milliseconds(sum.SecondsMax),
                Dollars(sum.Requests * ListPrice.Of(kind) * (TimeSpan.FromDays(1) / traced)));
        }

        console.Write(table);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Requests} requests in {traced.TotalSeconds:F1} s: {Dollars(DollarsADay(traced))} USD a day at the list price of S3 Standard (us-east-1), without space and transfer."));
        if (Lost > 0) output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Lost} requests were not seen: they came faster than they were read."));
    }

    /// <summary>A name as the API has it.</summary>
    public static string Name<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    /// <summary>A time for people.</summary>
    public static string Milliseconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1000:F1} ms");

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Dollars(double dollars) => dollars.ToString("F2", CultureInfo.InvariantCulture);

    private sealed class Sum
    {
        public long Requests { get; set; }

        public long Failed { get; set; }

        public long Bytes { get; set; }

        public double Seconds { get; set; }

        public double SecondsMax { get; set; }
    }
}
