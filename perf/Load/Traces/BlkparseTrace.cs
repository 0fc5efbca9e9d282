using System.Globalization;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Reads the text that <c>blkparse</c> prints of a <c>blktrace</c> in its default format:
/// <c>MAJOR,MINOR CPU NUMBER SECONDS.NANOSECONDS PID ACTION RWBS SECTOR + SECTORS [PROCESS]</c>.
/// </summary>
/// <remarks>
/// One request shows up in several actions. What was issued to the driver (D) counts, because that is what a device
/// sees; a trace without it is read from what was queued (Q). RWBS is an optional F for a FLUSH before, then one of
/// W(rite), R(ead), D(iscard) or N(othing), then F for FUA and further letters that say nothing to a device.
/// </remarks>
internal static class BlkparseTrace
{
    private const int SectorBytes = 512;

    /// <exception cref="FormatException">No line is a request, or the device is not one.</exception>
    public static IEnumerable<TraceRecord> Read(TextReader text, DeviceChoice devices)
    {
        var lines = new TextLines(text);
        var issued = new List<TraceRecord>();
        var queued = new List<TraceRecord>();
        while (lines.Next() is { } line)
        {
            // Messages of processes and the summary at the end stand between the events.
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 7 || fields[5] is not ("D" or "Q") || !TryTime(fields[3], out var micros)) continue;
            if (devices.Takes(fields[0])) Add(fields[5] == "D" ? issued : queued, micros, fields, lines);
        }

        devices.Check();
        var records = issued.Count > 0 ? issued : queued;
        return records.Count > 0 ? records : throw new FormatException("no line is an event of blkparse");
    }

    /// <summary>Whether a line looks like one of an event.</summary>
    public static bool Matches(string line)
    {
        var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length >= 7 && fields[0].Split(',').Length == 2 && TryTime(fields[3], out _);
    }

    private static void Add(List<TraceRecord> records, long micros, string[] fields, TextLines lines)
    {
        var rwbs = fields[6];
        if (rwbs.StartsWith('F'))
        {
            records.Add(new TraceRecord(micros, NbdCommand.Flush, 0, 0));
            rwbs = rwbs[1..];
        }

        // Only what names sectors moves data: a bare FLUSH is "FN", or "FWS" without a range.
        if (fields.Length < 10 || fields[8] != "+") return;

        NbdCommand? command = rwbs switch
        {
            ['R', ..] => NbdCommand.Read,
            ['W', ..] => NbdCommand.Write,
            ['D', ..] => NbdCommand.Trim,
            _ => null,
        };
        var sectors = lines.Number(fields[9], "number of sectors");
        if (command is null || sectors == 0) return;

        var flags = rwbs.IndexOf('F') > 0 ? NbdRequestFlags.Fua : NbdRequestFlags.None;
        var offset = lines.Number(fields[7], "sector") * SectorBytes;
        records.Add(new TraceRecord(micros, command.Value, offset, sectors * SectorBytes, flags));
    }

    private static bool TryTime(string field, out long micros)
    {
        micros = 0;
        if (!field.Contains('.') || !decimal.TryParse(
            field, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds)) return false;

        micros = (long)(seconds * 1_000_000);
        return true;
    }
}
