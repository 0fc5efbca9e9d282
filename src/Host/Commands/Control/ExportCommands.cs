using System.CommandLine;
using System.Net;
using ZeroFlow.Host.Control;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Commands.Control;

/// <summary><c>zeroflow export</c>: the exports of a running server, and <c>zeroflow export NAME IMAGE</c>.</summary>
internal static class ExportCommands
{
    private static readonly ControlJson Json = ControlJson.Default;

    /// <summary>Makes the command with those below it.</summary>
    public static Command Create()
    {
        ControlCommand export = ImageCommands.Export();
        export.Add(List());
        export.Add(Info());
        export.Add(Make());
        export.Add(Grow());
        export.Add(Set());
        export.Add(Remove());
        return export;
    }

    /// <summary>An option for a durability level.</summary>
    public static Option<string?> LevelOption()
    {
        var option = new Option<string?>("--level") { HelpName = "LEVEL", Description = "journaled or published" };
        option.AcceptOnlyFromAmong("journaled", "published");
        return option;
    }

    /// <summary>The level that the option gives.</summary>
    public static DurabilityLevel? LevelOf(ParseResult parsed, Option<string?> option) => parsed.GetValue(option) switch
    {
        "published" => DurabilityLevel.Published,
        "journaled" => DurabilityLevel.Journaled,
        _ => null,
    };

    /// <summary>An argument for the name of an export or snapshot.</summary>
    public static Argument<string> NameArgument(string name = "NAME", string description = "The export.") =>
        new(name) { Description = description };

    private static ControlCommand List()
    {
        var command = new ControlCommand("ls", "List the exports and snapshots.");
        command.Does(async (session, cancellation) =>
            session.Output.Write(await session.Client.GetAsync("v1/exports", Json.ExportList, cancellation)));
        return command;
    }

    private static ControlCommand Info()
    {
        Argument<string> name = NameArgument(description: "The export, or export@snapshot.");
        var command = new ControlCommand("info", "Show an export or snapshot.") { name };
        command.Does(async (session, cancellation) => session.Output.Write(await session.Client.GetAsync(
            ControlClient.PathOf(session.Parsed.GetRequiredValue(name)), Json.ExportView, cancellation)));
        return command;
    }

    private static Option<int?> CompressionOption() => new("--compression")
    {
        HelpName = "LEVEL",
        Description = "zstd level of what is written from now on, 0 for none, up to 19 [default: Tuning:CompressionLevel].",
    };

    private static ControlCommand Make()
    {
        Argument<string> name = NameArgument(description: "The new export.");
        Argument<string> size = NameArgument("SIZE", "Its size in bytes, or with K, M, G, T (1024 each).");
        Option<string?> level = LevelOption();
        var chunk = new Option<string?>("--chunk") { HelpName = "SIZE", Description = "Unit of settled storage, for good: 16K to 1M [default: Tuning:ChunkBytes]." };
        Option<int?> compression = CompressionOption();
        var command = new ControlCommand("create", "Create an export; one that exists as asked for stays.") { name, size, level, chunk, compression };
        command.Does(async (session, cancellation) => session.Output.Write(await session.Client.ChangeAsync(
            HttpMethod.Put, ControlClient.PathOf(session.Parsed.GetRequiredValue(name)),
            new CreateRequest(
                ControlCommand.SizeOf(session.Parsed.GetRequiredValue(size)), LevelOf(session.Parsed, level),
                ChunkBytes: session.Parsed.GetValue(chunk) is { } chunkSize ? (int)Math.Min(int.MaxValue, ControlCommand.SizeOf(chunkSize)) : null,
                Compression: session.Parsed.GetValue(compression)),
            Json.CreateRequest, Json.ExportView, cancellation)));
        return command;
    }

    private static ControlCommand Grow()
    {
        Argument<string> name = NameArgument();
        Argument<string> size = NameArgument("SIZE", "Its new size, larger than before.");
        var command = new ControlCommand("grow", "Make an export larger; attached clients see it when they ask or attach anew.") { name, size };
        command.Does(async (session, cancellation) => session.Output.Write(await AlterAsync(
            session, session.Parsed.GetRequiredValue(name),
            new AlterRequest(SizeBytes: ControlCommand.SizeOf(session.Parsed.GetRequiredValue(size))), cancellation)));
        return command;
    }

    private static ControlCommand Set()
    {
        Argument<string> name = NameArgument();
        var newName = new Option<string?>("--name") { HelpName = "NAME", Description = "A new name; clients stay attached." };
        Option<string?> level = LevelOption();
        var readOnly = new Option<bool?>("--read-only") { HelpName = "true|false", Description = "Refuse writes, or no more." };
        var writeThrough = new Option<bool?>("--write-through")
        {
            HelpName = "true|false",
            Description = "Answer writes only when they are durable; right under ZFS, which ignores a FLUSH that fails. Taken back only while nobody is attached.",
        };
        Option<int?> compression = CompressionOption();
        var description = new Option<string?>("--description") { HelpName = "TEXT", Description = "Text for people; empty for none." };
        var shrink = new Option<string?>("--shrink-to") { HelpName = "SIZE", Description = "A smaller size. WHAT LIES BEYOND IT IS LOST. Refused while clients are attached." };
        var command = new ControlCommand("set", "Change an export while it is served.") { name, newName, level, readOnly, writeThrough, compression, description, shrink };
        command.Does(async (session, cancellation) =>
        {
            ParseResult parsed = session.Parsed;
            string? size = parsed.GetValue(shrink);
            var wanted = new AlterRequest(
                parsed.GetValue(newName), size is null ? null : ControlCommand.SizeOf(size), size is not null,
                LevelOf(parsed, level), parsed.GetValue(readOnly), parsed.GetValue(description), parsed.GetValue(writeThrough),
                parsed.GetValue(compression));
            if (wanted == new AlterRequest()) throw new RefusedException(HttpStatusCode.BadRequest, "There is nothing to set; see zeroflow export set --help.");
            session.Output.Write(await AlterAsync(session, parsed.GetRequiredValue(name), wanted, cancellation));
        });
        return command;
    }

    private static ControlCommand Remove()
    {
        Argument<string> name = NameArgument(description: "The export, or export@snapshot.");
        var force = new Option<bool>("--force") { Description = "With its snapshots, and under attached clients." };
        var command = new ControlCommand("rm", "Delete an export or snapshot.") { name, force };
        command.Does((session, cancellation) => session.Client.DoAsync(
            HttpMethod.Delete,
            $"{ControlClient.PathOf(session.Parsed.GetRequiredValue(name))}{ControlClient.Force(session.Parsed.GetValue(force))}",
            null, cancellation));
        return command;
    }

    private static Task<ExportView> AlterAsync(
        ControlSession session, string name, AlterRequest wanted, CancellationToken cancellation) =>
        session.Client.ChangeAsync(
            HttpMethod.Patch, ControlClient.PathOf(name), wanted, Json.AlterRequest, Json.ExportView, cancellation);
}
