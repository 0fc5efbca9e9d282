using System.IO.Compression;
using System.Text.RegularExpressions;

namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Opens trace files of every known format, in gzip or not, and tells the formats apart by their begin.
/// </summary>
internal static partial class TraceFile
{
    private const int GzipMagic = 0x8b1f;

    // More than the text before the first event of any format.
    private const int LookBytes = 64 * 1024;

    /// <summary>Reads a whole trace; <paramref name="device"/> chooses among several devices.</summary>
    /// <exception cref="FormatException">Of no known format, or damaged; the message names the place.</exception>
    public static Trace Load(string path, string? device = null)
    {
        try
        {
            using var stream = OpenUnpacked(path);
            return new Trace(NameOf(path), Parse(stream, new DeviceChoice(device)).ToList());
        }
        catch (Exception exception) when (exception is FormatException or InvalidDataException)
        {
            throw new FormatException($"{path}: {exception.Message}", exception);
        }
    }

    /// <summary>The records of a stream that can seek.</summary>
    public static IEnumerable<TraceRecord> Parse(Stream stream, DeviceChoice devices)
    {
        var head = new byte[LookBytes];
        var length = stream.ReadAtLeast(head, LookBytes, throwOnEndOfStream: false);
        stream.Position = 0;
        if (head.AsSpan(0, length).StartsWith(RecordedTraceFormat.Magic)) return new RecordedTrace(stream).Read();

        var look = new StreamReader(new MemoryStream(head, 0, length)).ReadToEnd().Split('\n');
        var text = new StreamReader(stream);
        return look.FirstOrDefault(line => line.Length > 0) switch
        {
            null => [],
            var line when line.StartsWith(CsvTrace.Header, StringComparison.Ordinal) => CsvTrace.Read(text),
            var line when line.StartsWith(FioLogTrace.HeaderStart, StringComparison.Ordinal) =>
                FioLogTrace.Read(text, devices),
            var line when MsrLine().IsMatch(line) => MsrTrace.Read(text, devices),
            _ when look.Any(BlkparseTrace.Matches) => BlkparseTrace.Read(text, devices),
            _ => throw new FormatException("no trace of a known format"),
        };
    }

    private static MemoryStream OpenUnpacked(string path)
    {
        using var file = File.OpenRead(path);
        var packed = file.Length > 2 && (file.ReadByte() | file.ReadByte() << 8) == GzipMagic;
        file.Position = 0;

        // Telling formats apart needs to look ahead: a trace is small beside what its replay keeps in memory.
        var whole = new MemoryStream();
        if (packed) new GZipStream(file, CompressionMode.Decompress).CopyTo(whole);
        else file.CopyTo(whole);
        whole.Position = 0;
        return whole;
    }

    private static string NameOf(string path)
    {
        var name = Path.GetFileName(path);
        if (name.EndsWith(".gz", StringComparison.Ordinal)) name = name[..^3];
        return Path.GetFileNameWithoutExtension(name);
    }

    [GeneratedRegex(@"^\d+,[^,]*,\d+,(Read|Write),\d+,\d+,\d+\s*$")]
    private static partial Regex MsrLine();
}
