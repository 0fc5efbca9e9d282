using System.Collections.Concurrent;
using System.Net;
using System.Text;

namespace ZeroFlow.SystemTests.Running;

/// <summary>A span as it came over the wire.</summary>
internal sealed record OtlpSpan(string TraceId, string SpanId, string ParentId, string Name, long StartNanoseconds, long EndNanoseconds);

/// <summary>
/// Takes what an OTLP exporter sends over HTTP in protobuf, and reads as much of it as the tests need (opentelemetry-proto,
/// trace/v1 and metrics/v1).
/// </summary>
internal sealed class OtlpReceiver : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly ConcurrentBag<OtlpSpan> _spans = [];
    private readonly ConcurrentDictionary<string, string> _metrics = new();
    private readonly ConcurrentDictionary<string, bool> _resource = new();

    public OtlpReceiver()
    {
        Port = FreePorts.Take();
        _listener.Prefixes.Add($"http://127.0.0.1:{Port}/");
        _listener.Start();
        _ = ServeAsync();
    }

    public int Port { get; }

    public IReadOnlyCollection<OtlpSpan> Spans => _spans;

    /// <summary>Names of metrics and their units.</summary>
    public IReadOnlyDictionary<string, string> Metrics => _metrics;

    /// <summary>Text values of resources' attributes.</summary>
    public IEnumerable<string> Resource => _resource.Keys;

    public void Dispose() => _listener.Close();

    private async Task ServeAsync()
    {
        while (true)
        {
            HttpListenerContext context;
            try
            {
                context = await _listener.GetContextAsync();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return;
            }

            using var body = new MemoryStream();
            await context.Request.InputStream.CopyToAsync(body);
            var isKnown = context.Request.ContentType == "application/x-protobuf";
            if (isKnown && context.Request.Url!.AbsolutePath == "/v1/traces") ReadTraces(body.ToArray());
            else if (isKnown && context.Request.Url!.AbsolutePath == "/v1/metrics") ReadMetrics(body.ToArray());
            else context.Response.StatusCode = 404;
            context.Response.ContentType = "application/x-protobuf";
            context.Response.Close();
        }
    }

    // ExportTraceServiceRequest: 1 resource_spans { 1 resource, 2 scope_spans { 2 spans } }.
    private void ReadTraces(byte[] request)
    {
        foreach (var perResource in Fields(request, 1))
        {
            ReadResource(perResource);
            foreach (var span in Fields(perResource, 2).SelectMany(scope => Fields(scope, 2)))
            {
                _spans.Add(new OtlpSpan(
                    Hex(Fields(span, 1)), Hex(Fields(span, 2)), Hex(Fields(span, 4)), Text(Fields(span, 5)), Time(Fields(span, 7)),
                    Time(Fields(span, 8))));
            }
        }
    }

    // ExportMetricsServiceRequest: 1 resource_metrics { 1 resource, 2 scope_metrics { 2 metrics { 1 name, 3 unit } } }.
    private void ReadMetrics(byte[] request)
    {
        foreach (var perResource in Fields(request, 1))
        {
            ReadResource(perResource);
            foreach (var metric in Fields(perResource, 2).SelectMany(scope => Fields(scope, 2)))
                _metrics[Text(Fields(metric, 1))] = Text(Fields(metric, 3));
        }
    }

    // Resource: 1 attributes { 1 key, 2 value { 1 string_value } }.
    private void ReadResource(byte[] perResource)
    {
        foreach (var value in Fields(perResource, 1).SelectMany(r => Fields(r, 1)).SelectMany(a => Fields(a, 2)))
            _resource[Text(Fields(value, 1))] = true;
    }

    private static string Hex(IEnumerable<byte[]> field) => Convert.ToHexString(field.FirstOrDefault() ?? []);

    private static string Text(IEnumerable<byte[]> field) => Encoding.UTF8.GetString(field.FirstOrDefault() ?? []);

    private static long Time(IEnumerable<byte[]> field) => BitConverter.ToInt64(field.First());

    // The values of one field of a message: bytes as they are, fixed ones in their bytes; varints are jumped over.
    private static IEnumerable<byte[]> Fields(byte[] message, int number)
    {
        for (var at = 0; at < message.Length;)
        {
            var key = Varint(message, ref at);
            var size = (key & 7) switch
            {
                0 => 0,
                1 => 8,
                2 => (int)Varint(message, ref at),
                5 => 4,
                _ => throw new InvalidDataException($"There is no wire type {key & 7}."),
            };
            if ((key & 7) == 0) Varint(message, ref at);
            if ((int)(key >> 3) == number && (key & 7) != 0) yield return message[at..(at + size)];
            at += size;
        }
    }

    private static ulong Varint(byte[] message, ref int at)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = message[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
        }
    }
}
