using System.Globalization;
using System.Net;

namespace ZeroFlow.Perf.Latency;

/// <summary>
/// A bucket of an S3 server, reached directly or through a proxy. Credentials come from the environment.
/// </summary>
internal sealed record S3Place(IPEndPoint Server, string Bucket)
{
    /// <summary>The URL of a prefix in it, as for <c>zeroflow serve</c>, by way of <paramref name="port"/>.</summary>
    public string Url(string prefix, int port) => string.Create(
        CultureInfo.InvariantCulture,
        $"s3://{Bucket}/{prefix}?endpoint=http://127.0.0.1:{port}&region=us-east-1&path-style=true");
}
