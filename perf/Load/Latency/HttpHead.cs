using System.Globalization;
using System.Text;

namespace ZeroFlow.Perf.Latency;

/// <summary>What the head of an HTTP/1.1 message says about where the message ends.</summary>
internal sealed class HttpHead
{
    private readonly string[] _lines;

    /// <param name="bytes">From the first line to the empty one.</param>
    public HttpHead(byte[] bytes)
    {
        Bytes = bytes;
        _lines = Encoding.Latin1.GetString(bytes).Split("\r\n");
    }

    public byte[] Bytes { get; }

    /// <summary>Of a request.</summary>
    public string Method => _lines[0].Split(' ')[0];

    /// <summary>Of a response.</summary>
    public int Status =>
        int.TryParse(_lines[0].Split(' ').ElementAtOrDefault(1), CultureInfo.InvariantCulture, out var n) ? n : 0;

    public bool IsChunked =>
        Header("Transfer-Encoding")?.Contains("chunked", StringComparison.OrdinalIgnoreCase) == true;

    public long? Length =>
        long.TryParse(Header("Content-Length"), NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : null;

    /// <summary>Of a response to <paramref name="method"/>: whether it has a body at all.</summary>
    public bool HasBody(string method) => method != "HEAD" && Status is not (< 200 or 204 or 304);

    private string? Header(string name) => _lines
        .FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase))?[(name.Length + 1)..]
        .Trim();
}
