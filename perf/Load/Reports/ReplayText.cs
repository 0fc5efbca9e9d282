using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Replay;

namespace ZeroFlow.Perf.Reports;

/// <summary>One replay as a few lines for a terminal.</summary>
internal static class ReplayText
{
    public static string Of(ReplayResult result)
    {
        var text = new StringBuilder(ResultText.Of(result.Load));
        var invariant = CultureInfo.InvariantCulture;
        text.Append(invariant, $"  connections: {result.Connections}");
        if (result.LeftOut > 0) text.Append(invariant, $"; left out: {result.LeftOut} requests");
        if (result.Wrapped > 0) text.Append(invariant, $"; moved into the device: {result.Wrapped}");
        if (result.SectorsVerified > 0) text.Append(invariant, $"; verified: {result.SectorsVerified} sectors");
        return text.Append('\n').ToString();
    }
}
