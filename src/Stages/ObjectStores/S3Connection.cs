using Amazon;
using Amazon.Runtime;
using Amazon.S3;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The SDK's client for one store: checksums only where S3 demands them (compatible servers refuse the SDK's default
/// trailers), no retries of its own, and one HTTP connection pool.
/// </summary>
internal sealed class S3Connection : IDisposable
{
    // Long enough to keep connections warm, short enough to follow a DNS name that moved.
    private static readonly TimeSpan ConnectionLifetime = TimeSpan.FromMinutes(5);

    // The SDK's default of 8 KiB makes 500 writes to the socket of a 4 MiB body.
    private const int BufferBytes = 128 * 1024;

    private readonly HttpClient _http;
    private readonly S3Credentials? _chain;

    /// <summary>Makes the client; sends nothing.</summary>
    /// <param name="options">Which store.</param>
    /// <param name="credentials">Fixed credentials, or null for the SDK's chain.</param>
    /// <param name="time">Bounds the search for credentials.</param>
    public S3Connection(S3StoreOptions options, AWSCredentials? credentials, TimeProvider time)
    {
        AmazonS3Config config = ConfigFor(options);
        _http = CreateHttpClient(options);
        config.HttpClientFactory = new SharedHttpClient(_http);
        if (credentials is null) credentials = _chain = new S3Credentials(config, time, options.Location);
        Client = new AmazonS3Client(credentials, config);
    }

    /// <summary>The client; thread-safe.</summary>
    public AmazonS3Client Client { get; }

    public void Dispose()
    {
        Client.Dispose();
        _http.Dispose();
        _chain?.Dispose();
    }

    private static AmazonS3Config ConfigFor(S3StoreOptions options)
    {
        var config = new AmazonS3Config
        {
            BufferSize = BufferBytes,
            ForcePathStyle = options.PathStyle,
            MaxErrorRetry = 0,
            MaxStaleConnectionRetries = 0,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        };
        if (options.Endpoint is null)
        {
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(options.Region ?? RegionOfEnvironment());
        }
        else
        {
            config.ServiceURL = options.Endpoint.AbsoluteUri;
            config.AuthenticationRegion = options.Region ?? "us-east-1";
        }

        return config;
    }

    // The SDK would go on to ask the instance metadata service, which takes long where there is none.
    private static string RegionOfEnvironment() =>
        Environment.GetEnvironmentVariable("AWS_REGION")
        ?? Environment.GetEnvironmentVariable("AWS_DEFAULT_REGION")
        ?? throw new ObjectStoreException(
            ObjectStoreErrorKind.Invalid,
            "The region of the bucket is not known: add region=... to the store's URL or set AWS_REGION.");

    private static HttpClient CreateHttpClient(S3StoreOptions options)
    {
#pragma warning disable CA2000 // The HttpClient owns and disposes its handlers.
        var connections = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            ConnectTimeout = options.ConnectTimeout,
            MaxConnectionsPerServer = options.ConnectionsMax,
            PooledConnectionLifetime = ConnectionLifetime,
            UseCookies = false,
        };
        return new HttpClient(new WithoutExpectHandler { InnerHandler = connections })
        {
            // Progress is watched for each request; a limit on its whole time would punish large bodies.
            Timeout = Timeout.InfiniteTimeSpan,
        };
#pragma warning restore CA2000
    }

    private sealed class SharedHttpClient(HttpClient http) : HttpClientFactory
    {
        public override HttpClient CreateHttpClient(IClientConfig clientConfig) => http;

        public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

        public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;
    }

    /// <summary>
    /// Takes back the SDK's <c>Expect: 100-continue</c>: waiting for the server's word costs every upload, and so every
    /// published FLUSH, a second round trip.
    /// </summary>
    private sealed class WithoutExpectHandler : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.ExpectContinue = false;
            return base.SendAsync(request, cancellationToken);
        }
    }
}
