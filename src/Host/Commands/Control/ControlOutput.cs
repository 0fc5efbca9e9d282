using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Spectre.Console;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>Prints answers: tables for people, or the API's own JSON.</summary>
internal sealed class ControlOutput(TextWriter writer, bool isJson)
{
    // Wide enough that no table of a pipe is broken into lines.
    private const int PipeColumns = 240;

    /// <summary>True when the API's own JSON is wanted.</summary>
    public bool IsJson => isJson;

    /// <summary>Prints exports and snapshots.</summary>
    public void Write(ExportList list)
    {
        if (TryWriteJson(list, ControlJson.Default.ExportList)) return;
        Table table = NewTable("NAME", "SIZE", "LEVEL", "ATTACHED", "");
        foreach (ExportView export in list.Exports)
        {
            table.AddRow(
                Text(export.Name), Text(Quantities.FormatSize(export.SizeBytes)), Text(export.Level.ToString().ToLowerInvariant()),
                Text(export.Attached.ToString(CultureInfo.InvariantCulture)), Text(Remark(export)));
        }

        Console().Write(table);
    }

    /// <summary>Prints one export or snapshot.</summary>
    public void Write(ExportView export)
    {
        if (TryWriteJson(export, ControlJson.Default.ExportView)) return;
        WriteFields(
            ("name", export.Name),
            ("formerly", export.FormerNames is { } names ? string.Join(", ", names) : null),
            ("size", $"{Quantities.FormatSize(export.SizeBytes)} ({export.SizeBytes} bytes)"),
            ("chunk", Quantities.FormatSize(export.ChunkBytes)),
            ("level", export.Level.ToString().ToLowerInvariant()),
            ("compression", export.Compression?.ToString(CultureInfo.InvariantCulture)),
            ("read-only", export.ReadOnly ? "yes" : "no"),
            ("write-through", export.WriteThrough ? "yes" : "no"),
            ("attached", export.Attached.ToString(CultureInfo.InvariantCulture)),
            ("snapshot of", export.SnapshotOf),
            ("created", export.CreatedAt?.ToString("u", CultureInfo.InvariantCulture)),
            ("description", export.Description.Length == 0 ? null : export.Description));
    }

    /// <summary>Prints the state of the store.</summary>
    public void Write(StatusView status)
    {
        if (TryWriteJson(status, ControlJson.Default.StatusView)) return;
        WriteFields(
            ("store", status.Phase),
            ("fault", status.Fault),
            ("bucket", status.BucketReachable ? "reachable" : $"away: {status.BucketError}"),
            ("not published", $"{Quantities.FormatSize(status.DirtyBytes)}, the oldest for {status.OldestUnpublishedSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s"),
            ("epoch", $"{status.Epoch}, table {status.LastTable}"),
            ("live", Quantities.FormatSize(status.LiveBytes)),
            ("in the bucket", $"{Quantities.FormatSize(status.TableBytes)} of tables, {Quantities.FormatSize(status.MapBytes)} of map"),
            ("settled", Quantities.FormatSize(status.SettledBytes)),
            ("to be deleted", $"{status.WaitingObjects} objects"));
    }

    /// <summary>Prints what a scrub found.</summary>
    public void Write(ScrubReport report)
    {
        if (TryWriteJson(new ScrubLine(Report: report), ControlJson.Default.ScrubLine)) return;
        WriteFields(
            ("read", $"{report.Tables} tables, {report.Frames} frames, {report.Pages} pages of the map, {Quantities.FormatSize(report.Bytes)}"),
            ("counts", report.CountsChecked ? "compared" : "not compared: a checkpoint was under way, or pages could not be read"),
            ("findings", report.Findings.Count.ToString(CultureInfo.InvariantCulture)));
        foreach (ScrubFinding finding in report.Findings)
        {
            writer.WriteLine($"{finding.Problem}: {finding.ObjectKey}: {finding.Detail}");
            foreach (DamagedRange range in finding.Ranges)
                writer.WriteLine($"  {range.Export}: {range.Length} bytes at {range.Offset}, {(range.IsRepaired ? "repaired" : "LOST")}");
        }
    }

    private static string Remark(ExportView export)
    {
        if (export.CreatedAt is { } at) return $"snapshot of {at.ToString("u", CultureInfo.InvariantCulture)}";
        return export.ReadOnly ? $"read-only {export.Description}" : export.Description;
    }

    private bool TryWriteJson<T>(T answer, JsonTypeInfo<T> type)
    {
        if (isJson) writer.WriteLine(JsonSerializer.Serialize(answer, type));
        return isJson;
    }

    private void WriteFields(params (string Name, string? Value)[] fields)
    {
        var grid = new Grid().AddColumn().AddColumn();
        foreach (var (name, value) in fields)
        {
            if (value is not null) grid.AddRow(Text(name), Text(value));
        }

        Console().Write(grid);
    }

    private static Table NewTable(params string[] columns)
    {
        var table = new Table { Border = TableBorder.None };
        foreach (string column in columns) table.AddColumn(new TableColumn(Text(column)) { NoWrap = true });
        return table;
    }

    // Names and descriptions are text, never markup.
    private static Text Text(string text) => new(text);

    private IAnsiConsole Console()
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        if (System.Console.IsOutputRedirected) console.Profile.Width = PipeColumns;
        return console;
    }
}
