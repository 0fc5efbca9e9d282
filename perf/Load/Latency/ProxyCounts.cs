using System.Collections.Concurrent;

namespace ZeroFlow.Perf.Latency;

/// <summary>What went through a proxy, as it goes. Thread-safe.</summary>
internal sealed class ProxyCounts
{
    private readonly ConcurrentDictionary<string, long> _requests = new();
    private readonly ConcurrentDictionary<int, long> _responses = new();
    private long _sentBytes;
    private long _receivedBytes;

    public void CountRequest(string method) => _requests.AddOrUpdate(method, 1, static (_, count) => count + 1);

    public void CountResponse(int status) => _responses.AddOrUpdate(status, 1, static (_, count) => count + 1);

    public void CountSent(long bytes) => Interlocked.Add(ref _sentBytes, bytes);

    public void CountReceived(long bytes) => Interlocked.Add(ref _receivedBytes, bytes);

    public ProxyUse Read() => new(
        new SortedDictionary<string, long>(_requests), new SortedDictionary<int, long>(_responses),
        Interlocked.Read(ref _sentBytes), Interlocked.Read(ref _receivedBytes));
}

/// <summary>A reading of the counts.</summary>
/// <param name="Requests">By method.</param>
/// <param name="Responses">By status.</param>
/// <param name="SentBytes">Bodies of requests.</param>
/// <param name="ReceivedBytes">Bodies of responses.</param>
internal sealed record ProxyUse(
    IReadOnlyDictionary<string, long> Requests, IReadOnlyDictionary<int, long> Responses, long SentBytes,
    long ReceivedBytes)
{
    public long Total => Requests.Values.Sum();

    public long Of(string method) => Requests.GetValueOrDefault(method);

    public ProxyUse Since(ProxyUse before) => new(
        Requests.ToDictionary(pair => pair.Key, pair => pair.Value - before.Of(pair.Key)),
        Responses.ToDictionary(pair => pair.Key, pair => pair.Value - before.Responses.GetValueOrDefault(pair.Key)),
        SentBytes - before.SentBytes,
        ReceivedBytes - before.ReceivedBytes);
}
