using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Setup;

/// <summary>Finds out where a bucket is: S3 tells it to anybody, in a header, even to those that it lets do nothing.</summary>
internal static class BucketRegion
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>The region, or null when the server does not tell or does not answer.</summary>
    public static async Task<string?> FindAsync(S3StoreOptions store, CancellationToken cancellation)
    {
        using var connections = new SocketsHttpHandler { AllowAutoRedirect = false };
        using var http = new HttpClient(connections) { Timeout = Patience };
        Uri server = store.Endpoint ?? new Uri("https://s3.amazonaws.com/");
        using var request = new HttpRequestMessage(HttpMethod.Head, new Uri(server, store.Bucket));
        try
        {
            using HttpResponseMessage answer = await http.SendAsync(request, cancellation);
            return answer.Headers.TryGetValues("x-amz-bucket-region", out IEnumerable<string>? values) ? values.First() : null;
        }
        catch (Exception fault) when (fault is HttpRequestException || (fault is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return null;
        }
    }
}
