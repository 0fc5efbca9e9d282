using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using System.Xml.Linq;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace ZeroFlow.TestKit.ObjectStores;

/// <summary>What <see cref="S3Stub"/> does to a request instead of, or on top of, serving it.</summary>
public enum S3Misbehaviour
{
    /// <summary>Answers with the fault's status and code; nothing is applied.</summary>
    Answer,

    /// <summary>Drops the connection before anything happened.</summary>
    Reset,

    /// <summary>Applies the request, then drops the connection.</summary>
    LoseReply,

    /// <summary>Keeps the connection and says nothing until the client gives up.</summary>
    Stall,

    /// <summary>Sends half of a body whose length it states truthfully.</summary>
    ShortBody,

    /// <summary>Promises the whole body, sends half, and drops the connection.</summary>
    CutOffBody,

    /// <summary>Sends one byte more than asked for, and says so.</summary>
    LongBody,

    /// <summary>Answers a ranged read with 200 and the head of the object.</summary>
    IgnoreRange,
}

/// <summary>A fault at the level of HTTP.</summary>
public sealed record S3Fault(S3Misbehaviour Misbehaviour, int Status = 500, string Code = "InternalError");

/// <summary>A request as the stub got it.</summary>
public sealed record S3Request(string Method, string Path, string Query, IReadOnlyDictionary<string, string> Headers);

/// <summary>
/// A small S3 server in this process, on a loopback port of its own: path style, one bucket, objects in memory, enough
/// REST and XML for the SDK. It enforces <c>If-None-Match: *</c> and refuses <c>aws-chunked</c> bodies as older servers
/// do. Signatures are not checked.
/// </summary>
public sealed class S3Stub : IAsyncDisposable
{
    public const string Bucket = "stub-bucket";

    private static readonly XNamespace Xml = "http://s3.amazonaws.com/doc/2006-03-01/";

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, byte[]> _objects = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<S3Fault> _faults = new();
    private readonly ConcurrentQueue<S3Request> _requests = new();
    private readonly WebApplication _app;

    private S3Stub(WebApplication app) => _app = app;

    /// <summary>The server's address, as in <c>http://127.0.0.1:40001</c>.</summary>
    public Uri Endpoint => new(_app.Urls.Single());

    /// <summary>The store's URL, below <paramref name="prefix"/>.</summary>
    public string UrlOf(string prefix) => $"s3://{Bucket}/{prefix}?endpoint={Endpoint}";

    /// <summary>Every request so far.</summary>
    public IReadOnlyList<S3Request> Requests => [.. _requests];

    /// <summary>Ignores the condition of a create, as some servers do.</summary>
    public bool IgnoresCondition { get; set; }

    /// <summary>Starts a server.</summary>
    public static async Task<S3Stub> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Limits.MaxRequestBodySize = 64 * 1024 * 1024;
        });
        var stub = new S3Stub(builder.Build());
        stub._app.Run(stub.HandleAsync);
        await stub._app.StartAsync();
        return stub;
    }

    /// <summary>Lets the next <paramref name="times"/> requests meet a fault.</summary>
    public void FailNext(S3Fault fault, int times = 1)
    {
        for (int i = 0; i < times; i++) _faults.Enqueue(fault);
    }

    /// <summary>Puts an object there without a request; the key includes the store's prefix.</summary>
    public void Plant(string key, ReadOnlySpan<byte> body)
    {
        lock (_lock) _objects[key] = body.ToArray();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        _requests.Enqueue(new S3Request(
            request.Method,
            request.Path,
            request.QueryString.Value ?? "",
            request.Headers.ToDictionary(
                header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase)));
        _faults.TryDequeue(out S3Fault? fault);
        switch (fault?.Misbehaviour)
        {
            case S3Misbehaviour.Reset:
                context.Abort();
                return;
            case S3Misbehaviour.Stall:
                await Task.Delay(Timeout.Infinite, context.RequestAborted)
                    .ContinueWith(_ => { }, TaskScheduler.Default);
                return;
            case S3Misbehaviour.Answer:
                await DrainAsync(request);
                await RefuseAsync(context, fault.Status, fault.Code);
                return;
        }

        string[] path = request.Path.Value!.TrimStart('/').Split('/', 2);
        if (path[0] != Bucket) await RefuseAsync(context, 404, "NoSuchBucket");
        else if (path.Length == 1 || path[1].Length == 0) await ListAsync(context);
        else await ServeObjectAsync(context, path[1], fault);
    }

    private async Task ServeObjectAsync(HttpContext context, string key, S3Fault? fault)
    {
        switch (context.Request.Method)
        {
            case "PUT":
                await PutAsync(context, key, fault);
                break;
            case "GET":
                await GetAsync(context, key, fault);
                break;
            case "DELETE":
                lock (_lock) _objects.Remove(key);
                if (fault?.Misbehaviour == S3Misbehaviour.LoseReply) context.Abort();
                else context.Response.StatusCode = 204;
                break;
            default:
                await RefuseAsync(context, 405, "MethodNotAllowed");
                break;
        }
    }

    private async Task PutAsync(HttpContext context, string key, S3Fault? fault)
    {
        byte[] body = await DrainAsync(context.Request);
        if (context.Request.Headers.ContentEncoding.ToString().Contains("aws-chunked", StringComparison.Ordinal))
        {
            await RefuseAsync(context, 400, "XAmzContentSHA256Mismatch");
            return;
        }

        bool onlyIfAbsent = context.Request.Headers.IfNoneMatch == "*" && !IgnoresCondition;
        bool isRefused;
        lock (_lock)
        {
            isRefused = onlyIfAbsent && _objects.ContainsKey(key);
            if (!isRefused) _objects[key] = body;
        }

        if (fault?.Misbehaviour == S3Misbehaviour.LoseReply) context.Abort();
        else if (isRefused) await RefuseAsync(context, 412, "PreconditionFailed");
        else context.Response.Headers.ETag = "\"0\"";
    }

    private async Task GetAsync(HttpContext context, string key, S3Fault? fault)
    {
        byte[]? body;
        lock (_lock) _objects.TryGetValue(key, out body);
        if (body is null)
        {
            await RefuseAsync(context, 404, "NoSuchKey");
            return;
        }

        if (!TryParseRange(context.Request.Headers.Range.ToString(), body.Length, out int from, out int to))
        {
            await RefuseAsync(context, 416, "InvalidRange");
            return;
        }

        int length = to - from + 1;
        if (fault?.Misbehaviour == S3Misbehaviour.IgnoreRange) from = 0;
        if (fault?.Misbehaviour == S3Misbehaviour.ShortBody) length /= 2;
        if (fault?.Misbehaviour == S3Misbehaviour.LongBody) length++;
        var sent = new byte[length];
        body.AsSpan(from, Math.Min(length, body.Length - from)).CopyTo(sent);
        bool isPartial = fault?.Misbehaviour != S3Misbehaviour.IgnoreRange;
        context.Response.StatusCode = isPartial ? 206 : 200;
        if (isPartial) context.Response.Headers.ContentRange = $"bytes {from}-{from + length - 1}/{body.Length}";
        context.Response.ContentLength = length;
        bool isCutOff = fault?.Misbehaviour == S3Misbehaviour.CutOffBody;
        await context.Response.Body.WriteAsync(isCutOff ? sent.AsMemory(0, length / 2) : sent);
        if (!isCutOff) return;
        await context.Response.Body.FlushAsync();
        context.Abort();
    }

    private async Task ListAsync(HttpContext context)
    {
        IQueryCollection query = context.Request.Query;
        string prefix = query["prefix"].ToString();
        string after = query["continuation-token"].FirstOrDefault() ?? query["start-after"].ToString();
        int entriesMax = int.TryParse(query["max-keys"], CultureInfo.InvariantCulture, out int asked) ? asked : 1000;
        List<KeyValuePair<string, byte[]>> found;
        lock (_lock)
        {
            found =
            [
                .. _objects
                    .Where(entry => entry.Key.StartsWith(prefix, StringComparison.Ordinal))
                    .Where(entry => string.CompareOrdinal(entry.Key, after) > 0)
                    .Take(entriesMax + 1),
            ];
        }

        bool isTruncated = found.Count > entriesMax;
        if (isTruncated) found.RemoveAt(entriesMax);
        var answer = new XElement(
            Xml + "ListBucketResult",
            new XElement(Xml + "Name", Bucket),
            new XElement(Xml + "Prefix", prefix),
            new XElement(Xml + "KeyCount", found.Count),
            new XElement(Xml + "MaxKeys", entriesMax),
            new XElement(Xml + "IsTruncated", isTruncated),
            isTruncated ? new XElement(Xml + "NextContinuationToken", found[^1].Key) : null,
            found.Select(entry => new XElement(
                Xml + "Contents",
                new XElement(Xml + "Key", entry.Key),
                new XElement(Xml + "Size", entry.Value.Length))));
        await WriteXmlAsync(context, 200, answer);
    }

    private static async Task<byte[]> DrainAsync(HttpRequest request)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body);
        return body.ToArray();
    }

    private static bool TryParseRange(string header, int length, out int from, out int to)
    {
        (from, to) = (0, length - 1);
        if (header.Length == 0) return true;
        string[] ends = header["bytes=".Length..].Split('-');
        from = (int)long.Parse(ends[0], CultureInfo.InvariantCulture);
        to = (int)Math.Min(long.Parse(ends[1], CultureInfo.InvariantCulture), length - 1);
        return from < length;
    }

    private static Task RefuseAsync(HttpContext context, int status, string code) =>
        WriteXmlAsync(
            context,
            status,
            new XElement("Error", new XElement("Code", code), new XElement("Message", "The stub was told to say so.")));

    private static async Task WriteXmlAsync(HttpContext context, int status, XElement answer)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/xml";
        byte[] bytes = Encoding.UTF8.GetBytes($"<?xml version=\"1.0\" encoding=\"UTF-8\"?>{answer}");
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes);
    }
}
