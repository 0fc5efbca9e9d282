using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Control;

/// <summary>What the control API can do.</summary>
internal static class ControlRoutes
{
    private const int PieceBytes = 1024 * 1024;
    private const int ExtentsMax = 4096;

    private static readonly ControlJson Json = ControlJson.Default;

    /// <summary>Every route.</summary>
    public static readonly ControlRoute[] All =
    [
        Route("GET", "/v1/exports", "List the exports and snapshots.", null, Json.ExportList, [], ListAsync),
        Route("GET", "/v1/exports/{name}", "Show an export or snapshot.", null, Json.ExportView, [], ShowAsync),
        Route(
            "PUT", "/v1/exports/{name}",
            "Create an export, or a clone of a snapshot; what exists as asked for stays.",
            Json.CreateRequest, Json.ExportView, [], CreateAsync),
        Route(
            "PATCH", "/v1/exports/{name}", "Change an export: name, size, level, read-only flag, description.",
            Json.AlterRequest, Json.ExportView, [], AlterAsync),
        Route(
            "DELETE", "/v1/exports/{name}",
            "Delete an export or snapshot; with force=true its snapshots, too, and under attached clients.", null, null,
            ["force"], DeleteAsync),
        Route(
            "POST", "/v1/exports/{name}/rollback", "Make the export of this snapshot what the snapshot is.", null,
            Json.ExportView, ["force"], RollBackAsync),
        Route(
            "GET", "/v1/exports/{name}/extents", "Tell data from holes.", null, Json.ExtentList, ["offset", "length"],
            ExtentsAsync),
        Route(
            "GET", "/v1/exports/{name}/content", "Read bytes.", null, null, ["offset", "length"], ReadAsync),
        Route(
            "PUT", "/v1/exports/{name}/content", "Write the body at an offset.", null, null, ["offset"], WriteAsync),
        Route(
            "POST", "/v1/exports/{name}/zero", "Make a range read as zeros.", Json.ZeroRequest, null, [], ZeroAsync),
        Route(
            "POST", "/v1/exports/{name}/flush", "Wait until what was answered is durable at the export's level.", null,
            null, [], FlushAsync),
        Route(
            "POST", "/v1/snapshots", "Take snapshots of some exports, or of all, at one point.", Json.SnapshotRequest,
            Json.ExportList, [], SnapshotAsync),
        Route("POST", "/v1/flush", "Wait until the bucket holds everything that was answered.", null, null, [], PublishAsync),
        Route(
            "POST", "/v1/scrub", "Read back and verify what the store needs; answers a JSON line for each step, the report last.",
            Json.ScrubRequest, Json.ScrubLine, [], ScrubAsync),
        Route("GET", "/v1/status", "Show the state of the store and the space that it takes.", null, Json.StatusView, [], StatusAsync),
        Route(
            "GET", "/v1/requests",
            "Follow the requests to the object store: a JSON line for each attempt that ends, until the client goes away.",
            null, Json.TraceLine, ["kind", "purpose", "prefix", "failed"], TraceRoute.RunAsync),
        Route("GET", "/v1/openapi.json", "Describe this API.", null, null, [], DescribeAsync),
    ];

    private static ControlRoute Route(
        string method, string path, string summary, JsonTypeInfo? request, JsonTypeInfo? answer, string[] query,
        Func<ControlCall, Task> run) => new(method, path, summary, request, answer, query, run);

    private static Task ListAsync(ControlCall call) => ControlApi.WriteAsync(
        call.Context, new ExportList([.. call.Store.List().Select(info => View(call.Store, info))]), Json.ExportList);

    private static Task ShowAsync(ControlCall call) => WriteAsync(call, Device(call).Info);

    private static async Task CreateAsync(ControlCall call)
    {
        CreateRequest wanted = await ControlApi.ReadAsync(call.Context, Json.CreateRequest);
        if (wanted.SizeBytes is null == wanted.CloneOf is null)
            throw new BadHttpRequestException("Either sizeBytes or cloneOf must be given.");
        if (wanted.CloneOf is { } snapshot)
        {
            bool isThere = call.Name.Length > 0 && call.Store.TryOpen(call.Name, out _);
            ExportInfo clone = await call.Store.CloneAsync(snapshot, call.Name, wanted.Level, call.Cancellation);
            await WriteAsync(call, clone, isThere ? StatusCodes.Status200OK : StatusCodes.Status201Created);
            return;
        }

        if (await FindAsAskedAsync(call, wanted) is { } existing)
        {
            await WriteAsync(call, existing);
            return;
        }

        ExportInfo made;
        try
        {
            made = await call.Store.CreateExportAsync(
                call.Name, wanted.SizeBytes!.Value, wanted.Level ?? DurabilityLevel.Journaled,
                new NewExportOptions(wanted.ChunkBytes, wanted.Compression), call.Cancellation);
        }
        catch (StorageFaultException taken) when (taken.Kind == FaultKind.Conflict)
        {
            // Another request was faster, and may have made the very same.
            if (await FindAsAskedAsync(call, wanted) is not { } same) throw;
            await WriteAsync(call, same);
            return;
        }

        await WriteAsync(call, made, StatusCodes.Status201Created);
    }

    // The export that a creation asks for, when it is there already; a conflict when the name stands for anything else.
    private static async Task<ExportInfo?> FindAsAskedAsync(ControlCall call, CreateRequest wanted)
    {
        if (call.Name.Length == 0 || !call.Store.TryOpen(call.Name, out IBlockDevice? device)) return null;
        ExportInfo found = device.Info;
        if (found.Snapshot is not null)
            throw new StorageFaultException(FaultKind.Conflict, $"'{call.Name}' is a snapshot; an export cannot have its name.");
        bool isSame = found.SizeBytes == wanted.SizeBytes && (wanted.Level ?? found.Level) == found.Level &&
            (wanted.ChunkBytes ?? found.ChunkBytes) == found.ChunkBytes &&
            (wanted.Compression ?? found.CompressionLevel) == found.CompressionLevel;
        if (!isSame)
            throw new StorageFaultException(FaultKind.Conflict, $"There is an export '{call.Name}' already, of another size, level, chunk or compression.");

        // Whoever makes it may still wait for the log: it must not be told of before it is kept.
        await call.Store.FlushAsync(DurabilityLevel.Journaled, call.Cancellation);
        return found;
    }

    private static async Task AlterAsync(ControlCall call)
    {
        AlterRequest wanted = await ControlApi.ReadAsync(call.Context, Json.AlterRequest);
        var patch = new ExportPatch
        {
            Name = wanted.Name,
            Level = wanted.Level,
            IsReadOnly = wanted.ReadOnly,
            Description = wanted.Description,
            WriteThrough = wanted.WriteThrough,
            CompressionLevel = wanted.Compression,
        };
        ExportInfo after = Device(call).Info;
        if (wanted.SizeBytes is { } size) after = await call.Store.ResizeExportAsync(call.Name, size, wanted.AllowShrink, call.Cancellation);
        if (patch != new ExportPatch()) after = await call.Store.AlterExportAsync(call.Name, patch, call.Cancellation);
        await WriteAsync(call, after);
    }

    private static async Task DeleteAsync(ControlCall call)
    {
        await call.Store.DeleteExportAsync(call.Name, Flag(call, "force"), call.Cancellation);
        call.Context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static async Task RollBackAsync(ControlCall call) =>
        await WriteAsync(call, await call.Store.RollBackAsync(call.Name, Flag(call, "force"), call.Cancellation));

    private static async Task SnapshotAsync(ControlCall call)
    {
        SnapshotRequest wanted = await ControlApi.ReadAsync(call.Context, Json.SnapshotRequest);

        // What JSON says of the elements of a list is not checked against their type.
        if (wanted.Exports?.Contains(null!) == true) throw new BadHttpRequestException("exports must be names.");
        IReadOnlyList<ExportInfo> taken = await call.Store.CreateSnapshotsAsync(
            wanted.Exports ?? [], wanted.Name, call.Cancellation);
        await ControlApi.WriteAsync(
            call.Context, new ExportList([.. taken.Select(info => View(call.Store, info))]), Json.ExportList,
            StatusCodes.Status201Created);
    }

    private static async Task ExtentsAsync(ControlCall call)
    {
        IBlockDevice device = Device(call);
        BlockRange range = Range(call, device);
        var runs = new BlockStatus[ExtentsMax];
        int count = await device.GetStatusAsync(range, runs, call.Cancellation);
        var extents = new List<ExtentView>(count);
        long at = range.Offset;
        foreach (BlockStatus run in runs.AsSpan(0, count))
        {
            extents.Add(new ExtentView(at, run.Length, run.IsHole));
            at += run.Length;
        }

        await ControlApi.WriteAsync(call.Context, new ExtentList(extents), Json.ExtentList);
    }

    private static async Task ReadAsync(ControlCall call)
    {
        IBlockDevice device = Device(call);
        BlockRange range = Range(call, device);
        call.Context.Response.ContentType = "application/octet-stream";
        call.Context.Response.ContentLength = range.Length;
        byte[] piece = new byte[(int)Math.Min(PieceBytes, Math.Max(range.Length, 1))];
        for (long at = range.Offset; at < range.End;)
        {
            Memory<byte> part = piece.AsMemory(0, (int)Math.Min(piece.Length, range.End - at));
            await device.ReadAsync(at, part, call.Cancellation);
            await call.Context.Response.Body.WriteAsync(part, call.Cancellation);
            at += part.Length;
        }
    }

    private static async Task WriteAsync(ControlCall call)
    {
        IBlockDevice device = Device(call);
        long at = Number(call, "offset", 0);
        long length = call.Context.Request.ContentLength ?? throw new BadHttpRequestException("The length of the body must be told.");
        if (!new BlockRange(at, length).FitsIn(device.Info.SizeBytes))
            throw new BadHttpRequestException($"{length} bytes at {at} do not lie in the {device.Info.SizeBytes} bytes of '{call.Name}'.");
        if (call.Context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;

        // Its own pool: an import must not compete with clients for their buffers.
        var buffers = new BufferPool(2 * PieceBytes);
        for (long end = at + length; at < end;)
        {
            int count = (int)Math.Min(PieceBytes, end - at);
            BufferLease payload = buffers.Rent(count);
            try
            {
                // Not given up by time: Kestrel cannot answer over a read that is under way.
                await call.Context.Request.Body.ReadExactlyAsync(payload.Memory, call.Context.RequestAborted);
            }
            catch
            {
                payload.Release();
                throw;
            }

            await device.WriteAsync(at, payload, forceUnitAccess: false, call.Cancellation);
            at += count;
        }

        call.Context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static async Task ZeroAsync(ControlCall call)
    {
        ZeroRequest wanted = await ControlApi.ReadAsync(call.Context, Json.ZeroRequest);
        IBlockDevice device = Device(call);
        var range = new BlockRange(wanted.Offset, wanted.Length);
        if (!range.FitsIn(device.Info.SizeBytes)) throw new BadHttpRequestException($"{range} does not lie in '{call.Name}'.");
        await device.ZeroAsync(range, forceUnitAccess: false, call.Cancellation);
        call.Context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static async Task FlushAsync(ControlCall call)
    {
        await Device(call).FlushAsync(call.Cancellation);
        call.Context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static async Task PublishAsync(ControlCall call)
    {
        await call.Store.FlushAsync(DurabilityLevel.Published, call.Cancellation);
        call.Context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    // Lines, so that whoever waits sees that it goes on; nothing of a report is lost when progress lines are dropped.
    private static async Task ScrubAsync(ControlCall call)
    {
        ScrubRequest wanted = await ControlApi.ReadAsync(call.Context, Json.ScrubRequest);
        if (wanted.Share is not (> 0 and <= 1)) throw new BadHttpRequestException("share must be more than 0 and at most 1.");
        var lines = Channel.CreateBounded<ScrubLine>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        Task<ScrubReport> scrubbing = call.Store.ScrubAsync(
            new ScrubOptions { Share = wanted.Share, Repairs = wanted.Repair },
            progress => lines.Writer.TryWrite(new ScrubLine(progress)), call.Cancellation);
        Task ended = scrubbing.ContinueWith(
            _ => lines.Writer.Complete(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        call.Context.Response.ContentType = "application/x-ndjson";
        await foreach (ScrubLine line in lines.Reader.ReadAllAsync(call.Context.RequestAborted)) await WriteLineAsync(call, line);
        await ended;
        ScrubLine last;
        try
        {
            last = new ScrubLine(Report: await scrubbing);
        }
        catch (StorageFaultException fault) when (call.Context.Response.HasStarted)
        {
            last = new ScrubLine(Problem: FaultStatuses.ProblemOf(fault));
        }
        catch (OperationCanceledException) when (call.Context.Response.HasStarted && call.Limit.IsOver)
        {
            last = new ScrubLine(Problem: call.Limit.ProblemOf(call.Store.Status));
        }

        await WriteLineAsync(call, last);
    }

    private static async Task WriteLineAsync(ControlCall call, ScrubLine line)
    {
        await call.Context.Response.Body.WriteAsync(
            (byte[])[.. JsonSerializer.SerializeToUtf8Bytes(line, Json.ScrubLine), (byte)'\n'], call.Context.RequestAborted);
        await call.Context.Response.Body.FlushAsync(call.Context.RequestAborted);
    }

    private static Task StatusAsync(ControlCall call)
    {
        StoreStatus status = call.Store.Status;
        StoreSpace space = call.Store.Space;
        return ControlApi.WriteAsync(
            call.Context,
            new StatusView(
                status.Fault is null ? "serving" : "failed", status.IsFenced, status.Fault, status.BucketReachable,
                status.LastStoreError, status.DirtyBytes, status.OldestUnpublished.TotalSeconds, status.Epoch,
                status.LastTable, space.LiveBytes, space.TableBytes, space.MapBytes, space.SettledBytes,
                space.WaitingObjects),
            Json.StatusView);
    }

    private static Task DescribeAsync(ControlCall call)
    {
        call.Context.Response.ContentType = "application/json";
        return call.Context.Response.WriteAsync(ControlDescription.Text, call.Context.RequestAborted);
    }

    private static Task WriteAsync(ControlCall call, ExportInfo info, int status = StatusCodes.Status200OK) =>
        ControlApi.WriteAsync(call.Context, View(call.Store, info), Json.ExportView, status);

    private static ExportView View(BlockStore store, ExportInfo info)
    {
        string? of = info.Snapshot is null ? null : info.Name[..^(info.Snapshot.Name.Length + 1)];
        return new ExportView(
            info.Name, info.SizeBytes, info.ChunkBytes, info.Level, info.IsReadOnly, info.Description, store.AttachedTo(info.Name), of,
            info.Snapshot?.CreatedAt, info.WriteThrough, info.FormerNames?.Names,
            info.CompressionLevel);
    }

    private static IBlockDevice Device(ControlCall call) =>
        call.Name.Length > 0 && call.Store.TryOpen(call.Name, out IBlockDevice? device)
            ? device
            : throw new StorageFaultException(FaultKind.NotFound, $"There is no export '{call.Name}'.");

    private static BlockRange Range(ControlCall call, IBlockDevice device)
    {
        long size = device.Info.SizeBytes;
        long offset = Number(call, "offset", 0);
        long length = Number(call, "length", size - offset);
        return offset >= 0 && length >= 0 && new BlockRange(offset, length).FitsIn(size)
            ? new BlockRange(offset, length)
            : throw new BadHttpRequestException($"{length} bytes at {offset} do not lie in the {size} bytes of '{call.Name}'.");
    }

    private static long Number(ControlCall call, string name, long fallback)
    {
        string text = call.Context.Request.Query[name].ToString();
        if (text.Length == 0) return fallback;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            ? number
            : throw new BadHttpRequestException($"{name} must be a number of bytes.");
    }

    private static bool Flag(ControlCall call, string name) => call.Context.Request.Query[name].ToString() switch
    {
        "true" => true,
        "" or "false" => false,
        _ => throw new BadHttpRequestException($"{name} must be true or false."),
    };
}
