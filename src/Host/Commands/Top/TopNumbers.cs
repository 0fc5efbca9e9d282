using System.Globalization;

namespace ZeroFlow.Host.Commands.Top;

/// <summary>Numbers in at most nine characters, as people read them. Pure functions.</summary>
internal static class TopNumbers
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

    /// <summary>A count, with k, M and G for powers of 1000.</summary>
    public static string Count(double value) => value switch
    {
        >= 999.5e6 => $"{Digits(value / 1e9)}G",
        >= 999.5e3 => $"{Digits(value / 1e6)}M",
        >= 9999.5 => $"{Digits(value / 1e3)}k",
        _ => Digits(value >= 10 ? Math.Round(value) : Math.Round(value, 1)),
    };

    /// <summary>Bytes, in powers of 1024.</summary>
    public static string Bytes(double value)
    {
        int unit = 0;
        while (Math.Abs(value) >= 1000 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return $"{(unit == 0 ? Math.Round(value).ToString(CultureInfo.InvariantCulture) : Digits(value))} {Units[unit]}";
    }

    /// <summary>A short time in the unit that fits; "-" for none.</summary>
    public static string Latency(double? seconds) => seconds switch
    {
        null => "-",
        < 1e-3 => $"{Digits(seconds.Value * 1e6)} us",
        < 1 => $"{Digits(seconds.Value * 1e3)} ms",
        _ => $"{Digits(seconds.Value)} s",
    };

    /// <summary>A long time.</summary>
    public static string Span(double seconds) => seconds switch
    {
        < 90 => $"{seconds.ToString(seconds < 10 ? "0.0" : "0", CultureInfo.InvariantCulture)} s",
        < 5400 => $"{(seconds / 60).ToString("0", CultureInfo.InvariantCulture)} min",
        < 172800 => $"{(seconds / 3600).ToString("0", CultureInfo.InvariantCulture)} h",
        _ => $"{(seconds / 86400).ToString("0", CultureInfo.InvariantCulture)} d",
    };

    /// <summary>A share of one.</summary>
    public static string Percent(double share) =>
        share is > 0 and < 0.01 ? "<1%" : $"{(share * 100).ToString("0", CultureInfo.InvariantCulture)}%";

    private static string Digits(double value) => Math.Abs(value) switch
    {
        >= 100 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
        _ => value.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
