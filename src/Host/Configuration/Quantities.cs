using System.Globalization;

namespace ZeroFlow.Host.Configuration;

/// <summary>Reads and writes sizes and durations as people write them. Pure functions.</summary>
internal static class Quantities
{
    /// <summary>What a size may look like, for messages.</summary>
    public const string SizeForm = "a number of bytes, or one with K, M, G or T (1024 each), such as 64M";

    /// <summary>What a duration may look like, for messages.</summary>
    public const string DurationForm = "a whole number with ms, s, m, h or d, such as 30s";

    private const string SizeUnits = "KMGT";

    /// <summary>Reads a size in bytes. Suffixes are powers of 1024 and do not distinguish case.</summary>
    public static bool TryParseSize(ReadOnlySpan<char> text, out long bytes)
    {
        bytes = 0;
        if (text.IsEmpty) return false;
        int unit = SizeUnits.IndexOf(char.ToUpperInvariant(text[^1]), StringComparison.Ordinal);
        int shift = (unit + 1) * 10;
        if (!TryParseDigits(unit < 0 ? text : text[..^1], out long count)) return false;
        if (count > long.MaxValue >> shift) return false;
        bytes = count << shift;
        return true;
    }

    /// <summary>Reads a duration. The unit is required: a bare number would leave it to the reader's guess.</summary>
    public static bool TryParseDuration(ReadOnlySpan<char> text, out TimeSpan duration)
    {
        duration = default;
        int digits = 0;
        while (digits < text.Length && char.IsAsciiDigit(text[digits])) digits++;
        long unitTicks = text[digits..] switch
        {
            "ms" => TimeSpan.TicksPerMillisecond,
            "s" => TimeSpan.TicksPerSecond,
            "m" => TimeSpan.TicksPerMinute,
            "h" => TimeSpan.TicksPerHour,
            "d" => TimeSpan.TicksPerDay,
            _ => 0,
        };
        if (unitTicks == 0 || !TryParseDigits(text[..digits], out long count)) return false;
        if (count > long.MaxValue / unitTicks) return false;
        duration = TimeSpan.FromTicks(count * unitTicks);
        return true;
    }

    /// <summary>A size for people: the largest unit that shows it exactly, otherwise one decimal.</summary>
    public static string FormatSize(long bytes)
    {
        string[] units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        int unit = 0;
        double value = bytes;
        while (Math.Abs(value) >= 1024 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {units[unit]}");
    }

    /// <summary>A duration as <see cref="TryParseDuration"/> reads it.</summary>
    public static string FormatDuration(TimeSpan duration)
    {
        (long Ticks, string Unit)[] units =
        [
            (TimeSpan.TicksPerDay, "d"),
            (TimeSpan.TicksPerHour, "h"),
            (TimeSpan.TicksPerMinute, "m"),
            (TimeSpan.TicksPerSecond, "s"),
        ];
        foreach ((long ticks, string unit) in units)
        {
            if (duration.Ticks >= ticks && duration.Ticks % ticks == 0)
                return string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks / ticks}{unit}");
        }

        return string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks / TimeSpan.TicksPerMillisecond}ms");
    }

    // Digits only: no sign, no separators, no white space.
    private static bool TryParseDigits(ReadOnlySpan<char> text, out long value) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
