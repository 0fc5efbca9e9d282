using System.CommandLine;
using System.Net;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>Snapshots, clones, rollbacks, and the store as a whole.</summary>
internal static class StoreCommands
{
    private static readonly ControlJson Json = ControlJson.Default;

    /// <summary>Makes the commands.</summary>
    public static IEnumerable<Command> Create() => [Snapshot(), Clone(), RollBack(), Stats(), Flush(), ScrubCommand.Create(), TraceCommand.Create()];

    private static ControlCommand Snapshot()
    {
        Argument<string> name = ExportCommands.NameArgument(description: "The snapshot's own name: it is served as EXPORT@NAME.");
        var exports = new Argument<string[]>("EXPORT") { Description = "The exports, all at one point.", Arity = ArgumentArity.ZeroOrMore };
        var all = new Option<bool>("--all") { Description = "Of every export of the store." };
        var command = new ControlCommand("snapshot", "Take a snapshot of exports at one point; zeroflow export ls and rm list and delete them.") { name, exports, all };
        command.Does(async (session, cancellation) =>
        {
            string[] wanted = session.Parsed.GetValue(exports) ?? [];
            if (wanted.Length == 0 != session.Parsed.GetValue(all))
                throw new RefusedException(HttpStatusCode.BadRequest, "Name the exports, or say --all.");
            session.Output.Write(await session.Client.ChangeAsync(
                HttpMethod.Post, "v1/snapshots", new SnapshotRequest(session.Parsed.GetRequiredValue(name), wanted),
                Json.SnapshotRequest, Json.ExportList, cancellation));
        });
        return command;
    }

    private static ControlCommand Clone()
    {
        Argument<string> snapshot = ExportCommands.NameArgument("EXPORT@SNAPSHOT", "What the clone begins as.");
        Argument<string> name = ExportCommands.NameArgument(description: "The new export.");
        Option<string?> level = ExportCommands.LevelOption();
        var command = new ControlCommand("clone", "Make a writable export out of a snapshot, at no cost in data.") { snapshot, name, level };
        command.Does(async (session, cancellation) => session.Output.Write(await session.Client.ChangeAsync(
            HttpMethod.Put, ControlClient.PathOf(session.Parsed.GetRequiredValue(name)),
            new CreateRequest(Level: ExportCommands.LevelOf(session.Parsed, level), CloneOf: session.Parsed.GetRequiredValue(snapshot)),
            Json.CreateRequest, Json.ExportView, cancellation)));
        return command;
    }

    private static ControlCommand RollBack()
    {
        Argument<string> snapshot = ExportCommands.NameArgument("EXPORT@SNAPSHOT", "What the export is to be again.");
        var force = new Option<bool>("--force") { Description = "Under attached clients, which are refused from then on." };
        var command = new ControlCommand("rollback", "Make an export what its snapshot is. WHAT IT WAS IS LOST, unless another snapshot has it.") { snapshot, force };
        command.Does(async (session, cancellation) => session.Output.Write(await session.Client.PostAsync(
            $"{ControlClient.PathOf(session.Parsed.GetRequiredValue(snapshot))}/rollback{ControlClient.Force(session.Parsed.GetValue(force))}",
            Json.ExportView, cancellation)));
        return command;
    }

    private static ControlCommand Stats()
    {
        var command = new ControlCommand("stats", "Show the state of the store, its lag and the space that it takes.");
        command.Does(async (session, cancellation) =>
            session.Output.Write(await session.Client.GetAsync("v1/status", Json.StatusView, cancellation)));
        return command;
    }

    private static ControlCommand Flush()
    {
        var command = new ControlCommand("flush", "Wait until the bucket holds everything that was answered.");
        command.Does((session, cancellation) => session.Client.DoAsync(HttpMethod.Post, "v1/flush", null, cancellation));
        return command;
    }
}
