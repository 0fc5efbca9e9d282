using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Reads CSV with the header <c>timestamp_us,op,offset,length,fua</c> and, where the recorder wrote it,
/// <c>flags,connection</c>. Operations: R(ead), W(rite), F(lush), T(rim), Z(eroes), C(ache), B(lock status).
/// </summary>
internal static class CsvTrace
{
    public const string Header = "timestamp_us,op,offset,length,fua";
    public const string HeaderOfRecorder = Header + ",flags,connection";

    /// <summary>Letters of the operations, in the order of the commands' numbers; a dot has none.</summary>
    public const string Letters = "RW.FTCZB";

    /// <exception cref="FormatException">A line is not of that form.</exception>
    public static IEnumerable<TraceRecord> Read(TextReader text)
    {
        var lines = new TextLines(text);
        var header = lines.Next();
        if (header is not (Header or HeaderOfRecorder)) throw lines.Wrong($"the header is not {Header}");

        var width = header.Split(',').Length;
        while (lines.Next() is { } line)
        {
            var fields = line.Split(',');
            if (fields.Length != width) throw lines.Wrong($"{fields.Length} fields instead of {width}");

            var command = fields[1].Length == 1 && fields[1] != "." ? Letters.IndexOf(fields[1][0]) : -1;
            if (command < 0) throw lines.Wrong($"'{fields[1]}' is no operation");

            var flags = width > 5 ? (NbdRequestFlags)lines.Number(fields[5], "flags") : NbdRequestFlags.None;
            if (lines.Number(fields[4], "FUA") != 0) flags |= NbdRequestFlags.Fua;
            yield return new TraceRecord(
                lines.Number(fields[0], "time"),
                (NbdCommand)command,
                lines.Number(fields[2], "offset"),
                lines.Number(fields[3], "length"),
                flags,
                width > 6 ? (int)lines.Number(fields[6], "connection") : 0);
        }
    }
}
