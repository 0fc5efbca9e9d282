using System.CommandLine;
using System.Globalization;
using Spectre.Console;
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
            ScrubReport report = await WithProgressAsync(progress => session.Client.ScrubAsync(request, progress, cancellation));
            session.Output.Write(report);
            if (report.Findings.Count > 0) throw new DamageFoundException(report);
        });
        return command;
    }

    private static async Task<ScrubReport> WithProgressAsync(Func<Action<ScrubProgress>, Task<ScrubReport>> work)
    {
        if (Console.IsErrorRedirected) return await work(static _ => { });
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return await console.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new TransferSpeedColumn(), new RemainingTimeColumn())
            .StartAsync(context =>
            {
                ProgressTask task = context.AddTask("scrub");
                return work(step => (task.MaxValue, task.Value) = (step.TotalBytes, step.DoneBytes));
            });
    }
}

/// <summary>A scrub found something: it was done, and its exit code tells.</summary>
internal sealed class DamageFoundException(ScrubReport report)
    : Exception(report.Findings.Count.ToString(CultureInfo.InvariantCulture) + " findings; see the report.");
