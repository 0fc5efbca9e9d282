using System.Globalization;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>Writes what <see cref="CsvTrace"/> reads. What connections negotiated has no place in it.</summary>
internal sealed class CsvTraceWriter : ITraceSink
{
    private readonly StreamWriter _text;

    /// <summary>Takes ownership of <paramref name="stream"/>.</summary>
    public CsvTraceWriter(Stream stream)
    {
        _text = new StreamWriter(stream) { NewLine = "\n" };
        _text.WriteLine(CsvTrace.HeaderOfRecorder);
    }

    /// <inheritdoc/>
    public void Connect(TraceConnection connection)
    {
    }

    /// <inheritdoc/>
    public void Add(in TraceRecord record)
    {
        var letter = (int)record.Command < CsvTrace.Letters.Length ? CsvTrace.Letters[(int)record.Command] : '.';
        if (letter == '.') return;

        var fua = record.Flags.HasFlag(NbdRequestFlags.Fua) ? 1 : 0;
        _text.Write(string.Create(
            CultureInfo.InvariantCulture, $"{record.Micros},{letter},{record.Offset},{record.Length},{fua}"));
        _text.WriteLine(string.Create(CultureInfo.InvariantCulture, $",{(ushort)record.Flags},{record.Connection}"));
    }

    public void Dispose() => _text.Dispose();
}
