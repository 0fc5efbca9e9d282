using ZeroFlow.Perf.Peers;

namespace ZeroFlow.Perf.Plots;

/// <summary>
/// Which colour is whose, in every plot: those of Okabe and Ito, which people with any of the common kinds of colour
/// blindness can tell apart. What is no peer, such as plain requests, is grey.
/// </summary>
internal static class PlotColors
{
    private static readonly string[] OkabeIto =
        ["#0072b2", "#56b4e9", "#cc79a7", "#e69f00", "#009e73", "#d55e00", "#f0e442", "#000000"];

    private const string Grey = "#999999";

    /// <summary>The class that gives a mark its colour.</summary>
    public static string ClassOf(string who)
    {
        var place = Peer.All.Select(peer => peer.Name).ToList().IndexOf(who);
        return place >= 0 && place < OkabeIto.Length ? $"c{place}" : "cx";
    }

    /// <summary>The rules for these classes, for fills.</summary>
    public static string Rules() =>
        string.Concat(OkabeIto.Select((color, place) => $".c{place}{{fill:{color}}}")) + $".cx{{fill:{Grey}}}";
}
