namespace ZeroFlow.SystemTests.Running;

/// <summary>Where a store is kept: the URL for the command line and the credentials for the environment.</summary>
internal sealed record StorePlace(string Url, IReadOnlyDictionary<string, string> Credentials)
{
    public const string Directory = "directory";
    public const string Radosgw = "radosgw";

    public static StorePlace InDirectory(string path) => new($"file://{path}", new Dictionary<string, string>());

    public static StorePlace InBucket(int port, string prefix, string bucket = RadosGateway.Bucket) =>
        new(
            $"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{port}&region=us-east-1&path-style=true",
            new Dictionary<string, string>
            {
                ["AWS_ACCESS_KEY_ID"] = RadosGateway.AccessKey,
                ["AWS_SECRET_ACCESS_KEY"] = RadosGateway.SecretKey,
                ["AWS_EC2_METADATA_DISABLED"] = "true",
            });

    /// <summary>An empty store of the given kind, in the test's folder or in the bucket of the run.</summary>
    public static async Task<StorePlace> NewAsync(string kind, TestFolder folder, RadosGateway gateway) =>
        kind == Directory
            ? InDirectory(folder.Make("store"))
            : InBucket(await gateway.PortAsync(), folder.Name);
}
