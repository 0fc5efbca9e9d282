using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Reads fio's I/O logs (<c>write_iolog</c>). Version 2 has no times: requests follow each other at once, but for its
/// <c>wait</c> lines, which name the moment, in microseconds after the previous wait. Version 3 begins each line with
/// microseconds. <c>sync</c> and <c>datasync</c> are FLUSHes.
/// </summary>
internal static class FioLogTrace
{
    public const string HeaderStart = "fio version ";

    /// <exception cref="FormatException">A line is not of that form, or the device is not one.</exception>
    public static IEnumerable<TraceRecord> Read(TextReader text, DeviceChoice devices)
    {
        var lines = new TextLines(text);
        var timed = lines.Next() switch
        {
            "fio version 2 iolog" => false,
            "fio version 3 iolog" => true,
            _ => throw lines.Wrong("the header is neither that of version 2 nor of version 3"),
        };
        var now = 0L;
        while (lines.Next() is { } line)
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (timed)
            {
                now = lines.Number(fields[0], "time");
                fields = fields[1..];
            }

            // File management lines: what is opened or closed is no request.
            if (fields is [_, "add" or "open" or "close"]) continue;
            if (fields is not [var device, var action, var first, var second])
                throw lines.Wrong("neither FILE ACTION nor FILE ACTION OFFSET LENGTH");

            if (action == "wait" && !timed) now += lines.Number(first, "wait");
            else if (devices.Takes(device)) yield return RecordOf(lines, now, action, first, second);
        }

        devices.Check();
    }

    private static TraceRecord RecordOf(TextLines lines, long now, string action, string first, string second)
    {
        var command = action switch
        {
            "read" => NbdCommand.Read,
            "write" => NbdCommand.Write,
            "trim" => NbdCommand.Trim,
            "sync" or "datasync" => NbdCommand.Flush,
            _ => throw lines.Wrong($"'{action}' is no action"),
        };

        // fio logs where the last transfer was with each sync: a FLUSH is of the whole device.
        return command == NbdCommand.Flush
            ? new TraceRecord(now, command, 0, 0)
            : new TraceRecord(now, command, lines.Number(first, "offset"), lines.Number(second, "length"));
    }
}
