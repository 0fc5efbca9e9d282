using System.Globalization;
using System.Text;

namespace ZeroFlow.SystemTests.Faults;

/// <summary>One HTTP/1.1 request or response as it came over the wire: its head unchanged, its body whole.</summary>
internal sealed record HttpMessage(string Head, byte[] Body)
{
    public string FirstLine => Head[..Head.IndexOf('\r', StringComparison.Ordinal)];

    public string Method => FirstLine[..FirstLine.IndexOf(' ', StringComparison.Ordinal)];

    public string Target => FirstLine.Split(' ')[1];

    public int Status => int.Parse(FirstLine.Split(' ')[1], CultureInfo.InvariantCulture);

    public byte[] HeadBytes => Encoding.Latin1.GetBytes(Head);

    /// <summary>
    /// Reads a request, answering <c>Expect: 100-continue</c> on the way; null when the peer is done.
    /// </summary>
    public static async Task<HttpMessage?> ReadRequestAsync(Stream stream, CancellationToken stop)
    {
        if (await ReadHeadAsync(stream, stop) is not { } head) return null;
        if (Header(head, "Expect") is not null)
        {
            // The server behind must not see it: its own "100 Continue" would be taken for the response.
            head = WithoutHeader(head, "Expect");
            await stream.WriteAsync("HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray(), stop);
        }

        return new HttpMessage(head, await ReadBodyAsync(stream, head, stop));
    }

    /// <summary>Reads the response to a request of the given method.</summary>
    public static async Task<HttpMessage> ReadResponseAsync(Stream stream, string method, CancellationToken stop)
    {
        var head = await ReadHeadAsync(stream, stop)
            ?? throw new EndOfStreamException("The server closed without an answer.");
        var bodiless = method == "HEAD" || head.StartsWith("HTTP/1.1 204", StringComparison.Ordinal)
            || head.StartsWith("HTTP/1.1 304", StringComparison.Ordinal);
        return new HttpMessage(head, bodiless ? [] : await ReadBodyAsync(stream, head, stop));
    }

    private static string? Header(string head, string name)
    {
        var line = head.Split("\r\n").FirstOrDefault(l => IsHeader(l, name));
        return line?[(name.Length + 1)..].Trim();
    }

    private static bool IsHeader(string line, string name) =>
        line.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase);

    private static string WithoutHeader(string head, string name) =>
        string.Join("\r\n", head.Split("\r\n").Where(l => !IsHeader(l, name)));

    private static async Task<string?> ReadHeadAsync(Stream stream, CancellationToken stop)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (head.Length < 4 || head[^1] != '\n' || head[^2] != '\r' || head[^3] != '\n')
        {
            if (await stream.ReadAsync(one, stop) == 0) return null;
            head.Append((char)one[0]);
        }

        return head.ToString();
    }

    private static async Task<byte[]> ReadBodyAsync(Stream stream, string head, CancellationToken stop)
    {
        if (Header(head, "Transfer-Encoding") is { } encoding
            && encoding.Contains("chunked", StringComparison.OrdinalIgnoreCase))
        {
            return await ReadChunksAsync(stream, stop);
        }

        var body = new byte[long.Parse(Header(head, "Content-Length") ?? "0", CultureInfo.InvariantCulture)];
        await stream.ReadExactlyAsync(body, stop);
        return body;
    }

    // Kept as it came, sizes and all: it is passed on under the same head.
    private static async Task<byte[]> ReadChunksAsync(Stream stream, CancellationToken stop)
    {
        var raw = new MemoryStream();
        while (true)
        {
            var line = await ReadLineAsync(stream, stop);
            raw.Write(Encoding.Latin1.GetBytes(line));
            var size = int.Parse(line.Split(';')[0].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            var chunk = new byte[size + 2];
            await stream.ReadExactlyAsync(chunk, stop);
            raw.Write(chunk);
            if (size == 0) return raw.ToArray();
        }
    }

    private static async Task<string> ReadLineAsync(Stream stream, CancellationToken stop)
    {
        var line = new StringBuilder();
        var one = new byte[1];
        while (line.Length == 0 || line[^1] != '\n')
        {
            await stream.ReadExactlyAsync(one, stop);
            line.Append((char)one[0]);
        }

        return line.ToString();
    }
}
