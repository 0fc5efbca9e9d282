using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Peers;

/// <summary>What a ZeroFlow server has asked of its object store since it started.</summary>
/// <param name="Requests">Attempts of all kinds.</param>
/// <param name="Puts">Objects created or written.</param>
/// <param name="Gets">Reads.</param>
/// <param name="SentBytes">Bodies of the former.</param>
/// <param name="ReceivedBytes">Bodies of the latter.</param>
internal sealed record StoreUse(long Requests, long Puts, long Gets, long SentBytes, long ReceivedBytes)
{
    public StoreUse Since(StoreUse before) => new(
        Requests - before.Requests, Puts - before.Puts, Gets - before.Gets, SentBytes - before.SentBytes,
        ReceivedBytes - before.ReceivedBytes);
}

/// <summary>Reads the metrics page of a ZeroFlow server.</summary>
internal sealed partial class StoreMeter(Uri page) : IDisposable
{
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };

    public StoreUse Read() => Parse(Page());

    /// <summary>
    /// Waits until the object store has everything that was answered. Whether that came to pass within
    /// <paramref name="waitMax"/>.
    /// </summary>
    public bool WaitUntilDrained(TimeSpan waitMax)
    {
        var begun = Stopwatch.GetTimestamp();
        while (SumOf(Page(), "zeroflow_store_dirty_bytes", "") > 0)
        {
            if (Stopwatch.GetElapsedTime(begun) > waitMax) return false;
            Thread.Sleep(20);
        }

        return true;
    }

    /// <summary>Age of the oldest write that the object store lacks, now.</summary>
    public double LagSeconds() => ValueOf(Page(), "zeroflow_store_oldest_unpublished_seconds", "");

    public void Dispose() => _http.Dispose();

    /// <exception cref="NbdException">The page lacks what is asked for.</exception>
    public static StoreUse Parse(string page)
    {
        const string Requests = "zeroflow_store_requests_total";
        const string Bytes = "zeroflow_store_bytes_total";
        return new StoreUse(
            SumOf(page, Requests, ""),
            SumOf(page, Requests, "type=\"create\"") + SumOf(page, Requests, "type=\"write\""),
            SumOf(page, Requests, "type=\"get\""),
            SumOf(page, Bytes, "type=\"create\"") + SumOf(page, Bytes, "type=\"write\""),
            SumOf(page, Bytes, "type=\"get\""));
    }

    private static long SumOf(string page, string name, string label) => (long)ValueOf(page, name, label);

    private static double ValueOf(string page, string name, string label)
    {
        var samples = Sample().Matches(page).Where(match => match.Groups["name"].Value == name).ToArray();
        if (samples.Length == 0) throw new NbdException($"The server's metrics have no {name}.");
        return samples.Where(match => match.Groups["labels"].Value.Contains(label, StringComparison.Ordinal))
            .Sum(match => double.Parse(match.Groups["value"].ValueSpan, CultureInfo.InvariantCulture));
    }

    private string Page()
    {
        try
        {
            using var response = _http.Send(new HttpRequestMessage(HttpMethod.Get, page));
            response.EnsureSuccessStatusCode();
            using var body = new StreamReader(response.Content.ReadAsStream());
            return body.ReadToEnd();
        }
        catch (HttpRequestException exception)
        {
            throw new NbdException($"The server's metrics cannot be read: {exception.Message}");
        }
    }

    [GeneratedRegex(@"^(?<name>[a-zA-Z_:][\w:]*)(?<labels>\{.*\})?\s+(?<value>[-+\d.eE]+)\s*$", RegexOptions.Multiline)]
    private static partial Regex Sample();
}
