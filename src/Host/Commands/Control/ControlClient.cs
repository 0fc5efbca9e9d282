using System.Net;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>The server did not do what was asked.</summary>
internal sealed class RefusedException(HttpStatusCode status, string detail) : Exception(detail)
{
    /// <summary>Its answer.</summary>
    public HttpStatusCode Status { get; } = status;
}

/// <summary>Calls the control API of a running server.</summary>
internal sealed class ControlClient : IDisposable
{
    private static readonly ControlJson Json = ControlJson.Default;

    // Beyond the time that the server is given: it has to say that it is over.
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http;
    private readonly string? _limit;

    /// <summary>Makes a client; nothing is sent yet.</summary>
    /// <param name="address">The server.</param>
    /// <param name="token">What lets one in, if it is needed.</param>
    /// <param name="limit">How long each request may wait for the bucket; as long as it takes when null.</param>
    public ControlClient(AdminAddress address, string? token, TimeSpan? limit)
    {
        _limit = limit is { } time ? $"{RequestLimit.Parameter}={Quantities.FormatDuration(time)}" : null;
        var handler = new SocketsHttpHandler();
        if (address.SocketPath is { } path) handler.ConnectCallback = (_, cancellation) => ConnectAsync(path, cancellation);

        _http = new HttpClient(handler) { BaseAddress = address.Url, Timeout = limit + Margin ?? Timeout.InfiniteTimeSpan };
        if (token is not null) _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    /// <summary>The path of an export.</summary>
    public static string PathOf(string export) => $"v1/exports/{Uri.EscapeDataString(export)}";

    /// <summary>The query that forces something, or not.</summary>
    public static string Force(bool force) => force ? "?force=true" : "";

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    /// <summary>Asks for something.</summary>
    public async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> answer, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, path, null, cancellation);
        return await ReadAsync(response, answer, cancellation);
    }

    /// <summary>Asks for a change, with a body, and returns what it led to.</summary>
    public async Task<TAnswer> ChangeAsync<TRequest, TAnswer>(
        HttpMethod method, string path, TRequest request, JsonTypeInfo<TRequest> type, JsonTypeInfo<TAnswer> answer,
        CancellationToken cancellation)
    {
        using var body = JsonBody(request, type);
        using HttpResponseMessage response = await SendAsync(method, path, body, cancellation);
        return await ReadAsync(response, answer, cancellation);
    }

    /// <summary>Asks for a change that needs no more words, and returns what it led to.</summary>
    public async Task<T> PostAsync<T>(string path, JsonTypeInfo<T> answer, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Post, path, null, cancellation);
        return await ReadAsync(response, answer, cancellation);
    }

    /// <summary>Asks for a change that is answered by nothing.</summary>
    public async Task DoAsync(HttpMethod method, string path, HttpContent? body, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(method, path, body, cancellation);
    }

    /// <summary>Makes a range read as zeros.</summary>
    public async Task ZeroAsync(string export, long offset, long length, CancellationToken cancellation)
    {
        using var body = JsonBody(new ZeroRequest(offset, length), Json.ZeroRequest);
        await DoAsync(HttpMethod.Post, $"{PathOf(export)}/zero", body, cancellation);
    }

    /// <summary>Writes bytes.</summary>
    public async Task WriteAsync(string export, long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        using var body = new ReadOnlyMemoryContent(bytes);
        await DoAsync(HttpMethod.Put, $"{PathOf(export)}/content?offset={offset}", body, cancellation);
    }

    /// <summary>Reads bytes.</summary>
    public async Task ReadAsync(string export, long offset, Memory<byte> bytes, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(
            HttpMethod.Get, $"{PathOf(export)}/content?offset={offset}&length={bytes.Length}", null, cancellation);
        await using Stream body = await response.Content.ReadAsStreamAsync(cancellation);
        await body.ReadExactlyAsync(bytes, cancellation);
    }

    /// <summary>Scrubs, telling how far it is, and returns the report.</summary>
    public async Task<ScrubReport> ScrubAsync(
        ScrubRequest request, Action<ScrubProgress> progress, CancellationToken cancellation)
    {
        using var body = JsonBody(request, Json.ScrubRequest);
        using HttpResponseMessage response = await SendAsync(HttpMethod.Post, "v1/scrub", body, cancellation);
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(cancellation));
        while (await lines.ReadLineAsync(cancellation) is { } text)
        {
            ScrubLine line = JsonSerializer.Deserialize(text, Json.ScrubLine) ?? throw new JsonException("The server answered null.");
            if (line.Progress is { } step) progress(step);
            if (line.Problem is { } problem) throw new RefusedException((HttpStatusCode)problem.Status, problem.Detail);
            if (line.Report is { } report) return report;
        }

        throw new HttpRequestException("The server ended the scrub without a report.");
    }

    /// <summary>The lines of a trace of requests to the object store, until the server or the caller ends it.</summary>
    public async IAsyncEnumerable<TraceLine> TraceAsync(
        string query, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, $"v1/requests{query}", null, cancellation);
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(cancellation));
        while (await lines.ReadLineAsync(cancellation) is { } text)
            yield return JsonSerializer.Deserialize(text, Json.TraceLine) ?? throw new JsonException("The server answered null.");
    }

    /// <summary>Asks for something, and returns it as it was answered.</summary>
    public async Task<string> ReadTextAsync(string path, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, path, null, cancellation);
        return await response.Content.ReadAsStringAsync(cancellation);
    }

    /// <summary>Follows a stream of server-sent events: the data of each, as long as the server sends any.</summary>
    public async IAsyncEnumerable<string> WatchAsync(string path, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(HttpMethod.Get, path, null, cancellation, "text/event-stream");
        await using Stream body = await response.Content.ReadAsStreamAsync(cancellation);
        await foreach (SseItem<string> item in SseParser.Create(body).EnumerateAsync(cancellation)) yield return item.Data;
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static ByteArrayContent JsonBody<T>(T request, JsonTypeInfo<T> type) =>
        new(JsonSerializer.SerializeToUtf8Bytes(request, type));

    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, HttpContent? body, CancellationToken cancellation, string? accept = null)
    {
        string target = _limit is null ? path : $"{path}{(path.Contains('?', StringComparison.Ordinal) ? '&' : '?')}{_limit}";
        using var request = new HttpRequestMessage(method, target) { Content = body };
        if (accept is not null) request.Headers.Accept.ParseAdd(accept);
        HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (response.IsSuccessStatusCode) return response;
        using (response) throw new RefusedException(response.StatusCode, await DetailAsync(response, cancellation));
    }

    private static async Task<string> DetailAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellation);
        try
        {
            if (JsonSerializer.Deserialize(body, Json.Problem) is { } problem) return problem.Detail;
        }
        catch (JsonException)
        {
            // Not a ZeroFlow server, or one in trouble.
        }

        return $"The server answered {(int)response.StatusCode}.";
    }

    private static async Task<T> ReadAsync<T>(
        HttpResponseMessage response, JsonTypeInfo<T> answer, CancellationToken cancellation)
    {
        await using Stream body = await response.Content.ReadAsStreamAsync(cancellation);
        return await JsonSerializer.DeserializeAsync(body, answer, cancellation)
            ?? throw new JsonException("The server answered null.");
    }
}
