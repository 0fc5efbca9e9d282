using System.CommandLine;
using System.Globalization;
using ZeroFlow.Host.Control;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Commands.Control;

/// <summary><c>zeroflow scrub</c>.</summary>
internal static class ScrubCommand
{
    /// <summary>Makes the command.</summary>
    public static ControlCommand Create()
    {
        var sample = new Option<double?>("--sample") { HelpName = "PERCENT", Description = "Read the frames of so many of the tables only [default: 100]; the map is always checked whole." };
        var repair = new Option<bool>("--repair") { Description = "Write anew what is damaged in the bucket and still good in a local cache, and correct counts." };
        var command = new ControlCommand("scrub", "Read back and verify what the store needs, past every cache. Ends with 8 when something is wrong.") { sample, repair };
        command.Does(async (session, cancellation) =>
        {
            double share = (session.Parsed.GetValue(sample) ?? 100) / 100;
            var request = new ScrubRequest(share, session.Parsed.GetValue(repair));
            ScrubReport report = await ProgressBar.ShowAsync(
                "scrub", tell => session.Client.ScrubAsync(request, step => tell(step.DoneBytes, step.TotalBytes), cancellation));
            session.Output.Write(report);
            if (report.Findings.Count > 0) throw new DamageFoundException(report);
        });
        return command;
    }
}

/// <summary>A scrub found something: it was done, and its exit code tells.</summary>
internal sealed class DamageFoundException(ScrubReport report)
    : Exception(report.Findings.Count.ToString(CultureInfo.InvariantCulture) + " findings; see the report.");
