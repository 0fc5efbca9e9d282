using System.Globalization;

namespace ZeroFlow.Perf.Traces;

/// <summary>The lines of a text trace, and errors that say which line they are in.</summary>
internal sealed class TextLines(TextReader text)
{
    private int _number;

    /// <summary>The next line that is not empty, or null at the end.</summary>
    public string? Next()
    {
        while (text.ReadLine() is { } line)
        {
            _number++;
            if (!string.IsNullOrWhiteSpace(line)) return line;
        }

        return null;
    }

    public long Number(string field, string what) =>
        long.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Wrong($"'{field}' is no {what}");

    public FormatException Wrong(string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"line {_number}: {what}"));
}
