using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Reads the block traces of Microsoft Research Cambridge (SNIA IOTTA): CSV without a header, of time in Windows ticks
/// of 100 ns, host, disk number, Read or Write, offset, size and response time. A device is called HOST.DISK.
/// </summary>
internal static class MsrTrace
{
    /// <exception cref="FormatException">A line is not of that form, or the device is not one.</exception>
    public static IEnumerable<TraceRecord> Read(TextReader text, DeviceChoice devices)
    {
        var lines = new TextLines(text);
        while (lines.Next() is { } line)
        {
            var fields = line.Split(',');
            if (fields.Length != 7) throw lines.Wrong($"{fields.Length} fields instead of 7");
            if (!devices.Takes($"{fields[1]}.{fields[2]}")) continue;

            var command = fields[3] switch
            {
                "Read" => NbdCommand.Read,
                "Write" => NbdCommand.Write,
                _ => throw lines.Wrong($"'{fields[3]}' is neither Read nor Write"),
            };
            yield return new TraceRecord(
                lines.Number(fields[0], "time") / 10,
                command,
                lines.Number(fields[4], "offset"),
                lines.Number(fields[5], "size"));
        }

        devices.Check();
    }
}
