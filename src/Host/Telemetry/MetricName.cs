using System.Diagnostics.Metrics;
using System.Text;

namespace ZeroFlow.Host.Telemetry;

/// <summary>
/// Turns the names and units of instruments into those of the Prometheus text format. Pure functions.
/// </summary>
internal static class MetricName
{
    /// <summary>
    /// The name of a family: dots become underscores, the base unit is a suffix unless a part of the name says it
    /// already, and counters end in <c>_total</c>.
    /// </summary>
    public static string Of(Instrument instrument, MetricKind kind)
    {
        string name = Sanitize(instrument.Name, allowColon: true);
        string? unit = UnitOf(instrument.Unit);
        if (unit is not null && !$"_{name}_".Contains($"_{unit}_", StringComparison.Ordinal)) name = $"{name}_{unit}";
        const string total = "_total";
        return kind == MetricKind.Counter && !name.EndsWith(total, StringComparison.Ordinal) ? name + total : name;
    }

    /// <summary>A label name; <c>le</c> belongs to histograms and is given away to nobody.</summary>
    public static string OfLabel(string tag)
    {
        string name = Sanitize(tag, allowColon: false);
        return name == "le" ? "le_" : name;
    }

    /// <summary>Escapes the value of a label.</summary>
    public static string EscapeLabelValue(string value) =>
        EscapeHelp(value).Replace("\"", "\\\"", StringComparison.Ordinal);

    /// <summary>Escapes a help text.</summary>
    public static string EscapeHelp(string text) => text
        .Replace("\\", @"\\", StringComparison.Ordinal)
        .Replace("\r", "", StringComparison.Ordinal)
        .Replace("\n", @"\n", StringComparison.Ordinal);

    // Units are UCUM codes, as OpenTelemetry uses them; {annotations} say what is counted and are no unit.
    private static string? UnitOf(string? unit) => unit switch
    {
        null or "" or "1" => null,
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "By/s" => "bytes_per_second",
        ['{', ..] => null,
        _ => Sanitize(unit, allowColon: false),
    };

    private static string Sanitize(string text, bool allowColon)
    {
        var name = new StringBuilder(text.Length + 1);
        foreach (char c in text)
        {
            bool isLegal = char.IsAsciiLetterOrDigit(c) || c == '_' || (allowColon && c == ':');
            name.Append(isLegal ? c : '_');
        }

        if (name.Length == 0 || char.IsAsciiDigit(name[0])) name.Insert(0, '_');
        return name.ToString();
    }
}

/// <summary>The types of the Prometheus text format that instruments map to.</summary>
internal enum MetricKind
{
    /// <summary>Only grows.</summary>
    Counter,

    /// <summary>Goes up and down.</summary>
    Gauge,

    /// <summary>Counts observations in buckets.</summary>
    Histogram,
}
