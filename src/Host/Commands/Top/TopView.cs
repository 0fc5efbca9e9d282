using System.Globalization;
using ZeroFlow.Host.Live;

namespace ZeroFlow.Host.Commands.Top;

/// <summary>How large the screen is, and what it can show.</summary>
/// <param name="Width">Columns.</param>
/// <param name="Height">Lines; as many as it takes when null.</param>
/// <param name="HasBlocks">It can show the characters of bars.</param>
internal sealed record TopSize(int Width, int? Height, bool HasBlocks);

/// <summary>Lays a frame out in lines. Pure functions.</summary>
internal static class TopView
{
    private const int BarMax = 40;

    // The columns of the stages and of the exports are as wide at 80 as they need to be, and the first grows with the screen.
    private static readonly (string Name, int Columns)[] StageColumns =
        [("WAIT", 7), ("BUSY", 6), ("MSG/S", 7), ("IN/S", 10), ("OUT/S", 10), ("P50", 8), ("P99", 8)];

    private static readonly (string Name, int Columns)[] ExportColumns =
        [("CLIENTS", 8), ("BEHIND", 7), ("READ/S", 8), ("WRITE/S", 8), ("FLUSH/S", 8), ("FL P50", 8), ("FL P99", 8)];

    /// <summary>The lines of a frame, at most as many as there is room for.</summary>
    /// <param name="frame">What the server said last; null before it has said anything.</param>
    /// <param name="trouble">Why it says nothing any more; null while it does.</param>
    /// <param name="size">The screen.</param>
    public static IReadOnlyList<TopLine> Render(LiveFrame? frame, string? trouble, TopSize size)
    {
        var lines = new List<TopLine>();
        if (frame is null)
        {
            lines.Add(Line(size).Add(trouble is null ? "Asking the server ..." : "No answer", trouble is null ? TopStyle.Dim : TopStyle.Critical));
            if (trouble is not null) lines.AddRange(Words(trouble, size, 3));
            return Fit(lines, size);
        }

        AddState(lines, frame, trouble, size);
        AddStages(lines, frame, size);
        AddStores(lines, frame, size);
        AddExports(lines, frame, size);
        AddEvents(lines, frame, size);
        return Fit(lines, size);
    }

    private static void AddState(List<TopLine> lines, LiveFrame frame, string? trouble, TopSize size)
    {
        LiveState state = frame.State;
        bool isFinal = trouble is not null && state.Level == LiveLevel.Critical;
        string at = frame.Server.At.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        TopStyle tone = trouble is not null ? TopStyle.Critical : StyleOf(state.Level);
        string headline = trouble is null || isFinal ? state.Headline : "No answer from the server";
        lines.Add(Line(size).Add(headline, tone).AtEnd($"ZeroFlow {frame.Server.Version}  {at}", TopStyle.Dim));
        string detail = trouble is null ? state.Detail : $"{trouble} Last seen at {at}; going on as soon as it answers.";
        lines.AddRange(Words(detail, size, 2));
        if ((trouble is null || isFinal) && state.Reason is { } reason) lines.AddRange(Words(reason, size, 2));
        TopLine where = Line(size).Add(frame.Server.Store, TopStyle.Dim);
        lines.Add(where.AtEnd($"{TopNumbers.Count(frame.Server.Connections)} clients, CPU {TopNumbers.Percent(frame.Server.CpuShare)}, {TopNumbers.Bytes(frame.Server.ResidentBytes)}", TopStyle.Dim));
    }

    private static void AddStages(List<TopLine> lines, LiveFrame frame, TopSize size)
    {
        int columns = StageColumns.Sum(static column => column.Columns);
        int first = 9;
        int bar = Math.Clamp(size.Width - first - columns, 6, BarMax);
        lines.Add(Heads(Line(size).Cell("STAGE", first, TopStyle.Dim).Cell("QUEUE", bar, TopStyle.Dim), StageColumns));
        foreach (LiveStage stage in frame.Stages)
        {
            double full = stage.Bound > 4 ? (double)stage.Queue / stage.Bound : 0;
            TopStyle tone = full > 0.95 ? TopStyle.Critical : full > 0.5 ? TopStyle.Warning : TopStyle.Write;
            bool isIdle = stage.MessagesPerSecond <= 0 && stage.Active == 0 && stage.Queue == 0;
            lines.Add(Values(
                Line(size).Cell(stage.Name, first, isIdle ? TopStyle.Dim : TopStyle.Plain).Cell(Bar(Filled(stage), bar - 1, size), bar, tone),
                StageColumns, isIdle ? TopStyle.Dim : TopStyle.Plain,
                TopNumbers.Count(stage.Queue), TopNumbers.Percent(stage.BusyShare), TopNumbers.Count(stage.MessagesPerSecond),
                TopNumbers.Bytes(stage.BytesInPerSecond), TopNumbers.Bytes(stage.BytesOutPerSecond),
                TopNumbers.Latency(stage.Latency.P50), TopNumbers.Latency(stage.Latency.P99)));
        }
    }

    private static void AddStores(List<TopLine> lines, LiveFrame frame, TopSize size)
    {
        const int name = 9;
        int bar = Math.Clamp((size.Width - name) / 5, 6, BarMax);
        LiveWal wal = frame.Wal;
        double used = wal.LimitBytes > 0 ? (double)wal.DirtyBytes / wal.LimitBytes : 0;
        TopStyle tone = used > 0.9 ? TopStyle.Critical : used > 0.5 ? TopStyle.Warning : TopStyle.Write;
        lines.Add(Line(size).Cell("WAL", name, TopStyle.Bold).Cell(Bar(used, bar - 1, size), bar, tone)
            .Add($"{TopNumbers.Bytes(wal.DirtyBytes)} of {TopNumbers.Bytes(wal.LimitBytes)}, {TopNumbers.Span(wal.LagSeconds)} behind, sync {TopNumbers.Latency(wal.Sync.P50)}, p99 {TopNumbers.Latency(wal.Sync.P99)}"));
        foreach (LiveCache cache in frame.Caches)
        {
            double share = cache.LimitBytes > 0 ? (double)cache.Bytes / cache.LimitBytes : 0;
            string hits = cache.HitShare is { } found ? $", {TopNumbers.Percent(found)} of {TopNumbers.Count(cache.HitsPerSecond + cache.MissesPerSecond)}/s found" : "";
            lines.Add(Line(size).Cell(cache.Tier == "memory" ? "RAM cache" : $"{cache.Tier} cache", name + 2, TopStyle.Bold).Cell(Bar(share, bar - 3, size), bar - 2, TopStyle.Read)
                .Add(cache.Enabled ? $"{TopNumbers.Bytes(cache.Bytes)} of {TopNumbers.Bytes(cache.LimitBytes)}{hits}" : "off"));
        }

        TopLine bucket = Line(size).Cell("bucket", name, frame.Bucket.Reachable ? TopStyle.Bold : TopStyle.Critical);
        if (!frame.Bucket.Reachable) bucket.Add("away  ", TopStyle.Critical);
        foreach (LiveObjectRequests one in frame.Bucket.Requests)
        {
            bucket.Add($"{one.Kind} {TopNumbers.Count(one.PerSecond)}/s");
            if (one.FailedPerSecond > 0) bucket.Add($" ({TopNumbers.Count(one.FailedPerSecond)} failed)", TopStyle.Critical);
            bucket.Add("  ");
        }

        string cost = frame.Bucket.Cost.PerDay.ToString("0.00", CultureInfo.InvariantCulture);
        lines.Add(bucket.AtEnd($"{TopNumbers.Bytes(frame.Space.TableBytes + frame.Space.MapBytes)}, ~{cost} {frame.Bucket.Cost.Currency} a day"));
    }

    private static void AddExports(List<TopLine> lines, LiveFrame frame, TopSize size)
    {
        int columns = ExportColumns.Sum(static column => column.Columns);
        int level = size.Width >= 92 ? 11 : 3;
        int first = Math.Max(8, size.Width - columns - level);
        lines.Add(Heads(Line(size).Cell("EXPORT", first, TopStyle.Dim).Cell(level > 3 ? "LEVEL" : "L", level, TopStyle.Dim), ExportColumns));
        int room = size.Height is { } height ? Math.Max(1, height - 1 - lines.Count) : frame.Exports.Count;
        LiveExport[] busiestFirst =
        [
            .. frame.Exports
                .OrderByDescending(static e => e.Reads.PerSecond + e.Writes.PerSecond + e.Flushes.PerSecond)
                .ThenBy(static e => e.Name, StringComparer.Ordinal).Take(room),
        ];
        foreach (LiveExport one in busiestFirst)
        {
            string word = one.Level.ToString().ToLowerInvariant();
            lines.Add(Values(
                Line(size).Cell(one.Name, first).Cell(level > 3 ? word : word[..1].ToUpperInvariant(), level, TopStyle.Dim),
                ExportColumns, TopStyle.Plain,
                TopNumbers.Count(one.Attached), one.LagSeconds > 0 ? TopNumbers.Span(one.LagSeconds) : "-", TopNumbers.Count(one.Reads.PerSecond),
                TopNumbers.Count(one.Writes.PerSecond), TopNumbers.Count(one.Flushes.PerSecond),
                TopNumbers.Latency(one.Flushes.Latency.P50), TopNumbers.Latency(one.Flushes.Latency.P99)));
        }
    }

    private static void AddEvents(List<TopLine> lines, LiveFrame frame, TopSize size)
    {
        int room = size.Height is { } height ? height - 1 - lines.Count : 5;
        if (room < 2) return;
        lines.Add(Line(size));
        foreach (LiveEvent one in frame.Events.Take(room - 1))
        {
            string at = one.At.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
            lines.Add(Line(size).Cell(at, 9, TopStyle.Dim).Add(one.Text, one.Level == LiveLevel.Good ? TopStyle.Plain : StyleOf(one.Level)));
        }
    }

    private static TopLine Line(TopSize size) => new(size.Width);

    private static List<TopLine> Fit(List<TopLine> lines, TopSize size) =>
        size.Height is { } height && lines.Count > height - 1 ? lines[..Math.Max(0, height - 1)] : lines;

    private static TopLine Heads(TopLine line, (string Name, int Columns)[] columns)
    {
        foreach (var (name, width) in columns) line.Cell(name, width, TopStyle.Dim, isRight: true);
        return line;
    }

    private static TopLine Values(TopLine line, (string Name, int Columns)[] columns, TopStyle style, params string[] values)
    {
        for (int i = 0; i < columns.Length; i++) line.Cell(values[i], columns[i].Columns, style, isRight: true);
        return line;
    }

    // As on the page: bounds go from one to millions, so the scale is logarithmic.
    private static double Filled(LiveStage stage) =>
        stage.Bound > 0 ? Math.Log(1 + stage.Queue) / Math.Log(1 + stage.Bound) : 0;

    private static string Bar(double share, int columns, TopSize size)
    {
        int full = (int)Math.Round(Math.Clamp(share, 0, 1) * columns);
        if (full == 0 && share > 0.001) full = 1;
        return new string(size.HasBlocks ? '█' : '#', full) + new string(size.HasBlocks ? '░' : '.', columns - full);
    }

    private static TopStyle StyleOf(LiveLevel level) => level switch
    {
        LiveLevel.Critical => TopStyle.Critical,
        LiveLevel.Warning => TopStyle.Warning,
        LiveLevel.Good => TopStyle.Good,
        _ => TopStyle.Bold,
    };

    // Broken at blanks, into so many lines at most.
    private static List<TopLine> Words(string text, TopSize size, int linesMax)
    {
        var lines = new List<TopLine>();
        var line = Line(size);
        bool isFirst = true;
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!isFirst && TopLine.WidthOf(word) + 1 > line.Left)
            {
                lines.Add(line);
                if (lines.Count == linesMax) return lines;
                line = Line(size);
                isFirst = true;
            }

            line.Add(isFirst ? word : $" {word}");
            isFirst = false;
        }

        lines.Add(line);
        return lines;
    }
}
