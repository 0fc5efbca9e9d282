using System.CommandLine;
using System.Net;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Commands.Control;

/// <summary><c>zeroflow import</c> and <c>zeroflow export NAME IMAGE</c>: raw images in and out, without their zeros.</summary>
internal static class ImageCommands
{
    private const int PieceBytes = 4 * 1024 * 1024;
    private const int ZeroUnit = 64 * 1024;
    private const string Standard = "-";

    /// <summary>The command that reads an image into an export.</summary>
    public static ControlCommand Import()
    {
        Argument<string> image = ExportCommands.NameArgument("IMAGE", "A raw image, or - for standard input.");
        Argument<string> name = ExportCommands.NameArgument(description: "The export, which must be as large as the image at least.");
        Option<long> from = FromOption();
        var command = new ControlCommand("import", "Copy a raw image into an export, and wait until it is durable.") { image, name, from };
        command.Does((session, cancellation) => ImportAsync(
            session, session.Parsed.GetRequiredValue(image), session.Parsed.GetRequiredValue(name), session.Parsed.GetValue(from), cancellation));
        return command;
    }

    /// <summary>The command that writes an export into an image; the group of the export commands.</summary>
    public static ControlCommand Export()
    {
        var name = new Argument<string?>("NAME") { Description = "The export, or export@snapshot.", Arity = ArgumentArity.ZeroOrOne };
        var image = new Argument<string?>("IMAGE") { Description = "A raw image to write, or - for standard output.", Arity = ArgumentArity.ZeroOrOne };
        Option<long> from = FromOption();
        var command = new ControlCommand("export", "Manage exports; or copy one into a raw image: zeroflow export NAME IMAGE.") { name, image, from };
        command.Does((session, cancellation) =>
        {
            if (session.Parsed.GetValue(name) is not { } export || session.Parsed.GetValue(image) is not { } target)
                throw new RefusedException(HttpStatusCode.BadRequest, "Say what to do with exports, or name an export and an image; see zeroflow export --help.");
            return ExportAsync(session, export, target, session.Parsed.GetValue(from), cancellation);
        });
        return command;
    }

    private static Option<long> FromOption() => new("--from")
    {
        HelpName = "BYTES",
        Description = "Where to go on after an interruption, which tells it.",
    };

    private static async Task ImportAsync(
        ControlSession session, string image, string name, long from, CancellationToken cancellation)
    {
        await using Stream source = image == Standard ? Console.OpenStandardInput() : File.OpenRead(image);
        ExportView export = await session.Client.GetAsync(ControlClient.PathOf(name), ControlJson.Default.ExportView, cancellation);
        long? total = source.CanSeek ? source.Length : null;
        if (total > export.SizeBytes)
            throw new RefusedException(HttpStatusCode.BadRequest, $"The image has {total} bytes, the export {export.SizeBytes}.");
        await SkipAsync(source, from, cancellation);
        await WithProgressAsync(session, $"import {name}", total, from, async report =>
        {
            byte[] piece = new byte[PieceBytes];
            for (long at = from; ;)
            {
                int count = await source.ReadAtLeastAsync(piece, piece.Length, throwOnEndOfStream: false, cancellation);
                if (count == 0) break;
                if (at + count > export.SizeBytes)
                    throw new RefusedException(HttpStatusCode.BadRequest, $"The image has more than the {export.SizeBytes} bytes of the export.");
                await WritePieceAsync(session.Client, name, at, piece.AsMemory(0, count), cancellation);
                at += count;
                report(at);
            }
        });
        await session.Client.DoAsync(HttpMethod.Post, $"{ControlClient.PathOf(name)}/flush", null, cancellation);
    }

    // Zeros take no space: they are told, not sent.
    private static async Task WritePieceAsync(
        ControlClient client, string name, long offset, ReadOnlyMemory<byte> piece, CancellationToken cancellation)
    {
        for (int at = 0; at < piece.Length;)
        {
            bool isZero = IsZero(piece, at);
            int end = at;
            while (end < piece.Length && IsZero(piece, end) == isZero) end = Math.Min(piece.Length, end + ZeroUnit);
            if (isZero) await client.ZeroAsync(name, offset + at, end - at, cancellation);
            else await client.WriteAsync(name, offset + at, piece[at..end], cancellation);
            at = end;
        }
    }

    private static bool IsZero(ReadOnlyMemory<byte> piece, int at) =>
        !piece.Span[at..Math.Min(piece.Length, at + ZeroUnit)].ContainsAnyExcept((byte)0);

    private static async Task ExportAsync(
        ControlSession session, string name, string image, long from, CancellationToken cancellation)
    {
        ExportView export = await session.Client.GetAsync(ControlClient.PathOf(name), ControlJson.Default.ExportView, cancellation);
        bool isFile = image != Standard;
        await using Stream target = isFile
            ? new FileStream(image, from == 0 ? FileMode.Create : FileMode.Open, FileAccess.Write)
            : Console.OpenStandardOutput();
        if (isFile) target.SetLength(export.SizeBytes);
        await WithProgressAsync(session, $"export {name}", export.SizeBytes, from, async report =>
        {
            byte[] piece = new byte[PieceBytes];
            for (long at = from; at < export.SizeBytes;)
            {
                ExtentList list = await session.Client.GetAsync(
                    $"{ControlClient.PathOf(name)}/extents?offset={at}&length={export.SizeBytes - at}", ControlJson.Default.ExtentList, cancellation);
                foreach (ExtentView extent in list.Extents)
                {
                    at = await CopyAsync(session.Client, name, extent, target, piece, report, cancellation);
                }
            }
        });
        if (target is FileStream file) file.Flush(flushToDisk: true);
    }

    private static async Task<long> CopyAsync(
        ControlClient client, string name, ExtentView extent, Stream target, byte[] piece, Action<long> report,
        CancellationToken cancellation)
    {
        long end = extent.Offset + extent.Length;
        if (extent.Hole && target.CanSeek)
        {
            report(end);
            return end;
        }

        if (target.CanSeek) target.Position = extent.Offset;
        Array.Clear(piece);
        for (long at = extent.Offset; at < end;)
        {
            Memory<byte> part = piece.AsMemory(0, (int)Math.Min(piece.Length, end - at));
            if (!extent.Hole) await client.ReadAsync(name, at, part, cancellation);
            await target.WriteAsync(part, cancellation);
            at += part.Length;
            report(at);
        }

        return end;
    }

    private static async Task SkipAsync(Stream source, long bytes, CancellationToken cancellation)
    {
        if (source.CanSeek)
        {
            source.Position = bytes;
            return;
        }

        byte[] piece = new byte[PieceBytes];
        for (long left = bytes; left > 0;)
        {
            int count = await source.ReadAsync(piece.AsMemory(0, (int)Math.Min(piece.Length, left)), cancellation);
            if (count == 0) throw new EndOfStreamException("The image ends before the place to go on from.");
            left -= count;
        }
    }

    // Shows how far it is where the end is known; and, when it breaks, how to go on.
    private static async Task WithProgressAsync(
        ControlSession session, string what, long? total, long from, Func<Action<long>, Task> work)
    {
        long done = from;
        try
        {
            if (total is not { } end)
            {
                await work(at => done = at);
                return;
            }

            await ProgressBar.ShowAsync(what, async tell =>
            {
                await work(at => tell(done = at, end));
                return done;
            });
        }
        catch (Exception fault) when (fault is HttpRequestException or IOException or OperationCanceledException or RefusedException)
        {
            await session.Parsed.InvocationConfiguration.Error.WriteLineAsync($"zeroflow: {what} is interrupted; go on with --from {done}.");
            throw;
        }
    }
}
